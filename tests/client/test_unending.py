"""Tasks that never end: cancelled by force, and at the end of client and cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobqueue import Client, Future, LocalCluster, as_completed, get_client, wait
from jobqueue.errors import ClientClosed, JobQueueError, TaskCancelled


def spin(begun: Any) -> None:
    """Run Python code."""
    begun()
    while True:
        pass


def sleep(begun: Any) -> None:
    """Wait in the operating system."""
    import time

    begun()
    time.sleep(1000)


def block(begun: Any) -> None:
    """Wait for a lock."""
    import threading

    lock = threading.Lock()
    lock.acquire()
    begun()
    lock.acquire()


def defy(begun: Any) -> None:
    """Catch whatever comes."""
    begun()
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def hold(begun: Any) -> None:
    """Wait in C code that keeps the interpreter for itself, so that nothing else runs there."""
    import ctypes

    begun()
    ctypes.PyDLL(None).sleep(1000)


@pytest.fixture
def begin(tmp_path: Any, wait_until: Any) -> Callable[..., Any]:
    """Submit a task that never ends, and wait until it runs."""
    mark = tmp_path / "begun"

    def begin(client: Client, task: Callable[[Any], None]) -> Any:
        future = client.submit(task, mark.touch)
        wait_until(mark.exists, message="the task to begin")
        return future

    return begin


@pytest.mark.parametrize("task", [spin, sleep, block, defy])
def test_cancelling_by_force(
    client: Client, cluster: LocalCluster, begin: Callable[..., Any], task: Any, wait_until: Any
) -> None:
    """Its future says so at once; its thread runs other tasks soon, or its worker is replaced."""
    names = sorted(client.nthreads())
    future = begin(client, task)
    client.cancel(future, force=True)
    with pytest.raises(TaskCancelled, match=f"task '{future.key}' was cancelled"):
        future.result(30)
    assert client.gather(client.map(abs, range(-8, 0))) == list(range(8, 0, -1))
    wait_until(lambda: sorted(client.nthreads()) == names, message="both workers to be there")
    for name in names:
        assert client.submit(abs, -1, workers=name).result(30) == 1


def wait_by_awaiting(future: Future) -> Any:
    """Wait in a task that is a coroutine."""

    async def wait_for_it() -> Any:
        return await future

    return wait_for_it()


def wait_for_executor(future: Future) -> None:
    """Wait for a future of the standard library's."""
    get_client().get_executor(resources={"none": 1}).submit(abs).result()


WAYS_TO_WAIT: dict[str, Callable[[Future], Any]] = {
    "result": lambda future: future.result(),
    "timeout": lambda future: future.result(timeout=1000),
    "gather": lambda future: get_client().gather([future]),
    "wait": lambda future: wait([future]),
    "as_completed": lambda future: next(as_completed([future])),
    "await": wait_by_awaiting,
    "executor": lambda future: (
        get_client().get_executor(resources={"none": 1}).submit(abs).result()
    ),
    "wait_for_workers": lambda future: get_client().wait_for_workers(99),
}


@pytest.fixture
def patient(client: Client) -> Iterator[None]:
    """Workers give interrupted tasks longer to end than a busy machine takes."""

    def set_grace(seconds: float) -> float:
        from jobqueue.worker import interrupts

        before, interrupts.GRACE = interrupts.GRACE, seconds
        return before

    (before,) = set(client.run(set_grace, 9.0).values())
    yield
    client.run(set_grace, before)


@pytest.mark.parametrize("way", WAYS_TO_WAIT)
def test_what_waits_is_interrupted(
    client: Client,
    begin: Callable[..., Any],
    wait_until: Any,
    unharmed: None,
    patient: None,
    way: str,
) -> None:
    """However a task waits for others: no worker begins anew, which others' work would suffer."""
    wait_for = WAYS_TO_WAIT[way]

    def parent(begun: Any) -> Any:
        future = get_client().submit(abs, -1, resources={"none": 1})  # it never runs
        begun()
        return wait_for(future)

    begin(client, parent).cancel(force=True)
    wait_until(lambda: all(client.run(at_rest).values()), message="the task to have ended")


def at_rest(worker: Any) -> bool:
    """Return whether no thread of a worker's runs anything."""
    return bool(worker._duties.executor.at_rest)


@pytest.mark.parametrize("task", [spin, sleep])
def test_client_and_cluster_close_all_the_same(begin: Callable[..., Any], task: Any) -> None:
    """Neither waits for the task; no process is left, as every test here looks for."""
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
        client = Client(cluster)
        future = begin(client, task)
        client.close()
        with pytest.raises((ClientClosed, JobQueueError), match="closed"):
            future.result(30)
        cluster.close()
