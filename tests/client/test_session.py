"""Which client is meant where none is named, and how one finds its scheduler."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import threading
import weakref
from types import SimpleNamespace

import pytest

from jobqueue import Client, Queue, Scheduler, as_completed, get_client, wait
from jobqueue.client import destination, session
from jobqueue.comm.scheduler_file import SchedulerFile
from jobqueue.errors import ClientClosed, CommError, ConfigError, SerializationError
from jobqueue.protocol.running import running


@pytest.fixture
def no_client(monkeypatch):
    """As in a process where no client was made."""
    monkeypatch.setattr(session, "_sessions", weakref.WeakValueDictionary())


def test_the_last_client_that_is_open_is_meant(cluster, no_client):
    """Those that were closed are not; without any there is an error."""
    with pytest.raises(ClientClosed, match=r"no client is open in this process: make one"):
        Client.current()
    with Client(cluster) as first:
        with Client(cluster) as second:
            assert Client.current() is second
        assert Client.current() is first


def test_the_client_of_an_event_loop_is_meant_in_it(cluster, no_client):
    """In other threads a synchronous one comes before it."""

    async def main():
        async with Client(cluster, asynchronous=True) as mine:
            with pytest.raises(ClientClosed, match="not started"):
                Client(cluster, asynchronous=True).submit(abs, 1)
            assert Client.current() is mine
            assert await asyncio.to_thread(Client.current) is first

    with Client(cluster) as first:
        asyncio.run(main())


def test_a_client_that_is_no_default(cluster, no_client):
    """It is meant only where there is no other, or where one says so."""
    with Client(cluster, set_as_default=False) as reserved:
        assert Client.current() is reserved
        with Client(cluster) as usual, Client(cluster, set_as_default=False) as newest:
            assert Client.current() is get_client() is usual
            assert Queue("q").client is usual
            pickled = pickle.dumps(newest.submit(abs, -1))
            assert pickle.loads(pickled).client is usual
            with newest.as_current() as current:
                assert current is newest
                assert Client.current() is get_client() is Queue("q").client is newest
                with reserved.as_current():
                    assert pickle.loads(pickled).client is reserved
                assert Client.current() is newest
                elsewhere = []
                thread = threading.Thread(target=lambda: elsewhere.append(Client.current()))
                thread.start()
                thread.join()
                assert elsewhere == [usual]
                newest.close()
                assert Client.current() is usual
            assert Client.current() is usual


def test_a_future_that_nobody_can_hold(client, no_client):
    """Without a client, a pickled future cannot be read."""
    pickled = pickle.dumps(client.submit(abs, -1))
    with pytest.raises(Exception, match=r"future of 'abs-.*' cannot be had here: no client"):
        pickle.loads(pickled)


def test_the_tasks_of_a_worker_share_a_client(cluster, no_client):
    """It is made for the first one, and anew if its connection has ended."""
    host = SimpleNamespace(
        name="w",
        clients={},
        scheduler_addresses=[cluster.scheduler_address],
        credentials=None,
        secede=lambda: None,
        rejoin=lambda: None,
    )
    running.host, running.key = host, "task"
    try:
        client = Client.current()
        assert Client.current() is client
        assert client.submit(abs, -1).result(30) == 1
        client.close()
        again = Client.current()
        assert again is not client
    finally:
        running.host = running.key = None
    with Client(cluster) as mine:
        with again:
            assert Client.current() is mine  # although the other one was open already
        assert mine.submit(abs, -2).result(30) == 2


def test_a_client_by_scheduler_file(cluster, tmp_path):
    """The file says where the scheduler is; it may be written only later."""
    address = (cluster.scheduler_address,)
    path = tmp_path / "scheduler.json"
    writing = threading.Thread(target=SchedulerFile(address, address).write, args=(path,))
    writing.start()
    with Client(scheduler_file=path) as client:
        assert client.submit(abs, -1).result(30) == 1
        assert f"scheduler_file={path}" in repr(client)
    writing.join()
    with pytest.raises(CommError, match="no scheduler file"):
        Client(scheduler_file=tmp_path / "gone", timeout=0)
    with pytest.raises(ConfigError, match="pass one of them"):
        Client(cluster, scheduler_file=path)


def test_a_client_may_come_before_the_scheduler(tmp_path, monkeypatch, caplog):
    """It waits for its credentials and for its port, and the log says so."""
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(destination, "SILENCE", 0.0)
    with socket.socket() as kept:  # so that nobody else is given the port
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        connected = []
        connecting = threading.Thread(
            target=lambda: connected.append(Client(f"tls://127.0.0.1:{port}", timeout=30))
        )
        connecting.start()
        while "has left credentials" not in caplog.text:
            connecting.join(0.01)
        with Scheduler(host="127.0.0.1", port=port) as scheduler:
            connecting.join(30)
            with connected[0] as client:
                assert client.nthreads() == {}
            assert scheduler.address.endswith(str(port))


@pytest.mark.parametrize(
    "waiting",
    [
        lambda client, future: future.result(),
        lambda client, future: client.gather([future]),
        lambda client, future: wait([future]),
        lambda client, future: next(as_completed([future])),
        lambda client, future: client.wait_for_workers(99),
        lambda client, future: client.replicate(future),
    ],
    ids=["result", "gather", "wait", "as_completed", "wait_for_workers", "replicate"],
)
def test_a_wait_is_interrupted(client, gate, wait_until, waiting):
    """Ctrl-C ends the wait and nothing else: the task goes on, and so does the client."""
    future = client.submit(gate.function, 5)
    gate.await_arrivals()

    def interrupt():
        wait_until(lambda: client._waits._running)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        waiting(client, future)
    interrupting.join()
    gate.open()
    assert future.result(30) == 5
    assert client.submit(abs, -1).result(30) == 1
    wait_until(lambda: not client._waits._running)


def test_what_an_asynchronous_client_has_said_is_awaited_for_its_value(cluster):
    """Given to a task instead, it says so."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            with pytest.raises(SerializationError, match="is to be awaited first"):
                client.submit(abs, client.scatter(-1))
            assert await client.submit(abs, await client.scatter(-1)) == 1

    asyncio.run(main())
