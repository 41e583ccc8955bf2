"""Clusters on the real Slurm: what `scale` and `close` do to its queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.cluster.batch_system import INTERVALS
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.pbs import PBSCluster
from jobqueue.cluster.slurm import SLURMCluster

JOB = {"cores": 1, "memory": "256MB", "walltime": "00:10:00"}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster writes is in the test's own folder, which the nodes see."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`calls("sbatch")`: the argument lines with which the real command was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in ("sbatch", "squeue", "scancel", "sacct"):
        log = tmp_path / f"{command}.log"
        (folder / command).write_text(
            f'#!/bin/sh\necho "$@" >> {log}\nexec /usr/bin/{command} "$@"'
        )
        (folder / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def lines(command: str) -> list[str]:
        log = tmp_path / f"{command}.log"
        return log.read_text().splitlines() if log.exists() else []

    return lines


def connected(cluster: SLURMCluster) -> int:
    return [job.state for job in cluster.jobs].count(JobState.CONNECTED)


def most_queries(began: float) -> float:
    """How often the queue may have been asked since then: no two queries are closer."""
    return 1 + (time.monotonic() - began) / INTERVALS[0]


def test_two_hundred_jobs_are_one_submission(slurm: Any, wait_until: Any, calls: Any) -> None:
    """One sbatch, few queries, one scancel; pending and running elements are gone afterwards."""
    began = time.monotonic()
    with SLURMCluster(cores=30, memory="1GB", processes=1, python="sleep 600;") as cluster:
        cluster.scale(jobs=200)
        wait_until(lambda: len(slurm.squeue()) == 200, message="200 jobs in the queue")
        waiting = 200 - len(slurm.nodes)
        wait_until(
            lambda: [job.state for job in cluster.jobs].count(JobState.PENDING) == waiting,
            message="a job a node to run and the others to be known as pending",
        )
        assert f"{waiting} jobs pending: slurm" in cluster.describe()
        # Slurm says why a job waits only when it has looked at it.
        wait_until(lambda: "(Resources)" in cluster.describe(), message="the reason of the first")
        assert len(calls("sbatch")) == 1
        assert "--array=0-199" in calls("sbatch")[0]
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")
    assert len(calls("scancel")) == 1
    assert len(calls("squeue")) <= most_queries(began)


def test_workers_come_and_go_as_wanted(slurm: Any, wait_until: Any, places: Path) -> None:
    """Up, down and up again; drained jobs end by themselves; close leaves nothing behind."""
    with SLURMCluster(**JOB) as cluster:
        cluster.scale(jobs=3)
        wait_until(lambda: connected(cluster) == 3, 60, "three jobs to connect")
        assert repr(cluster).startswith(
            "SLURMCluster('dask-worker', 3/3 jobs, workers=3, threads=3"
        )
        assert {job.node for job in cluster.jobs} <= {"", *slurm.nodes}
        cluster.scale(jobs=1)
        wait_until(lambda: len(slurm.squeue()) == 1, 60, "two jobs to end")
        wait_until(
            lambda: (
                [job.cause for job in cluster.jobs if job.state is JobState.ENDED]
                == ["completed", "completed"]
            ),
            message="the ends to be known",
        )
        cluster.scale(2)
        wait_until(lambda: connected(cluster) == 2, 60, "two jobs to be connected")
        assert len(cluster.jobs) == 4
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")
    assert list((places / "state").iterdir()) == []


def test_a_cluster_that_adapts_does_not_flap(
    slurm: Any, wait_until: Any, calls: Any, places: Path
) -> None:
    """Two workers a job, and jobs that wait for a node: one submission, no cancellation."""
    go = places / "go"

    def work(i: int) -> int:
        while not go.exists():
            time.sleep(0.05)
        return i

    apart = ["--exclusive"]  # a job a node: two wait
    jobs = len(slurm.nodes) + 2
    keywords = {**JOB, "cores": 2, "processes": 2, "job_extra_directives": apart}
    with SLURMCluster(**keywords) as cluster, Client(cluster) as client:
        cluster.adapt(maximum_jobs=jobs, idle_timeout="2s", interval="0.1s", target_duration="0.1s")
        futures = client.map(work, range(20))
        client.wait_for_workers(2 * len(slurm.nodes), timeout=60)
        wait_until(
            lambda: [job.state for job in cluster.jobs].count(JobState.PENDING) == 2,
            message="two jobs to be known as pending",
        )
        go.touch()
        assert client.gather(futures) == list(range(20))
        wait_until(lambda: slurm.squeue() == [], 60, "all jobs to end")
        wait_until(lambda: {job.state for job in cluster.jobs} == {JobState.ENDED})
        assert len(calls("sbatch")) == 1
        assert len(cluster.jobs) == jobs
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        assert len(calls("sbatch")) == 2


def test_a_cancelled_job_is_replaced_once(slurm: Any, wait_until: Any, calls: Any) -> None:
    """Somebody takes a job away: both of its workers leave, one job comes."""
    with SLURMCluster(**{**JOB, "cores": 2}, processes=2) as cluster:
        cluster.scale(jobs=2)
        wait_until(lambda: len(cluster.scheduler.workers()) == 4, 60, "four workers")
        lost = cluster.jobs[0].job_id
        slurm.run("scancel", lost)
        wait_until(lambda: len(cluster.jobs) == 3, 60, "a replacement")
        wait_until(lambda: len(cluster.scheduler.workers()) == 4, 60, "four workers again")
        assert cluster.jobs[0].cause == "cancelled"
        assert len(calls("sbatch")) == 2
        assert len(slurm.squeue()) == 2


def test_a_lost_node_is_known_as_the_cause(slurm: Any, wait_until: Any) -> None:
    """The job of a node that died is replaced on another."""
    with SLURMCluster(**JOB, job_extra_directives=["--no-requeue"]) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: connected(cluster) == 1, 60, "the job to connect")
        wait_until(lambda: cluster.jobs[0].node or slurm.squeue("%N")[0], message="its node")
        node = slurm.nodes.index(slurm.squeue("%N")[0]) + 1
        slurm.kill_node(node, noticed=True)
        wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 90, "the loss to be known")
        assert cluster.jobs[0].cause == "node failed"
        wait_until(lambda: connected(cluster) == 1, 90, "the replacement to connect")


@pytest.mark.parametrize("killed", [True, False])
def test_a_job_that_slurm_requeues_for_a_lost_node_is_replaced_at_once(
    slurm: Any, wait_until: Any, killed: bool
) -> None:
    """It would wait for two minutes; it is given up when the other one works.

    Of a node that is set down the agent says goodbye, as it does for another job's sake. A job that
    is put back and held is replaced in the same way.
    """
    with SLURMCluster(**JOB, job_extra_directives=["--requeue"]) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: connected(cluster) == 1, 60, "the job to connect")
        assert cluster.jobs[0].node in slurm.nodes, "known with its first worker"
        node = cluster.jobs[0].node
        if killed:
            slurm.kill_node(slurm.nodes.index(node) + 1, noticed=True)
        else:
            slurm.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        wait_until(lambda: len(cluster.jobs) == 2, 90, "another to be submitted")
        assert cluster.jobs[0].restarts == 1
        wait_until(lambda: connected(cluster) == 1, 60, "it to connect")
        wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 60, "the first to be given up")
        slurm.run("scontrol", "requeuehold", cluster.jobs[1].job_id)
        wait_until(lambda: len(cluster.jobs) == 3, 60, "one for the job that is held")
        wait_until(lambda: cluster.jobs[2].state is JobState.CONNECTED, 60, "it to connect")
        wait_until(lambda: cluster.jobs[1].state is JobState.ENDED, 60, "the held one to go")


def test_a_refused_queue_is_told_in_slurms_words(slurm: Any, wait_until: Any) -> None:
    """And nothing is in the queue."""
    with SLURMCluster(**JOB, queue="nosuch") as cluster:
        cluster.scale(jobs=1)
        wait_until(
            lambda: "paused after 3 failed submissions" in cluster.describe(), 60, "the pause"
        )
        assert "invalid partition specified: nosuch" in cluster.describe()
    assert slurm.squeue() == []


def test_a_worker_command_that_dies_at_once_pauses_the_pool(
    slurm: Any, wait_until: Any, places: Path
) -> None:
    """Exit code and the end of the log are known; waiting for workers would be in vain."""
    with SLURMCluster(**JOB, worker_command="nosuchmodule") as cluster:
        told: list[Any] = []
        cluster._core.pools._on_outage = told.append
        cluster.scale(jobs=3)
        wait_until(lambda: told, 60, "the outage")
        [error] = told
        assert error.exit_code == 1
        assert "No module named nosuchmodule" in error.log_tail
        assert "No module named nosuchmodule" in str(error)
        assert Path(error.script).exists()
    assert slurm.squeue() == []


def test_pending_jobs_of_an_ended_program_are_cancelled(
    slurm: Any, wait_until: Any, places: Path
) -> None:
    """The interpreter's exit is an orderly end."""
    code = (
        "import time\n"
        "from jobqueue.cluster.slurm import SLURMCluster\n"
        "cluster = SLURMCluster(cores=30, memory='1GB', processes=1, python='sleep 600;')\n"
        "cluster.scale(jobs=6)\n"
        "while len(cluster.jobs) < 6: time.sleep(0.05)\n"
        "print(len(cluster.jobs))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "6\n", done.stderr
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")
    assert list((places / "state").iterdir()) == []


def test_a_node_whose_network_is_cut_costs_one_job(slurm: Any, wait_until: Any) -> None:
    """Slurm gives the node up, and another job comes from another node.

    Without --no-requeue it would be the same job, two minutes later.
    """
    with SLURMCluster(**JOB, job_extra_directives=["--no-requeue"]) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: connected(cluster) == 1, 60, "the job to connect")
        node = slurm.squeue("%N")[0]
        slurm.cut(slurm.nodes.index(node) + 1)
        wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 120, "the loss to be known")
        assert cluster.jobs[0].cause == "node failed"
        wait_until(lambda: connected(cluster) == 1, 120, "a worker on another node")
        assert len(cluster.jobs) == 2


