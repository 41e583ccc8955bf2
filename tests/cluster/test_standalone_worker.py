"""A worker as an object: in the user's own process, for any scheduler it can reach."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue import Client, LocalCluster, Scheduler, Worker, get_client, get_worker
from jobqueue.comm import Credentials
from jobqueue.errors import CommError, ConfigError


@pytest.fixture(autouse=True)
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(folder / "state"))
    return folder / "state"


@pytest.fixture
def scheduler(state: Path) -> Iterator[Scheduler]:
    """A scheduler without workers."""
    with Scheduler(host="127.0.0.1") as scheduler:
        yield scheduler


def test_tasks_run_in_this_process(scheduler: Scheduler) -> None:
    """In its threads, beside the program that made it."""
    with Worker(scheduler, nthreads=2, name="mine") as worker, Client(scheduler) as client:
        assert client.submit(os.getpid).result() == os.getpid()
        assert client.submit(lambda: get_worker().name).result() == worker.name == "mine"
        assert repr(worker) == "Worker('mine', running, 2 threads)"
    assert repr(worker) == "Worker('mine', closed, 2 threads)"
    assert scheduler.workers() == []


def test_what_it_is_is_told(scheduler: Scheduler) -> None:
    """Threads, memory and resources as given; a name is made of host and process."""
    with Worker(scheduler, nthreads=3, memory_limit="1 GiB", resources={"GPU": 2}) as worker:
        [info] = scheduler.workers()
        assert (info.name, info.nthreads, info.memory_limit) == (worker.name, 3, 1 << 30)
        assert str(os.getpid()) in worker.name


def test_results_are_in_the_mapping_that_was_given(scheduler: Scheduler) -> None:
    """Any mutable mapping will do."""
    data: dict[str, object] = {}
    with Worker(scheduler, data=data), Client(scheduler) as client:
        future = client.submit(bytes, 100_000)
        assert len(future.result()) == 100_000
        assert list(data) == [future.key]


def test_the_address_alone_is_enough(scheduler: Scheduler) -> None:
    """Credentials are found as a client finds them, or are those that are named."""
    folder = f"{scheduler.credentials}/worker"
    with (
        Worker(scheduler.address, name="a"),
        Worker(scheduler.address, name="b", credentials=folder),
    ):
        assert {worker.name for worker in scheduler.workers()} == {"a", "b"}


def test_it_may_come_before_its_scheduler(folder: Path, wait_until) -> None:
    """It waits for the file; a client's task then runs on it."""
    path = folder / "scheduler.json"
    with Worker(scheduler_file=path) as worker:
        assert worker.status == "running"
        with (
            Scheduler(host="127.0.0.1", scheduler_file=path) as scheduler,
            Client(scheduler) as client,
        ):
            assert client.submit(abs, -1).result(timeout=30) == 1
        wait_until(lambda: worker.status == "closed", message="the worker to be told to end")


def test_its_tasks_may_submit_tasks(scheduler: Scheduler) -> None:
    """Their client is not the one that the program's own code finds."""
    with Worker(scheduler, nthreads=1), Client(scheduler) as client:
        inner = client.submit(lambda: get_client().submit(abs, -3).result())
        assert inner.result(timeout=30) == 3
        assert get_client() is client


def test_two_workers_exchange_results(scheduler: Scheduler) -> None:
    """Over connections between them, as workers of processes do."""
    with (
        Worker(scheduler, nthreads=1),
        Worker(scheduler, nthreads=1),
        Client(scheduler) as client,
    ):
        pieces = client.map(bytes, [50_000 + size for size in range(8)])
        totals = client.map(lambda a, b: len(a) + len(b), pieces, pieces[::-1])
        assert client.gather(totals) == [100_007] * 8


def test_a_local_cluster_takes_one_more_worker() -> None:
    """Its address is a Unix socket."""
    with LocalCluster(n_workers=0) as cluster, Worker(cluster) as worker, Client(cluster) as client:
        assert client.submit(lambda: get_worker().name).result() == worker.name


def test_it_lives_in_the_running_event_loop_if_asked() -> None:
    """With scheduler and client beside it."""

    async def main() -> int:
        async with (
            Scheduler(host="127.0.0.1", asynchronous=True) as scheduler,
            Worker(scheduler, asynchronous=True),
            Client(scheduler, asynchronous=True) as client,
        ):
            return await client.submit(abs, -5)

    assert asyncio.run(main()) == 5


def test_whom_a_scheduler_refuses_hears_why(scheduler: Scheduler, folder: Path) -> None:
    """At once, when it is made."""
    Credentials.create("another").save(folder / "another")
    with pytest.raises(CommError):
        Worker(scheduler.address, credentials=folder / "another" / "worker")


def test_it_ends_if_no_scheduler_comes(wait_until) -> None:
    """After the death timeout, if one was given."""
    with Worker("tls://127.0.0.1:1", death_timeout=0.1) as worker:
        wait_until(lambda: worker.status == "closed", message="the worker to give up")


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((), {}, "give a scheduler, a cluster or an address"),
        (("tls://a:1",), {"scheduler_file": "f"}, "give a scheduler, a cluster or an address"),
        (("nonsense",), {}, "'nonsense' is not an address"),
        (("tls://a:1",), {"nthreads": 0}, "at least one thread"),
        (("tls://a:1",), {"memory_limit": "much"}, "memory_limit='much'"),
    ],
)
def test_what_cannot_be_used_is_told(arguments, keywords, message) -> None:
    """One line with the value and the remedy."""
    with pytest.raises(ConfigError, match=message):
        Worker(*arguments, **keywords)
