"""Jobs, nodes, processes and networks that fail while tasks run: results stay right."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.cluster.jobs import JobState

JOB = {"cores": 1, "memory": "512MB", "walltime": "00:10:00", "death_timeout": 30}
APART = ["--exclusive", "--no-requeue"]  # each job on a node of its own

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def start(wait_until: Any) -> Iterator[Callable[..., tuple[SLURMCluster, Client]]]:
    """Return a cluster whose jobs have all connected, and its client."""
    opened: list[Any] = []

    def start(jobs: int, **keywords: Any) -> tuple[SLURMCluster, Client]:
        cluster = SLURMCluster(**{**JOB, "job_extra_directives": APART, **keywords})
        client = Client(cluster)
        opened.extend([cluster, client])
        cluster.scale(jobs=jobs)
        client.wait_for_workers(cluster._plan.pools["default"].size.workers * jobs, timeout=60)
        wait_until(lambda: connected(cluster) == jobs, message="the jobs to be known as connected")
        return cluster, client

    yield start
    for each in reversed(opened):
        each.close()


def connected(cluster: SLURMCluster) -> int:
    return [job.state for job in cluster.jobs].count(JobState.CONNECTED)


def deaths(cluster: SLURMCluster, key: str) -> int:
    """How many deaths of workers a task is blamed for."""
    return int(cluster.scheduler.state.tasks[key].deaths)


def square(number: int, folder: Path, seconds: float) -> int:
    """Leave a mark, with the node's name, for each time it is run."""
    import os
    import time
    import uuid

    (folder / f"{number}-{os.uname().nodename}-{uuid.uuid4().hex}").touch()
    time.sleep(seconds)
    return number * number


def large(folder: Path) -> bytes:
    """Make a result that stays on its worker; leave a mark for each time it is run."""
    import uuid

    (folder / f"large-{uuid.uuid4().hex}").touch()
    return bytes(1_000_000)


def stuck_at_first(folder: Path) -> tuple[str, str]:
    """Take for ever, except when it is run again; tell the node and the job it ran in."""
    import time

    try:
        (folder / "begun").touch(exist_ok=False)
        time.sleep(600)
    except FileExistsError:
        pass
    array, element = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return os.uname().nodename, f"{array}_{element}" if array else os.environ["SLURM_JOB_ID"]


def begin_stuck(client: Client, places: Path, wait_until: Any) -> Any:
    """Begin a task that is to lose its worker; give its future."""
    future = client.submit(stuck_at_first, places)
    wait_until((places / "begun").exists, message="the task to begin")
    return future


def job_of(cluster: SLURMCluster, future: Any) -> str:
    """Give the job whose worker runs a task."""
    task = cluster.scheduler.state.tasks[future.key]
    return str(task.worker.job_id)


def processes_of(job: str) -> tuple[psutil.Process, list[psutil.Process]]:
    """Find the agent of a job among the processes of this machine, and its workers."""
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "jobqueue.worker" in command and job in command:
            return process, process.children()
    raise AssertionError(f"job {job} has no agent")