def test_a_job_that_a_hanging_controller_accepted_is_not_submitted_twice(
    slurm: Any, wait_until: Any, calls: Any
) -> None:
    """sbatch gave up, the jobs run later all the same, and are found by their mark."""
    with SLURMCluster(**JOB) as cluster:
        os.kill(slurm.controller, signal.SIGSTOP)
        try:
            cluster.scale(jobs=2)
            wait_until(lambda: "timed out" in cluster.describe(), 60, "sbatch to give up")
        finally:
            os.kill(slurm.controller, signal.SIGCONT)
        wait_until(lambda: connected(cluster) == 2, 60, "the jobs to be found")
        assert len(slurm.squeue()) == 2
        assert len(calls("sbatch")) == 1
        assert "failed" not in cluster.describe()


def test_pbs_clusters_work_through_slurms_wrappers(pbs_over_slurm: Any, wait_until: Any) -> None:
    """qsub, qstat and qdel of another dialect: jobs come, are drained and cancelled."""
    with PBSCluster(cores=2, memory="512MB", processes=2) as cluster, Client(cluster) as client:
        cluster.scale(jobs=3)
        client.wait_for_workers(6, timeout=60)
        assert client.gather(client.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        cluster.scale(jobs=1)
        wait_until(
            lambda: [job.cause for job in cluster.jobs].count("completed") == 2,
            60,
            "two jobs to be drained",
        )
    wait_until(lambda: pbs_over_slurm.squeue() == [], message="an empty queue")
