"""Both ends of a connection over any transport, and a loop that must not meet an error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jobqueue.comm import Comm, Credentials, Listener, Message, connect, listen
from jobqueue.errors import CommError

T = TypeVar("T")

BOUND = 60.0  # seconds after which a test is broken


class End:
    """One end of a connection that notes down what happens at it."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.messages: list[Message] = []
        self.reasons: list[CommError] = []
        self._changed = asyncio.Event()

    def start(self) -> End:
        self.comm.start(self.on_messages, self.on_closed)
        return self

    def on_messages(self, messages: tuple[Message, ...]) -> None:
        assert not self.reasons, "a message after the end"
        self.messages.extend(messages)
        self._changed.set()

    def on_closed(self, reason: CommError) -> None:
        self.reasons.append(reason)
        self._changed.set()

    async def wait_for(self, condition: Callable[[End], object]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def wait_messages(self, count: int) -> list[Message]:
        await self.wait_for(lambda end: len(end.messages) >= count or end.reasons)
        assert len(self.messages) == count, f"{len(self.messages)} messages, {self.reasons}"
        return self.messages

    async def wait_reason(self) -> CommError:
        await self.wait_for(lambda end: end.reasons)
        await self.comm.wait_closed()
        return self.reasons[0]


class Wire:
    """A listener at an address, and connections to it."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address = address
        self.credentials = credentials
        self.accepted: list[End] = []
        self.listener: Listener
        self._arrived = asyncio.Event()
        self._ends: list[End] = []

    async def listen(self, **options: Any) -> None:
        arguments: dict[str, Any] = {
            "hello": {"role": "scheduler", "name": "s"},
            "credentials": self.credentials,
            "on_comm": self._on_comm,
        }
        self.listener = await listen(self.address, **{**arguments, **options})

    def _on_comm(self, comm: Comm) -> None:
        self.accepted.append(End(comm))
        self._ends.append(self.accepted[-1])
        self._arrived.set()

    async def connect(self, **options: Any) -> End:
        """Connect as a client, without starting to receive."""
        arguments: dict[str, Any] = {
            "hello": {"role": "client", "name": "c"},
            "credentials": self.credentials.others["client"],
        }
        address = options.pop("address", self.listener.address)
        end = End(await connect(address, **{**arguments, **options}))
        self._ends.append(end)
        return end

    async def accept(self) -> End:
        """Wait for the other end of the last connection made."""
        return (await self.wait_accepted(1)).pop()

    async def wait_accepted(self, count: int) -> list[End]:
        """Wait for so many connections to be accepted."""
        async with asyncio.timeout(BOUND):
            while len(self.accepted) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.accepted

    async def pair(self) -> tuple[End, End]:
        """A connection with both ends started: the client's and the scheduler's."""
        client = await self.connect()
        return client.start(), (await self.accept()).start()

    async def check_good_peer(self) -> None:
        """A peer that does everything right is served."""
        self.accepted.clear()
        client, server = await self.pair()
        client.comm.send([("ping",)])
        assert await server.wait_messages(1) == [("ping",)]
        client.comm.close()
        await server.wait_reason()
        await client.wait_reason()

    async def close(self) -> None:
        self.listener.close()
        await self.listener.wait_closed()
        for end in self._ends:
            end.comm.abort()
            if not end.reasons and end.comm is not None:
                end.start()
            await end.comm.wait_closed()


class Lab:
    """Runs a test's coroutine in an event loop of its own."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        self.folder = folder
        self.credentials = credentials

    def address(self, scheme: str) -> str:
        return {
            "memory": "memory://",
            "unix": f"unix://{self.folder}/socket",
            "tcp": "tcp://127.0.0.1:0",
            "tls": "tls://127.0.0.1:0",
        }[scheme]

    @contextlib.asynccontextmanager
    async def wire(self, scheme: str, **options: Any) -> AsyncIterator[Wire]:
        wire = Wire(self.address(scheme), self.credentials)
        await wire.listen(**options)
        try:
            yield wire
        finally:
            await wire.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run; fail if the event loop had to handle an error that nobody else did."""
        errors: list[dict[str, Any]] = []

        async def watched() -> T:
            asyncio.get_running_loop().set_exception_handler(lambda _, c: errors.append(c))
            async with asyncio.timeout(2 * BOUND):
                return await coroutine

        result = asyncio.run(watched())
        assert errors == []
        return result


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    """A cluster's credentials."""
    return Credentials.create("test cluster")


@pytest.fixture
def lab(folder: Path, credentials: Credentials) -> Lab:
    """Where connections are made and tried."""
    return Lab(folder, credentials)
