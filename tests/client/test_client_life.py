"""How clients begin and end: whom they connect to, what closing leaves, several of them, forks."""

from __future__ import annotations

import asyncio
import os
import threading

import psutil
import pytest

from jobqueue import Client, LocalCluster, wait
from jobqueue.errors import ClientClosed, CommError, ConfigError, JobQueueError


def worker_processes() -> list[psutil.Process]:
    """All processes below this one."""
    return psutil.Process().children(recursive=True)


def test_a_client_without_a_cluster_makes_its_own():
    """It starts workers of this machine, and ends them when it is closed."""
    before = {process.pid for process in worker_processes()}
    with Client(n_workers=1, threads_per_worker=3) as client:
        assert client.submit(pow, 2, 10).result(30) == 1024
        assert list(client.nthreads().values()) == [3]
        mine = [process for process in worker_processes() if process.pid not in before]
        assert mine
        cluster = client.cluster
        assert "LocalCluster" in repr(client)
    assert cluster.status == "closed"
    assert not psutil.wait_procs(mine, timeout=30)[1]


def test_an_asynchronous_client_without_a_cluster():
    """The same in the running event loop."""

    async def main():
        async with Client(asynchronous=True) as client:
            assert await client.submit(pow, 2, 10) == 1024
            cluster = client.cluster
        assert cluster.status == "closed"

    asyncio.run(main())


def test_a_client_by_address(cluster):
    """An address is enough where it needs no credentials."""
    with Client(cluster.scheduler_address) as client:
        assert client.gather(client.map(abs, [-1, -2])) == [1, 2]
        assert len(client.submit(bytes, 100_000).result(30)) == 100_000
        assert cluster.scheduler_address in repr(client)
    assert cluster.status == "running"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (123, "123 is neither a cluster nor an address"),
        (["tls://a:1"], "neither a cluster nor an address"),
        ("nonsense", "nonsense"),
        ("http://10.0.0.1:80", "http"),
        ("tls://10.0.0.1", "port"),
        ("", "''"),
    ],
)
def test_addresses_that_are_none(address, words):
    """One clear error at once."""
    with pytest.raises(ConfigError, match=words):
        Client(address)


def test_keywords_of_other_clients(cluster):
    """What they say of connections goes by itself here, with and without a cluster."""
    with Client(cluster, direct_to_workers=True, heartbeat_interval="5 s") as client:
        assert client.submit(abs, -1).result(30) == 1
    with Client(n_workers=0, serializers=["pickle"], set_as_default=False) as client:
        assert client.nthreads() == {}


def test_keywords_of_a_cluster_that_is_there_already(cluster):
    """They would mean nothing; nor do those that no cluster has."""
    with pytest.raises(ConfigError, match=r"n_workers=.*without an address .* of LocalCluster"):
        Client(cluster, n_workers=4)
    with pytest.raises(ConfigError, match=r"'n_worker' is no keyword of LocalCluster.*n_workers"):
        Client(n_worker=4)


def test_nobody_listens(tmp_path):
    """An address where no scheduler is: what was tried, and how it failed."""
    with pytest.raises(CommError, match=f"{tmp_path}/gone"):
        Client(f"unix://{tmp_path}/gone", timeout=5)


def test_credentials_that_cannot_be_used(tmp_path):
    """A folder that is not there, and an address that needs credentials but got none."""
    with pytest.raises(JobQueueError, match="nowhere"):
        Client("tls://127.0.0.1:1", credentials=tmp_path / "nowhere", timeout=5)
    with pytest.raises(JobQueueError, match="credentials"):
        Client("tls://127.0.0.1:1", timeout=0.1)


def test_closing_twice(cluster):
    """Closing again, or leaving the block after closing, does nothing."""
    with Client(cluster) as client:
        client.close()
        client.close()
    assert repr(client).startswith("<Client closed")


def test_after_closing(cluster, gate):
    """Pending futures raise, results that came are still there, and nothing can be submitted."""
    client = Client(cluster)
    pending = client.submit(gate.function)
    small, large = client.submit(abs, -1), client.submit(bytes, 100_000)
    failed = client.submit(lambda: 1 / 0)
    wait([small, large, failed], timeout=30)
    assert small.result(30) == 1
    client.close()
    assert small.result(1) == 1
    assert isinstance(failed.exception(1), ZeroDivisionError)
    with pytest.raises(ClientClosed, match="the client is closed"):
        pending.result(1)
    with pytest.raises(ClientClosed, match=r"was still on a worker.*gather results before closing"):
        large.result(1)
    with pytest.raises(ClientClosed):
        client.gather([small, pending, large])
    calls = (
        lambda: client.submit(abs, 1),
        lambda: client.map(abs, [1]),
        lambda: client.scatter(1),
        lambda: client.wait_for_workers(1),
    )
    client.cancel(pending)  # there is nothing left to do
    for call in calls:
        with pytest.raises(ClientClosed, match="the client is closed"):
            call()
    gate.open()


def test_closing_frees_what_only_this_client_wanted(cluster, client, wait_until):
    """The scheduler forgets a closed client's tasks although their futures live on."""
    with Client(cluster) as other:
        futures = other.map(bytes, [10_000] * 5)
        wait(futures, timeout=30)
    tasks = cluster.scheduler.state.tasks
    wait_until(lambda: not {future.key for future in futures} & set(tasks))
    assert client.submit(abs, -1).result(30) == 1


