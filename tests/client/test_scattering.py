"""Values that a client has go where they are wanted, and nowhere else."""

from __future__ import annotations

import asyncio
import collections

import pytest

from jobqueue import Client, Future
from jobqueue.errors import ConfigError
from tests.client.conftest import await_workers


def test_scatter_keeps_the_shape(client):
    """Values, lists, tuples and dicts become futures in the same places."""
    assert client.scatter(5).result(30) == 5
    assert client.gather(client.scatter([1, 2])) == [1, 2]
    assert client.gather(client.scatter((1, 2))) == (1, 2)
    pair = collections.namedtuple("pair", "one other")(1, 2)
    assert client.gather(client.scatter(pair)) == pair
    scattered = client.scatter({"x": [1, 2], "y": "text"})
    assert {name: type(future) for name, future in scattered.items()} == {"x": Future, "y": Future}
    assert client.gather(scattered) == {"x": [1, 2], "y": "text"}


def test_what_stands_for_several_values(client):
    """Ranges, iterators and views of dicts are lists of what they bring."""
    for several in (range(3), iter([0, 1, 2]), map(abs, range(3)), {0: 0, 1: 1, 2: 2}.keys()):
        futures = client.scatter(several)
        assert isinstance(futures, list)
        assert client.gather(futures) == [0, 1, 2]


def test_values_scattered_to_workers(client):
    """To one that is named, to all, or where there is room."""
    name = min(client.nthreads())
    here = client.scatter(bytes(100_001), workers=name)
    client.replicate(here, n=1)  # an answer comes once it has arrived
    assert client.who_has(here)[here.key] == (name,)
    everywhere = client.scatter([bytes(100_002)], broadcast=True)
    client.replicate(everywhere)
    assert len(client.who_has(everywhere)[everywhere[0].key]) == 2


def test_a_worker_that_there_is_not(client, cluster):
    """It is refused, as by all that names workers; so is a pool that the cluster has not."""
    before = set(client.who_has())
    for workers in ("nobody", [min(client.nthreads()), "nobody"]):
        with pytest.raises(ConfigError, match="no worker is known as 'nobody'"):
            client.scatter(bytes(100_003), workers=workers)
    with pytest.raises(ConfigError, match="the cluster has no pool 'gpu'"):
        client.scatter(bytes(100_003), workers="pool:gpu")
    assert set(client.who_has()) <= before


def test_workers_that_come_later_have_what_all_are_to_have(own_cluster, wait_until):
    """A value that is broadcast is at each new worker as well, for as long as it is wanted."""
    with Client(own_cluster) as client:
        everywhere = client.scatter(bytes(100_004), broadcast=True)
        own_cluster.scale(2)
        await_workers(own_cluster, 2)
        wait_until(lambda: len(client.who_has(everywhere)[everywhere.key]) == 2)


def test_with_an_asynchronous_client(cluster):
    """What scatters is awaited, and raises there."""

    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True) as client:
            future = await client.scatter(7)
            assert await future == 7
            name = min(await client.nthreads())
            assert await (await client.scatter([8], workers=name))[0] == 8
            with pytest.raises(ConfigError, match="no worker is known as 'nobody'"):
                await client.scatter(8, workers="nobody")

    asyncio.run(main())
