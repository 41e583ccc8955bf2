"""Clusters on a real batch system: jobs that bring workers, end, are replaced and cleared away.

One body for all batch systems, as jobs.py: `tests/NAME/test_clusters.py` is a link to this file.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue import Client
from jobqueue.cluster.jobs import JobState
from jobqueue.errors import WorkersUnavailable

JOB: dict[str, Any] = {"cores": 1, "memory": "512MB", "walltime": "00:10:00"}

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def make(real: Any) -> Any:
    """Make a cluster of the batch system's class; keywords go before those of `JOB`."""
    return lambda **keywords: getattr(jobqueue, real.cluster_class)(**{**JOB, **keywords})


def connected(cluster: Any) -> int:
    return [job.state for job in cluster.jobs].count(JobState.CONNECTED)


def test_tasks_run_and_a_lost_job_is_replaced(
    real: Any, make: Any, wait_until: Any, places: Path
) -> None:
    """Three jobs of two workers are one submission; a deleted one is replaced; none is left."""
    keywords = {"cores": 2, "processes": 2, **real.two_cores}
    with make(**keywords) as cluster, Client(cluster) as client:
        cluster.scale(jobs=3)
        client.wait_for_workers(6, timeout=120)
        assert client.gather(client.map(abs, range(-50, 0))) == list(range(50, 0, -1))
        ids = [job.job_id for job in cluster.jobs]
        assert len(set(ids)) == 3
        names = {worker.name for worker in cluster.scheduler.workers()}
        assert names == {f"dask-worker-{job}-{index}" for job in ids for index in (0, 1)}
        assert set(real.jobs()) == set(ids)
        assert f"job={ids[0]} " in cluster.logs(ids[0])
        real.delete(ids[:1])
        wait_until(lambda: len(cluster.jobs) == 4, 90, "a replacement")
        wait_until(lambda: connected(cluster) == 3, 90, "three jobs again")
        lost = next(job for job in cluster.jobs if job.job_id == ids[0])
        assert lost.state is JobState.ENDED
        assert client.submit(sum, [1, 2, 3]).result(timeout=60) == 6
        cluster.scale(jobs=1)
        wait_until(lambda: len(real.jobs()) == 1, 90, "two jobs to end")
    wait_until(lambda: not real.jobs(), 60, "an empty queue")
    assert list((places / "state").iterdir()) == []


def test_a_job_that_met_its_walltime(real: Any, make: Any, wait_until: Any) -> None:
    """The batch system kills it; the cause is known, and another takes its place."""
    with make(walltime="00:00:10") as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: connected(cluster) == 1, 60, "the job to connect")
        wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 90, "its end")
        wait_until(lambda: cluster.jobs[0].cause == "walltime", 60, "its cause")
        wait_until(lambda: len(cluster.jobs) > 1, 60, "a replacement")


def test_a_refusal_is_told_in_its_words(real: Any, make: Any) -> None:
    """Whoever waits is told what the batch system said."""
    words, keywords = next(iter(real.refused.items()))
    with make(**keywords) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        with pytest.raises(WorkersUnavailable, match=re.escape(words)):
            client.wait_for_workers(1, timeout=60)


def test_a_job_that_cannot_start_says_why(real: Any, make: Any, wait_until: Any) -> None:
    """It is accepted, never started, and the reason is in the description."""
    for words, keywords in real.unstartable.items():
        with make(**keywords) as cluster:
            cluster.scale(jobs=1)
            wait_until(lambda: words in cluster.describe(), 60, "the reason")  # noqa: B023


CLIENT = """
import os, signal, sys
import jobqueue
cluster = getattr(jobqueue, sys.argv[1])(cores=1, memory="512MB", walltime="00:10:00")
cluster.scale(jobs=2)
jobqueue.Client(cluster).wait_for_workers(2, timeout=90)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_program_left_is_cleaned_up(real: Any, wait_until: Any) -> None:
    """`jobqueue cleanup` deletes its jobs."""
    argv = [sys.executable, "-c", CLIENT, real.cluster_class]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    cleaned = subprocess.run(
        [sys.executable, "-m", "jobqueue.cli.main", "cleanup"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert cleaned.returncode == 0, cleaned.stderr
    wait_until(lambda: not real.jobs(), 60, "an empty queue")
