"""How workers get results from each other, over sockets."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobqueue.comm import connect, listen
from jobqueue.errors import CommError, ConfigError, SerializationError, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON
from jobqueue.protocol.serialize import loads
from jobqueue.worker import peers as module
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.peers import Answer, Peers, PeerServer, answer_message, peer_address
from jobqueue.worker.store import Store

BOUND = 20.0  # seconds after which a test is broken


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until something holds; the test's timeout bounds it."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


class Site:
    """A worker that asks, and others that have something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.relayed: list[str] = []
        self.relay_answer: Answer = b"by way of the scheduler"
        self.peers = Peers(None, self._relay)
        self.servers: list[PeerServer] = []

    def _relay(self, key: str) -> asyncio.Future[Answer]:
        self.relayed.append(key)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.set_result(self.relay_answer)
        return answer

    async def holder(self, data: Any) -> PeerServer:
        server = PeerServer(Store(data), None)
        await server.start(f"unix://{self.folder}/w{len(self.servers)}.peer")
        self.servers.append(server)
        return server

    async def get(self, key: str, *holders: PeerServer | tuple[str, ...]) -> Any:
        places = [each.addresses if isinstance(each, PeerServer) else each for each in holders]
        async with asyncio.timeout(BOUND):
            return await self.peers.get(key, places)


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    here = Site(folder)
    try:
        yield here
    finally:
        here.peers.close()
        for server in here.servers:
            server.close()
        for server in here.servers:
            for comm in list(server._comms):
                await comm.wait_closed()
            if server._listener is not None:
                await server._listener.wait_closed()
        await asyncio.sleep(0)


def test_a_result_comes_straight_from_its_holder(folder):
    """Large ones as well; one connection serves for all, however many ask at once."""

    async def main() -> None:
        async with site(folder) as here:
            holder = await here.holder({"small": 5, "large": np.arange(100_000)})
            answers = await asyncio.gather(*[here.get("small", holder) for _ in range(20)])
            assert [loads(answer) for answer in answers] == [5] * 20
            assert (loads(await here.get("large", holder)) == np.arange(100_000)).all()
            assert len(holder._comms) == 1
            assert here.relayed == []

    asyncio.run(main())


def test_each_holder_is_tried(folder):
    """Until one is reached that has it."""

    async def main() -> None:
        async with site(folder) as here:
            nowhere = (f"unix://{folder}/nowhere",)
            without, holder = await here.holder({}), await here.holder({"a": 1})
            assert loads(await here.get("a", nowhere, (), without, holder)) == 1
            assert here.relayed == []

    asyncio.run(main())


@pytest.mark.parametrize("address", ["unix:///nonexistent/w", "tls://127.0.0.1:1", "garbage"])
def test_what_cannot_be_reached_comes_through_the_scheduler(folder, address):
    """For whatever reason: nobody there, no credentials for it, no address at all."""

    async def main() -> None:
        async with site(folder) as here:
            assert await here.get("a", (address,)) == b"by way of the scheduler"
            here.relay_answer = None
            assert await here.get("b") is None
            assert here.relayed == ["a", "b"]

    asyncio.run(main())


