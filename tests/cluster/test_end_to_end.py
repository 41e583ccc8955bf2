"""Tasks through rendered job scripts, on the embedded batch system."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.jobs import JobState
from jobqueue.errors import WorkersUnavailable


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything a cluster writes is in the test's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(tmp_path / "embedded"))
    return tmp_path


@pytest.mark.parametrize("protocol", ["tls", "tcp"])
def test_tasks_run_in_jobs(protocol: str, wait_until: Any, places: Path) -> None:
    """From sbatch to a result, with the job's own variables in sight of the tasks."""
    with (
        EmbeddedCluster(cores=2, memory="1GB", processes=2, protocol=protocol) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        client.wait_for_workers(4, timeout=60)
        jobs = set(client.gather(client.map(lambda _: os.environ["SLURM_JOB_ID"], range(200))))
        assert len(jobs) == 2
        assert [job.state for job in cluster.jobs] == [JobState.CONNECTED] * 2
        assert all(len(job.workers) == 2 for job in cluster.jobs)
        assert "worker connected" in cluster.logs(cluster.jobs[0])
    assert list((places / "state").iterdir()) == []


def test_whoever_waits_is_told_why_no_worker_comes(places: Path) -> None:
    """Script, exit code and the end of the log are in the exception of result()."""
    with (
        EmbeddedCluster(cores=1, memory="1GB", worker_command="nosuchmodule") as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(sum, [1, 2])
        cluster.scale(jobs=3)
        with pytest.raises(WorkersUnavailable) as told:
            future.result(timeout=60)
        for text in ("exit code 1", "No module named nosuchmodule", "job-array.sh", "resume"):
            assert text in str(told.value)


@pytest.mark.usefixtures("without_pauses")
def test_a_refused_submission_reaches_whoever_waits(wait_until: Any) -> None:
    """In the batch system's own words: seen from the first on, raised after the third."""
    refused = "invalid partition specified: nosuch"
    with (
        EmbeddedCluster(cores=1, memory="1GB", queue="nosuch", n_workers=1) as cluster,
        Client(cluster) as client,
    ):
        wait_until(lambda: refused in cluster.describe())
        with pytest.raises(WorkersUnavailable, match=refused):
            client.wait_for_workers(1, timeout=60)
        assert "paused after 3 failed submissions" in cluster.describe()
        assert cluster.jobs == []


def test_a_wait_that_runs_out_tells_how_things_stand(wait_until: Any) -> None:
    """Tasks, workers and jobs, each once."""
    keywords: dict[str, Any] = {"cores": 1, "memory": "1GB", "python": "sleep 600;"}
    with EmbeddedCluster(**keywords, n_workers=1) as cluster, Client(cluster) as client:
        wait_until(lambda: [job.state for job in cluster.jobs] == [JobState.RUNNING])
        with pytest.raises(TimeoutError) as told:
            client.wait_for_workers(1, timeout=0.1)
        assert "slurm 1 RUNNING" in str(told.value)
        assert str(told.value).count("0 workers") == 1


def test_two_processes_killed_by_hand_are_replaced_exactly_once(wait_until: Any) -> None:
    """The agent restarts what it can; a job that was killed as a whole comes once more."""
    with (
        EmbeddedCluster(cores=2, memory="1GB", processes=2) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=1)
        client.wait_for_workers(2, timeout=60)
        agent = client.submit(os.getppid).result(timeout=30)
        os.kill(agent, 9)
        wait_until(lambda: len(cluster.jobs) == 2, message="a replacement")
        client.wait_for_workers(2, timeout=60)
        wait_until(lambda: len(cluster.jobs[1].workers) == 2, message="both of its workers")
        assert [job.state for job in cluster.jobs] == [JobState.ENDED, JobState.CONNECTED]


def test_a_cluster_that_adapts_submits_as_many_jobs_as_it_needs(
    wait_until: Any, tmp_path: Path
) -> None:
    """Two workers a job, one submission for all three; nothing comes or goes while they work."""
    go = tmp_path / "go"

    def work(i: int) -> int:
        while not go.exists():
            time.sleep(0.02)
        return i

    with (
        EmbeddedCluster(cores=2, memory="1GB", processes=2) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(maximum_jobs=4, idle_timeout="0.5s", interval="0.05s", target_duration="0.5s")
        futures = client.map(work, range(6))
        client.wait_for_workers(6, timeout=60)
        wait_until(lambda: sum(w.running for w in cluster.scheduler.workers()) == 6)
        states = [job.state for job in cluster.jobs]
        go.touch()
        assert client.gather(futures) == list(range(6))
        wait_until(lambda: not cluster.scheduler.workers(), message="all jobs to go")
        wait_until(lambda: {job.state for job in cluster.jobs} == {JobState.ENDED})
        assert states == [JobState.CONNECTED] * 3
        assert [job.job_id for job in cluster.jobs] == ["1_0", "1_1", "1_2"]
        assert {job.cause for job in cluster.jobs} <= {"completed", "cancelled"}


def test_limits_hold_whatever_is_asked_for(wait_until: Any) -> None:
    """Jobs beyond them are held back, and the line about the cluster says so."""
    with EmbeddedCluster(cores=1, memory="1GB", max_jobs=2, python="sleep 600;") as cluster:
        cluster.scale(jobs=5)
        wait_until(lambda: [job.state for job in cluster.jobs] == [JobState.RUNNING] * 2)
        assert "3 jobs held back by max_jobs=2" in cluster.describe()
