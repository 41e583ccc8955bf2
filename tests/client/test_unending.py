"""Tasks that never end: cancelled by force, and at the end of client and cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.errors import ClientClosed, JobQueueError, TaskCancelled

IMPATIENCE = 15.0  # seconds after which nobody would call it prompt; much less is usual


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


@pytest.mark.parametrize("task", [spin, sleep])
def test_client_and_cluster_close_all_the_same(begin: Callable[..., Any], task: Any) -> None:
    """Neither waits for the task; no process is left, as every test here looks for."""
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
        client = Client(cluster)
        future = begin(client, task)
        started = time.monotonic()
        client.close()
        with pytest.raises((ClientClosed, JobQueueError), match="closed"):
            future.result(30)
        cluster.close()
        assert time.monotonic() - started < IMPATIENCE