def test_a_peer_out_of_reach_is_waited_for_once(folder, monkeypatch, caplog):
    """And told of once; what it has comes through the scheduler, until it is reached after all."""

    async def main() -> None:
        async with site(folder) as here:
            opened = asyncio.Event()
            attempts = []
            really_open = module._Connection.open

            async def blocked(addresses: Any, credentials: Any) -> Any:
                attempts.append(addresses)
                if not opened.is_set():
                    raise CommError("timed out after 5 s")
                return await really_open(addresses, credentials)

            monkeypatch.setattr(module._Connection, "open", blocked)
            holder = await here.holder({"a": 1})
            both = [here.get("a", holder), here.get("b", holder)]
            assert await asyncio.gather(*both) == [b"by way of the scheduler"] * 2
            assert await here.get("c", holder) == b"by way of the scheduler"
            assert len(attempts) == 1

            monkeypatch.setattr(module, "TRY_AGAIN", 0.0)
            here.peers._out_of_reach.update(dict.fromkeys(here.peers._out_of_reach, 0.0))
            assert await here.get("d", holder) == b"by way of the scheduler"  # it is tried beside
            async with asyncio.timeout(BOUND):
                await until(lambda: len(attempts) == 2)
                opened.set()
                await until(lambda: here.peers._connections[holder.addresses].done())
                assert await here.get("e", holder) == b"by way of the scheduler"
                await until(lambda: not here.peers._out_of_reach)
            assert loads(await here.get("a", holder)) == 1
            assert here.relayed == ["a", "b", "c", "d", "e"]

    asyncio.run(main())
    told = [text for text in caplog.messages if "not reached" in text]
    assert len(told) == 1
    assert f"addresses=unix://{folder}/w0.peer: timed out after 5 s" in told[0]


def test_what_cannot_be_pickled_is_a_failure(folder):
    """Asking others would not help, so nobody else is asked."""

    async def main() -> None:
        async with site(folder) as here:
            holder = await here.holder({"lock": threading.Lock()})
            answer = await here.get("lock", holder)
            assert isinstance(answer, Failure)
            error = answer.to_exception()
            assert isinstance(error, SerializationError)
            assert "result of task 'lock' cannot be sent" in str(error)
            assert here.relayed == []

    asyncio.run(main())


class BrokenMapping(dict[str, Any]):
    """A user's mapping over a file system that is gone."""

    def __getitem__(self, key: str) -> Any:
        raise OSError(116, "Stale file handle")


def test_a_store_that_fails_is_a_failure(folder):
    """In words; whoever asked does not wait for ever."""

    async def main() -> None:
        async with site(folder) as here:
            answer = await here.get("a", await here.holder(BrokenMapping()))
            assert isinstance(answer, Failure)
            error = answer.to_exception()
            assert isinstance(error, TaskError)
            assert "Stale file handle" in str(error)

    asyncio.run(main())


def test_a_holder_that_ends_is_not_waited_for(folder):
    """The connection ends, and the next one is asked; another time it is connected to anew."""

    async def main() -> None:
        async with site(folder) as here:
            arrived = asyncio.Event()
            comms = []

            def on_comm(comm: Any) -> None:
                comms.append(comm)
                comm.start(lambda messages: arrived.set(), lambda reason: None)

            silent = await listen(
                f"unix://{folder}/silent",
                hello={"role": "worker", "python": PYTHON},
                on_comm=on_comm,
                roles={"peer"},
            )
            holder = await here.holder({"a": 1})
            asking = asyncio.create_task(here.get("a", (silent.address,), holder))
            await asyncio.wait_for(arrived.wait(), BOUND)
            comms[0].abort()
            assert loads(await asking) == 1
            arrived.clear()
            asking = asyncio.create_task(here.get("a", (silent.address,), holder))
            await asyncio.wait_for(arrived.wait(), BOUND)
            assert len(comms) == 2
            comms[1].abort()
            assert loads(await asking) == 1
            silent.close()
            await silent.wait_closed()
            for comm in comms:
                await comm.wait_closed()

    asyncio.run(main())


def test_a_worker_that_cannot_listen_has_no_addresses(folder, caplog):
    """It works all the same, through the scheduler."""

    async def main() -> None:
        async with site(folder) as here:
            first = await here.holder({})
            second = PeerServer(Store({}), None)
            await second.start(first.addresses[0])
            assert second.addresses == ()
            second.close()

    asyncio.run(main())
    assert "no other worker can connect" in caplog.text


def test_garbage_ends_the_connection_only(folder):
    """Others go on asking."""

    async def main() -> None:
        async with site(folder) as here:
            holder = await here.holder({"a": 1})
            hello = {"role": "peer", "python": PYTHON}
            stranger = await connect(holder.addresses[0], hello=hello, expect="worker")
            ended = asyncio.Event()
            stranger.start(lambda messages: None, lambda reason: ended.set())
            stranger.send([("nonsense",)])
            await asyncio.wait_for(ended.wait(), BOUND)
            await stranger.wait_closed()
            assert loads(await here.get("a", holder)) == 1

    asyncio.run(main())


