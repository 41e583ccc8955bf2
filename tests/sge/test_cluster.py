"""Clusters on the real Grid Engine: jobs that bring workers, end, are replaced and cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SGECluster
from jobqueue.cluster.jobs import JobState
from jobqueue.errors import WorkersUnavailable

JOB: dict[str, Any] = {"cores": 1, "memory": "512MB", "walltime": "00:10:00"}

pytestmark = pytest.mark.usefixtures("places")


def connected(cluster: SGECluster) -> int:
    return [job.state for job in cluster.jobs].count(JobState.CONNECTED)


def test_tasks_run_and_a_lost_job_is_replaced(sge: Any, wait_until: Any, places: Path) -> None:
    """Three jobs of two workers are one submission; a deleted one is replaced; none is left."""
    keywords = {**JOB, "cores": 2, "processes": 2, "job_extra_directives": ["-pe smp 2"]}
    with SGECluster(**keywords) as cluster, Client(cluster) as client:
        cluster.scale(jobs=3)
        client.wait_for_workers(6, timeout=90)
        assert client.gather(client.map(abs, range(-50, 0))) == list(range(50, 0, -1))
        first = cluster.jobs[0].job_id
        assert [job.job_id for job in cluster.jobs] == [f"{first[:-1]}{n}" for n in (1, 2, 3)]
        names = {worker.name for worker in cluster.scheduler.workers()}
        assert names == {f"dask-worker-{first[:-1]}{n}-{i}" for n in (1, 2, 3) for i in (0, 1)}
        sge.qdel([first])
        wait_until(lambda: len(cluster.jobs) == 4, 90, "a replacement")
        wait_until(lambda: connected(cluster) == 3, 90, "three jobs again")
        assert cluster.jobs[0].state is JobState.ENDED
        assert client.submit(sum, [1, 2, 3]).result(timeout=60) == 6
        cluster.scale(jobs=1)
        wait_until(lambda: len(sge.qstat()) == 1, 90, "two jobs to end")
    wait_until(lambda: not sge.qstat(), 60, "an empty queue")
    assert list((places / "state").iterdir()) == []


def test_a_job_that_met_its_walltime(sge: Any, wait_until: Any) -> None:
    """Grid Engine kills it at once; the cause is known, and another takes its place."""
    with SGECluster(**{**JOB, "walltime": "00:00:08"}) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: connected(cluster) == 1, 60, "the job to connect")
        wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 60, "its end")
        wait_until(lambda: cluster.jobs[0].cause == "walltime", 60, "its cause")
        wait_until(lambda: len(cluster.jobs) > 1, 60, "a replacement")


def test_a_refused_queue_is_told_in_its_words(sge: Any) -> None:
    """Whoever waits is told what qsub said."""
    with SGECluster(**JOB, queue="nosuch.q") as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        with pytest.raises(WorkersUnavailable, match=r'requests unknown queue "nosuch\.q"'):
            client.wait_for_workers(1, timeout=60)


def test_a_job_that_cannot_start_says_why(sge: Any, wait_until: Any) -> None:
    """More slots than there are: accepted, never started, and the reason is in the description."""
    with SGECluster(**JOB, job_extra_directives=["-pe smp 999"]) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: "only offers" in cluster.describe(), 60, "the reason")


CLIENT = """
import os, signal, sys
from jobqueue import Client, SGECluster
cluster = SGECluster(cores=1, memory="512MB", walltime="00:10:00")
cluster.scale(jobs=2)
Client(cluster).wait_for_workers(2, timeout=60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_program_left_is_cleaned_up(sge: Any, wait_until: Any, places: Path) -> None:
    """`jobqueue cleanup` deletes its jobs."""
    done = subprocess.run([sys.executable, "-c", CLIENT], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    cleaned = subprocess.run(
        [sys.executable, "-m", "jobqueue.cli.main", "cleanup"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert cleaned.returncode == 0, cleaned.stderr
    wait_until(lambda: not sge.qstat(), 60, "an empty queue")
