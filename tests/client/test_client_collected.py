"""Clients that nobody holds any more."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

from jobqueue import Client, LocalCluster


def test_a_client_is_collected_when_nobody_holds_it(
    cluster: Any, collected: Any, wait_until: Any
) -> None:
    """A future of it is somebody; after that the scheduler forgets it."""
    client = Client(cluster)
    future = client.submit(abs, -1)
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert future.result(timeout=30) == 1
    assert len(cluster.scheduler.state.clients) == 1
    del future
    collected(lambda: reference() is None)
    wait_until(lambda: not cluster.scheduler.state.clients, message="the scheduler to forget it")


def test_a_cluster_goes_with_its_last_client(collected: Any) -> None:
    """As when a notebook's cell is run again: neither was closed, and new ones take the names."""
    cluster = LocalCluster(n_workers=1, threads_per_worker=1)
    client = Client(cluster)
    core = cluster._core
    assert client.submit(abs, -1).result(timeout=30) == 1
    del client, cluster
    collected(lambda: core.status == "closed", message="the cluster to close")


def test_an_asynchronous_client_is_collected_too(cluster: Any) -> None:
    """In the event loop that it lives in."""

    async def main() -> None:
        client = await Client(cluster, asynchronous=True)
        assert await client.submit(abs, -1) == 1
        reference = weakref.ref(client)
        del client
        async with asyncio.timeout(30):
            while reference() or cluster.scheduler.state.clients:
                gc.collect()
                await asyncio.sleep(0.01)

    asyncio.run(main())
