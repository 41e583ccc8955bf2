"""What a client tells of itself and of those that it is connected with."""

from __future__ import annotations

import asyncio

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.client import about
from jobqueue.errors import ClientClosed, ConfigError


def test_clients_have_an_id_and_a_status(cluster):
    """No two of a scheduler have the same id."""
    with Client(cluster, name="one") as one, Client(cluster, name="one") as other:
        assert one.id != other.id
        assert one.id.startswith("one-")
        assert one.status == "running"
        assert "running" in one._repr_html_()
    assert one.status == "closed"


def test_an_asynchronous_client_is_new_until_it_is_awaited(cluster):
    """Its name is all that is known of it then."""

    async def main():
        client = Client(cluster.scheduler_address, asynchronous=True, name="later")
        assert (client.id, client.status) == ("later", "newly-created")
        async with client:
            assert client.status == "running"
            assert (await client.get_versions(check=True))["workers"]

    asyncio.run(main())


def test_futures_by_key(client):
    """With what has become of each, as long as there is a future of it."""
    future = client.submit(abs, -1, key="known")
    assert future.result(30) == 1
    assert client.futures["known"] == "finished"


def test_versions_of_all(client, monkeypatch):
    """Client, scheduler and each worker; where they have to be the same, what differs is named."""
    there = client.get_versions(check=True, packages=["pytest"])
    assert set(there["workers"]) == set(client.nthreads())
    assert there["scheduler"]["packages"] == there["client"]["packages"]
    assert there["client"]["packages"]["pytest"]
    for one in there["workers"].values():
        assert one["packages"] == there["client"]["packages"]
    other = {**there["client"], "packages": {**there["client"]["packages"], "numpy": "0.1"}}
    monkeypatch.setattr(about, "versions", lambda packages: other)
    with pytest.raises(ConfigError, match=r"numpy: 0\.1 \(client\); .*scheduler"):
        about._compare({"client": other, "scheduler": there["scheduler"], **there["workers"]})


def test_shutdown_ends_the_cluster_too():
    """With its scheduler, its jobs and its other clients."""
    with LocalCluster(n_workers=0) as cluster:
        client = Client(cluster)
        client.shutdown()
        assert client.status == "closed"
        assert cluster.status == "closed"
        with pytest.raises(ClientClosed):
            client.submit(abs, -1)


def test_who_knows_an_address_alone_ends_no_scheduler(cluster):
    """That is for the program which has started it."""
    with Client(cluster.scheduler_address) as client:
        with pytest.raises(ConfigError, match="belongs to another program"):
            client.shutdown()
        assert client.status == "running"


def test_what_the_scheduler_knows_of_its_workers(client):
    """Of all of them, or of some."""
    for many in (None, -1, 5):
        assert set(client.scheduler_info(n_workers=many)["workers"]) == set(client.nthreads())
    assert len(client.scheduler_info(n_workers=1)["workers"]) == 1


def test_a_cluster_makes_clients():
    """In the thread or the event loop where the cluster is."""

    async def main():
        async with (
            LocalCluster(n_workers=0, asynchronous=True) as cluster,
            cluster.get_client() as client,
        ):
            assert client.cluster is cluster
            assert await client.retire_workers(close_workers=True) == []
            await client.close(timeout=1)

    asyncio.run(main())
    with LocalCluster(n_workers=0) as cluster:
        client = cluster.get_client()
        assert client.cluster is cluster
        client.close(timeout="2 s")
