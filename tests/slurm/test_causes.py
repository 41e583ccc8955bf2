"""Ways in which jobs end on a real Slurm: each is told for what it is, and replaced once or not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.cluster.jobs import JobRecord, JobState

JOB = {"cores": 2, "processes": 2, "memory": "512MB", "walltime": "00:10:00"}

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def start(wait_until: Any) -> Iterator[Callable[..., tuple[SLURMCluster, Client]]]:
    """`start(jobs, *directives)`: a cluster whose jobs have all connected, and its client."""
    opened: list[Any] = []

    def start(jobs: int, *directives: str, **keywords: Any) -> tuple[SLURMCluster, Client]:
        cluster = SLURMCluster(**{**JOB, **keywords}, job_extra_directives=directives)
        client = Client(cluster)
        opened.extend([cluster, client])
        cluster.scale(jobs=jobs)
        client.wait_for_workers(JOB["processes"] * jobs, timeout=60)
        wait_until(lambda: connected(cluster) == jobs, 60, "the jobs to be known as connected")
        return cluster, client

    yield start
    for each in reversed(opened):
        each.close()


def connected(cluster: SLURMCluster) -> int:
    return [job.state for job in cluster.jobs].count(JobState.CONNECTED)


def unended(cluster: SLURMCluster) -> set[str]:
    return {job.job_id for job in cluster.jobs if job.state is not JobState.ENDED}


def job(cluster: SLURMCluster, job_id: str) -> JobRecord:
    [record] = [each for each in cluster.jobs if each.job_id == job_id]
    return record


def node_of(slurm: Any, job_id: str) -> int:
    return int(slurm.nodes.index(*slurm.squeue("%N", f"--job={job_id}"))) + 1


def kill_everything(slurm: Any, cluster: SLURMCluster, job_id: str) -> None:
    """Kill the agent of a job and all its workers, on its node."""
    pids = " ".join(str(w.pid) for w in cluster.scheduler.workers() if w.job_id == job_id)
    # The kernel may be quicker with the workers, once their agent is dead.
    kill = f"kill -KILL $(ps -o ppid= -p {pids.split()[0]}) {pids} || :"
    slurm.exec(node_of(slurm, job_id), ["sh", "-c", kill])


def make_room(slurm: Any, job_id: str, seconds: int = 3) -> None:
    """Submit a job that preempts another."""
    node = slurm.nodes[node_of(slurm, job_id) - 1]
    slurm.sbatch(f"exec sleep {seconds}", "--partition=high", "--exclusive", f"--nodelist={node}")


def where(number: int, folder: Path, until: str) -> str:
    """Tell the job that this runs in, once a file is there; mark each time it is begun."""
    (folder / f"begun-{number}-{time.time_ns()}").touch()
    while not (folder / until).exists():
        time.sleep(0.05)
    array, element = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{element}" if array else os.environ["SLURM_JOB_ID"]


def begin(client: Client, places: Path, tasks: int, wait_until: Any) -> list[Any]:
    """Give each thread a task that runs until the file ``go`` is there."""
    futures = client.map(where, range(tasks), folder=places, until="go")
    wait_until(lambda: len(list(places.glob("begun-*"))) == tasks, 60, "all tasks to begin")
    return futures


@pytest.mark.nodes(4)
@pytest.mark.usefixtures("without_pauses")
def test_each_end_of_a_job_is_told_for_what_it_is_and_costs_no_task_anything(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Cancelled, crashed, preempted, node failed: all at once, each job is replaced exactly once.

    Crashed means that somebody killed the agent and both of its workers. What they ran begins
    again elsewhere, unblamed.
    """
    cluster, client = start(4, "--exclusive", "--no-requeue")
    futures = begin(client, places, 8, wait_until)
    cancelled, crashed, preempted, lost = (record.job_id for record in cluster.jobs)
    slurm.kill_node(node_of(slurm, lost), noticed=True)
    make_room(slurm, preempted)
    slurm.run("scancel", cancelled)
    kill_everything(slurm, cluster, crashed)
    causes = {
        cancelled: "cancelled",
        crashed: "crashed",
        preempted: "preempted",
        lost: "node failed",
    }
    wait_until(
        lambda: {record.job_id: record.cause for record in cluster.jobs[:4]} == causes,
        60,
        "each cause to be known",
    )
    wait_until(lambda: connected(cluster) == 3, 60, "as many jobs to come as there are nodes left")
    (places / "go").touch()
    ran = set(client.gather(futures))
    assert not ran & set(causes)
    wait_until(
        lambda: len(left := unended(cluster)) == 4 and not left & set(causes),
        60,
        "a job in the place of each",
    )
    ended = {record.job_id: record.cause for record in cluster.jobs if record.cause}
    assert ended == causes, "one that was too many would have ended"
    assert [cluster.scheduler.state.tasks[future.key].deaths for future in futures] == [0] * 8


def test_a_killed_worker_is_no_lost_job(slurm: Any, start: Any, wait_until: Any) -> None:
    """Its agent starts another beside the one that lives; nothing is submitted."""
    cluster, _ = start(1)
    before = {worker.pid: worker.name for worker in cluster.scheduler.workers()}
    pid = min(before)
    slurm.exec(node_of(slurm, cluster.jobs[0].job_id), ["kill", "-KILL", str(pid)])

    def restarted() -> bool:
        now = {worker.pid: worker.name for worker in cluster.scheduler.workers()}
        return pid not in now and sorted(now.values()) == sorted(before.values())

    wait_until(restarted, 60, "the worker to be started again")
    assert [record.state for record in cluster.jobs] == [JobState.CONNECTED]


def test_a_job_that_takes_too_much_memory_is_told_as_that(
    slurm: Any, places: Path, wait_until: Any
) -> None:
    """Where control groups hold jobs to what they asked for, and where their memory is polled."""
    hog = """exec python3 -c 'import time; x = bytearray(10**9); time.sleep(60)'; """
    with SLURMCluster(**JOB, python=hog) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: cluster.jobs and cluster.jobs[0].cause, 60, "the end to be known")
        assert cluster.jobs[0].cause == "out of memory"


def test_a_preempted_job_that_is_requeued_is_the_same_job(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """It waits under its id, comes back, and no other comes; its first end is not its second."""
    cluster, client = start(1, "--exclusive", "--requeue")
    futures = begin(client, places, 2, wait_until)
    [first] = cluster.jobs
    make_room(slurm, first.job_id, seconds=1)
    wait_until(lambda: cluster.jobs[0].state is JobState.PENDING, 60, "the job to wait again")
    assert cluster.jobs[0].reason.startswith("BeginTime")
    assert cluster.jobs[0].restarts == 1
    slurm.run("scontrol", "update", f"jobid={first.job_id}", "StartTime=now")
    wait_until(lambda: connected(cluster) == 1, 90, "the job to come back")
    (places / "go").touch()
    assert client.gather(futures) == [first.job_id] * 2
    assert len(cluster.jobs) == 1
    assert [cluster.scheduler.state.tasks[future.key].deaths for future in futures] == [0, 0]
    kill_everything(slurm, cluster, first.job_id)
    wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 60, "its end to be known")
    assert (cluster.jobs[0].cause, cluster.jobs[0].reason) == ("crashed", "")