def test_two_clients_of_one_cluster(cluster, client):
    """Their tasks do not mix; a pure call of both is one task, held as long as one wants it."""
    with Client(cluster) as other:
        mine, theirs = client.map(abs, range(-5, 0)), other.map(abs, range(-15, -10))
        assert not {f.key for f in mine} & {f.key for f in theirs}
        assert other.gather(theirs) == [15, 14, 13, 12, 11]
        assert client.gather(mine) == [5, 4, 3, 2, 1]
        shared = [c.submit(bytes, 50_000, pure=True) for c in (client, other)]
        assert shared[0].key == shared[1].key
        wait(shared[:1], timeout=30)
        wait(shared[1:], timeout=30)
    assert len(shared[0].result(30)) == 50_000


def test_another_client_cannot_cancel_what_both_want(cluster, client, gate):
    """A task that another client wants too goes on."""
    with Client(cluster) as other:
        blocked = client.map(gate.function, range(2))
        gate.await_arrivals(2)
        mine = client.submit(abs, -7, key="wanted-by-both")
        theirs = other.submit(abs, -7, key="wanted-by-both")
        other.wait_for_workers(1, timeout=30)  # an answer: by now the scheduler knows of both
        other.cancel(theirs)
        gate.open(2)
        assert client.gather([*blocked, mine]) == [0, 1, 7]


def test_futures_after_the_cluster_is_closed(own_cluster, gate):
    """Whoever waits learns that the scheduler is gone."""
    client = Client(own_cluster)
    future = client.submit(gate.function)
    gate.await_arrivals()
    errors: list[BaseException] = []
    waiting = threading.Thread(target=lambda: errors.append(future.exception()))
    waiting.start()
    gate.open()  # a worker that ends waits for its task
    blocked = client.submit(gate.function)
    own_cluster.close()
    waiting.join(30)
    with pytest.raises(ClientClosed, match="connection to the scheduler has ended"):
        blocked.result(30)
    with pytest.raises(ClientClosed):
        client.submit(abs, 1)
    client.close()


def test_a_client_of_a_closed_cluster(own_cluster):
    """It cannot be made, and says why."""
    own_cluster.close()
    with pytest.raises(JobQueueError, match="closed"):
        Client(own_cluster, timeout=5)


def test_asynchronous_client_and_cluster_in_one_loop():
    """Everything in the user's event loop, without a thread."""

    async def main():
        async with LocalCluster(n_workers=1, threads_per_worker=1, asynchronous=True) as cluster:
            async with Client(cluster, asynchronous=True) as client:
                await client.wait_for_workers(1, timeout=30)
                futures = client.map(abs, range(-5, 0))
                assert await client.gather(futures) == [5, 4, 3, 2, 1]
                data = await client.scatter(bytes(100_000))
                assert await client.submit(len, data) == 100_000
                assert len(await data) == 100_000
            with pytest.raises(ClientClosed):
                client.submit(abs, 1)

    asyncio.run(main())


def test_asynchronous_client_of_a_synchronous_cluster(cluster):
    """They live in different event loops, and speak through the socket."""

    async def main():
        client = await Client(cluster, asynchronous=True)
        try:
            futures = client.map(abs, range(-1200, 0))
            assert await client.gather(futures) == list(range(1200, 0, -1))
        finally:
            await client.close()

    asyncio.run(main())


def test_synchronous_client_of_an_asynchronous_cluster():
    """In the same thread it would wait for itself: refused at once. In another it works."""

    async def main():
        async with LocalCluster(n_workers=1, threads_per_worker=1, asynchronous=True) as cluster:
            with pytest.raises(ConfigError, match="asynchronous=True"):
                Client(cluster)

            def in_a_thread():
                with Client(cluster) as client:
                    return client.submit(abs, -1).result(30)

            assert await asyncio.to_thread(in_a_thread) == 1

    asyncio.run(main())


def test_an_asynchronous_client_that_was_not_awaited(cluster):
    """It says what is missing."""

    async def main():
        client = Client(cluster, asynchronous=True)
        with pytest.raises(ClientClosed, match="not started: await it first"):
            client.submit(abs, 1)
        with pytest.raises(JobQueueError, match="async with"), client:
            pass

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own_client(client):
    """In a fork nothing hangs: what waits, and what submits, says whose client this is."""
    future = client.submit(bytes, 100_000)
    done = client.submit(abs, -1)
    wait([future, done], timeout=30)
    pending = client.submit(lambda: None)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = []
        for call in (
            lambda: client.submit(abs, 1),
            lambda: client.map(abs, [1]),
            lambda: client.scatter(1),
            lambda: future.result(),
            lambda: client.wait_for_workers(1),
            lambda: pending.result() or client.submit(abs, 1),
        ):
            try:
                said.append(repr(call()))
            except ClientClosed as error:
                said.append("told" if "forked" in str(error) else str(error))
            except BaseException as error:
                said.append(repr(error))
        said.append(str(done.result()))
        del future, pending
        client.close()
        os.write(writing, ";".join(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == ";".join(["told"] * 6 + ["1"])
    os.waitpid(child, 0)
    assert len(future.result(30)) == 100_000
    assert client.submit(abs, -2).result(30) == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_may_have_a_client_of_its_own(cluster, client):
    """A new client, by address, works in the child."""
    address = cluster.scheduler_address
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            with Client(address) as mine:
                said = str(mine.submit(abs, -5).result(30))
        except BaseException as error:
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "5"
    os.waitpid(child, 0)
    assert client.submit(abs, -2).result(30) == 2