def test_a_node_that_dies_loses_nothing(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Only what ran there is run again; the job is replaced."""
    marks = places / "marks"
    marks.mkdir()
    jobs = len(slurm.nodes) - 1
    cluster, client = start(jobs)
    futures = client.map(square, range(90), folder=marks, seconds=0.1)
    wait_until(lambda: len(list(marks.iterdir())) > 20, message="some tasks to have run")
    [victim, *_] = slurm.squeue("%N")
    known = {number for number, future in enumerate(futures) if future.done()}
    slurm.kill_node(slurm.nodes.index(victim) + 1, noticed=True)
    assert client.gather(futures) == [number**2 for number in range(90)]
    nodes: dict[int, list[str]] = {}
    for mark in marks.iterdir():
        number, node, _ = mark.name.split("-")
        nodes.setdefault(int(number), []).append(node)
    again = {number: where for number, where in nodes.items() if len(where) > 1}
    assert all(len(where) == 2 and victim in where for where in again.values())
    assert not known & again.keys(), "results that had come"
    wait_until(lambda: connected(cluster) == jobs, 90, "the replacement to connect")
    assert [job.cause for job in cluster.jobs if job.state is JobState.ENDED] == ["node failed"]


def test_a_job_cancelled_by_somebody_else_costs_its_tasks_nothing(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """The task is run again elsewhere, and is not blamed for it."""
    cluster, client = start(2)
    future = begin_stuck(client, places, wait_until)
    job = job_of(cluster, future)
    slurm.run("scancel", job)
    _, rerun = future.result(timeout=60)
    assert rerun != job
    assert deaths(cluster, future.key) == 0


def test_a_job_at_its_time_limit_costs_its_tasks_nothing(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """What ran is run again elsewhere, unblamed; a result that was only there has moved."""
    cluster, client = start(1)
    only_there = client.submit(large, places)
    future = begin_stuck(client, places, wait_until)
    job = job_of(cluster, future)
    cluster.scale(jobs=2)
    client.wait_for_workers(2, timeout=60)
    slurm.advance_walltime(job, 1)
    assert future.result(timeout=90)[1] != job
    assert deaths(cluster, future.key) == 0
    wait_until(lambda: cluster.jobs[0].state is JobState.ENDED, 60, "the end to be known")
    assert cluster.jobs[0].cause == "walltime"
    assert len(only_there.result(timeout=30)) == 1_000_000
    assert len(list(places.glob("large-*"))) == 1


def test_a_killed_worker_is_started_again_in_its_job(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """The agent does it; Slurm is not asked for anything, and the task runs again."""
    cluster, client = start(1)
    future = begin_stuck(client, places, wait_until)
    job = cluster.jobs[0].job_id
    _, [worker] = processes_of(job)
    worker.send_signal(signal.SIGKILL)
    assert future.result(timeout=60)[1] == job
    assert len(cluster.jobs) == 1
    assert deaths(cluster, future.key) == 1


def test_a_killed_agent_takes_its_workers_along(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Nothing goes on outside of a job; another job comes."""
    cluster, client = start(1, cores=2, processes=2)
    future = begin_stuck(client, places, wait_until)
    job = cluster.jobs[0].job_id
    agent, workers = processes_of(job)
    agent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(worker.is_running() for worker in workers), message="their end")
    assert future.result(timeout=60)[1] != job
    assert [job.cause for job in cluster.jobs if job.state is JobState.ENDED] == ["crashed"]


def test_a_short_cut_of_the_network_is_slept_through(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Packets are sent again when it is healed: no job, no worker and no result is lost."""
    marks = places / "marks"
    marks.mkdir()
    cluster, client = start(2)
    before = {worker.name for worker in cluster.scheduler.workers()}
    futures = client.map(square, range(40), folder=marks, seconds=0.1)
    wait_until(lambda: len(list(marks.iterdir())) > 10, message="some tasks to have run")
    victim = slurm.nodes.index(slurm.squeue("%N")[0]) + 1
    slurm.cut(victim)
    futures += client.map(square, range(40, 80), folder=marks, seconds=0.1)
    done = len(list(marks.iterdir()))
    wait_until(lambda: len(list(marks.iterdir())) > done + 10, message="the others to go on")
    slurm.heal(victim)
    assert client.gather(futures) == [number**2 for number in range(80)]
    assert len(list(marks.iterdir())) == 80
    assert {worker.name for worker in cluster.scheduler.workers()} == before
    assert connected(cluster) == len(cluster.jobs) == 2


@pytest.mark.nodes(3)
def test_a_node_that_stays_cut_off_is_replaced_and_ends_by_itself(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Nobody says goodbye: the kernel notices on either side, and the log there says so."""
    cluster, client = start(2, death_timeout=6)
    future = begin_stuck(client, places, wait_until)
    job = job_of(cluster, future)
    victim = slurm.nodes.index(*slurm.squeue("%N", f"--job={job}")) + 1
    agent, _ = processes_of(job)
    slurm.cut(victim)
    assert future.result(timeout=90)[1] != job
    wait_until(lambda: not agent.is_running(), 90, "the agent on the other side to end")
    wait_until(lambda: connected(cluster) == 2, 90, "the replacement to connect")
    last = cluster.logs(job).splitlines()[-1]
    assert "ends exit_code=3" in last
    assert "no scheduler for 6 s; the connection ended: " in last


def test_scaling_down_loses_and_repeats_nothing(
    slurm: Any, start: Any, places: Path, wait_until: Any
) -> None:
    """Results that live only on those who have to go move to those who stay."""
    cluster, client = start(len(slurm.nodes))
    futures = client.map(lambda number, folder: (number, large(folder)), range(40), folder=places)
    wait_until(lambda: all(future.done() for future in futures), message="all results")
    holders = [worker for worker in cluster.scheduler.workers() if worker.stored_bytes]
    assert len(holders) == len(slurm.nodes)
    cluster.scale(jobs=1)
    wait_until(lambda: len(slurm.squeue()) == 1, 60, "all jobs but one to end")
    assert [number for number, _ in client.gather(futures)] == list(range(40))
    assert len(list(places.glob("large-*"))) == 40
