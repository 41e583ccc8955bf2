"""What each of an agent's workers gets of what there is."""

from __future__ import annotations

import os

import pytest

from jobqueue.worker.argument_values import AUTO
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.limits import AGENT_RESERVE
from jobqueue.worker.shares import staggered_lifetime, worker_options

ONE = AgentOptions(("a",), "jq")
FOUR = ONE._replace(nworkers=4)


def test_cpus_are_shared() -> None:
    """Evenly; a worker has at least one thread, and as many as were asked for."""
    assert [w.nthreads for w in worker_options(FOUR, cpus=9, memory=2**33)] == [2] * 4
    assert worker_options(FOUR, cpus=2, memory=2**33)[0].nthreads == 1
    assert worker_options(FOUR._replace(nthreads=3), cpus=2, memory=2**33)[3].nthreads == 3


@pytest.mark.parametrize(("cpus", "shape"), [(1, (1, 1)), (4, (4, 1)), (24, (6, 4)), (7, (7, 1))])
def test_as_many_workers_as_suit_the_cpus(cpus: int, shape: tuple[int, int]) -> None:
    """Processes and threads are balanced."""
    workers = worker_options(ONE._replace(nworkers=AUTO), cpus=cpus, memory=2**33)
    assert (len(workers), workers[0].nthreads) == shape
    assert [w.name for w in workers] == [f"jq-{slot}" for slot in range(len(workers))]


def test_memory_is_shared() -> None:
    """What was asked for is kept where it fits, in bytes or as a fraction of what there is."""
    share = (2**33 - AGENT_RESERVE) // 4
    for asked, limit in [(None, None), (10**9, 10**9), (AUTO, share), (0.125, 2**30), (1.0, share)]:
        options = FOUR._replace(memory_limit=asked)
        assert worker_options(options, cpus=9, memory=2**33)[3].memory_limit == limit


def test_no_worker_is_promised_more_than_a_process_may_take() -> None:
    """As `ulimit` says."""
    assert worker_options(ONE, cpus=1, memory=2**33, each=10**9)[0].memory_limit == 10**9


def test_results_go_where_temporary_files_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a folder was named; many batch systems give each job a TMPDIR of its own."""
    monkeypatch.setenv("TMPDIR", "/scratch/job17")
    assert worker_options(ONE, cpus=1, memory=2**33)[0].local_directory == "/scratch/job17"
    monkeypatch.delenv("TMPDIR")
    assert worker_options(ONE, cpus=1, memory=2**33)[0].local_directory == "/tmp"
    named = ONE._replace(local_directory="/local")
    assert worker_options(named, cpus=1, memory=2**33)[0].local_directory == "/local"


def test_gpus_are_shared() -> None:
    """Each worker has those that it offers; where none are offered, all see what there is."""
    environ = {"CUDA_VISIBLE_DEVICES": "2,3,4,5"}
    gpus = FOUR._replace(resources={"GPU": 1.0})
    workers = worker_options(gpus, cpus=4, memory=2**33, environ=environ)
    assert [w.devices["CUDA_VISIBLE_DEVICES"] for w in workers] == [("2",), ("3",), ("4",), ("5",)]
    assert worker_options(FOUR, cpus=4, memory=2**33, environ=environ)[0].devices == {}


def test_the_first_worker_of_several_nodes_offers_the_job() -> None:
    """Beside what each worker offers; those of the other nodes, and other slots, do not."""
    first = FOUR._replace(resources={"MEM": 2.0}, nodes=3)
    offers = [w.resources for w in worker_options(first, cpus=4, memory=2**33)]
    assert offers == [{"MEM": 2.0, "nodes": 3.0}, *[{"MEM": 2.0}] * 3]
    other = first._replace(rank=1)
    assert worker_options(other, cpus=4, memory=2**33)[0].resources == {"MEM": 2.0}


def test_agents_do_not_end_all_at_once() -> None:
    """A lifetime is changed at random, within bounds; without one there is nothing to change."""
    options = ONE._replace(lifetime=100.0, lifetime_stagger=20.0)
    lifetimes = {staggered_lifetime(options) for _ in range(50)}
    assert len(lifetimes) > 1
    assert all(lifetime is not None and 80 <= lifetime <= 120 for lifetime in lifetimes)
    assert staggered_lifetime(options._replace(lifetime_stagger=0.0)) == 100.0
    assert staggered_lifetime(ONE) is None
    assert worker_options(ONE, cpus=1, memory=2**33)[0].agent_pid == os.getpid()
