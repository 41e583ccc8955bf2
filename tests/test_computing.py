"""`jobqueue.compute`: collections by whatever is there, or by name."""

from __future__ import annotations

import asyncio
import os
import threading
from operator import add
from typing import Any

import pytest

import jobqueue
from jobqueue import Client
from jobqueue.errors import ConfigError

dask = pytest.importorskip("dask", reason="dask is not installed: pip install 'jobqueue[dask]'")


def total() -> Any:
    return dask.delayed(sum)([dask.delayed(add)(i, 1) for i in range(4)])


def test_by_name():
    """One after the other, in threads, in processes, or by a function; what is none comes back."""
    where = dask.delayed(lambda: (os.getpid(), threading.get_ident()), pure=False)
    here = (os.getpid(), threading.get_ident())
    assert jobqueue.compute(where(), [total()], 7, scheduler="sync") == (here, [10], 7)
    [(pid, thread)] = jobqueue.compute(where(), scheduler="threads", num_workers=1)
    assert pid == here[0]
    assert thread != here[1]
    [(pid, _)] = jobqueue.compute(where(), scheduler="processes", num_workers=1)
    assert pid != here[0]
    assert jobqueue.compute(total(), scheduler=jobqueue.sync.get) == (10,)
    assert jobqueue.compute() == ()


def test_by_a_client():
    """By the one that is open, or by the one that is named, whatever dask's default is."""
    where = dask.delayed(os.getpid, pure=False)
    with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
        with Client(n_workers=1, threads_per_worker=1) as other:
            workers = {c: client_pid(c) for c in (client, other)}
            assert jobqueue.compute(where()) == (workers[other],)
            assert jobqueue.compute(where(), scheduler=client) == (workers[client],)
        assert jobqueue.compute(where()) == (workers[client],)
        assert client.submit(compute_inside).result() == 10
    assert jobqueue.compute(where()) == (os.getpid(),)


def client_pid(client: Client) -> int:
    return client.submit(os.getpid).result()  # type: ignore[no-any-return]


def compute_inside() -> int:
    """Compute in a task: with the client of its worker."""
    [result] = jobqueue.compute(dask.delayed(sum)([1, 2, 3, 4]))
    return result  # type: ignore[no-any-return]


def test_who_cannot_compute_it_is_refused():
    """A name that nobody has, and a client that would have to be awaited."""
    with pytest.raises(ConfigError, match="'sync', 'threads', 'processes'"):
        jobqueue.compute(total(), scheduler="treads")

    async def main() -> None:
        async with Client(n_workers=1, asynchronous=True) as client:
            for scheduler in (client, None):
                with pytest.raises(ConfigError, match=r"await client\.compute"):
                    jobqueue.compute(total(), scheduler=scheduler)

    asyncio.run(main())