def test_answers_are_messages():
    """A value is DATA; what is not here, or cannot be sent, NO_DATA."""
    failure = Failure.of(TaskError("no"))
    assert answer_message(1, b"value") == (m.DATA, 1, b"value")
    assert answer_message(2, None) == (m.NO_DATA, 2, None)
    assert answer_message(3, failure) == (m.NO_DATA, 3, failure)


# -- where a worker listens ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduler", "interface", "expected"),
    [
        ("tls://10.0.0.1:4000", None, r"tls://0\.0\.0\.0:0"),
        ("tcp://10.0.0.1:4000", "lo", r"tcp://127\.0\.0\.1:0"),
        ("unix:///run/x/scheduler", None, rf"unix:///run/x/3-{os.getpid()}-\d+\.peer"),
        ("memory://1", None, "memory://"),
    ],
    ids=["tls", "interface", "unix", "memory"],
)
def test_it_listens_as_its_scheduler_does(scheduler, interface, expected):
    """By the same transport, on the interface that was asked for, beside others of its process."""
    options = WorkerOptions((scheduler,), "w", slot=3, interface=interface)
    first, second = peer_address(options), peer_address(options)
    assert re.fullmatch(expected, first)
    assert first != second or not first.startswith("unix")


def test_an_interface_that_does_not_exist_is_named():
    """With those that do."""
    options = WorkerOptions(("tls://10.0.0.1:4000",), "w", interface="ib7")
    with pytest.raises(ConfigError, match=r"ib7.*lo"):
        peer_address(options)


# -- silence ---------------------------------------------------------------------------------------


def test_a_holder_that_says_nothing_is_given_up(folder, monkeypatch):
    """It accepted and stands still, stopped perhaps: the next one is asked."""
    monkeypatch.setattr(module, "SILENCE", 0.02)

    async def main() -> None:
        async with site(folder) as here:
            comms = []

            def on_comm(comm: Any) -> None:
                comms.append(comm)
                comm.start(lambda messages: None, lambda reason: None)

            silent = await listen(
                f"unix://{folder}/silent",
                hello={"role": "worker", "python": PYTHON},
                on_comm=on_comm,
                roles={"peer"},
            )
            holder = await here.holder({"a": 1})
            assert loads(await here.get("a", (silent.address,), holder)) == 1
            silent.close()
            await silent.wait_closed()
            for comm in comms:
                await comm.wait_closed()

    asyncio.run(main())


class Slow(dict[str, Any]):
    """A user's mapping that takes its time."""

    def __init__(self, ready: threading.Event) -> None:
        super().__init__(a=1)
        self.ready = ready

    def __getitem__(self, key: str) -> Any:
        assert self.ready.wait(BOUND)
        return super().__getitem__(key)


def test_a_holder_that_is_slow_is_waited_for(folder, monkeypatch):
    """As long as it answers when it is asked whether it is there."""
    monkeypatch.setattr(module, "SILENCE", BOUND)  # it looks when the test says so

    async def main() -> None:
        async with site(folder) as here:
            ready = threading.Event()
            holder = await here.holder(Slow(ready))
            asking = asyncio.create_task(here.get("a", holder))
            async with asyncio.timeout(BOUND):
                await until(lambda: here.peers._connections)
                (opening,) = here.peers._connections.values()
                connection = await opening
                await until(lambda: connection._asked)
                for answers in range(1, 4):
                    while not connection._doubted:
                        connection._look()
                    await until(lambda n=answers: connection._answers == n)
                    connection._look()
                    assert not connection._doubted
            ready.set()
            assert loads(await asking) == 1
            assert len(holder._comms) == 1
            assert here.relayed == []

    asyncio.run(main())
