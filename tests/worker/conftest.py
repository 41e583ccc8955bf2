"""A scheduler that says what the test says, for workers to connect to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.comm import Comm, Listener, listen
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON, WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.serialize import dumps, dumps_function

BOUND = 20.0  # seconds after which a test is broken


class Connection:
    """A worker's connection, seen from the scheduler."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.facts = WorkerFacts.from_hello(comm.peer)
        self.heard: list[Message] = []
        self.reason: CommError | None = None
        self._changed = asyncio.Event()
        comm.start(self._on_messages, self._on_closed)

    def _on_messages(self, messages: tuple[Message, ...]) -> None:
        for message in messages:  # the wire makes tuples of lists; back to what is documented
            self.heard.append(tuple(list(f) if type(f) is tuple else f for f in message))
        self._changed.set()

    def _on_closed(self, reason: CommError) -> None:
        self.reason = reason
        self._changed.set()

    def say(self, *message: Any) -> None:
        self.comm.send([message])

    def run(self, key: str, function: Callable[..., Any], *args: Any, inputs: Any = None) -> None:
        """Give it a task."""
        fid, pickle = dumps_function(function)
        name = getattr(function, "__name__", "function")
        run = (m.RUN, [(key, fid, dumps(args), inputs)])
        self.comm.send([(m.FUNCTIONS, [(fid, name, pickle)]), run])

    async def hears(self, *operations: str) -> Message:
        """Wait for the next message of some kinds, and take it and what stands before it."""
        async with asyncio.timeout(BOUND):
            while True:
                for place, message in enumerate(self.heard):
                    if message[0] in operations:
                        del self.heard[: place + 1]
                        return message
                assert self.reason is None, f"no {' or '.join(operations)} has come: {self.reason}"
                self._changed.clear()
                await self._changed.wait()

    async def answers(self) -> None:
        """Wait until it has taken in what it was told, at its beginning that it is connected."""
        self.say(m.SEND, 0, "no such key")
        await self.hears(m.NO_DATA)

    async def done(self) -> dict[str, Any]:
        """Wait for the next results: values by key."""
        _, results = await self.hears(m.DONE)
        return {key: value for key, value, _, _ in results}

    async def ends(self) -> None:
        async with asyncio.timeout(BOUND):
            while self.reason is None:
                self._changed.clear()
                await self._changed.wait()


class FakeScheduler:
    """Listens in a folder; may go away and come back."""

    def __init__(self, folder: Path, admit: Any = None) -> None:
        self.address = f"unix://{folder}/scheduler"
        self._admit = admit
        self._listener: Listener | None = None
        self._arrived: asyncio.Queue[Connection] = asyncio.Queue()
        self._reports: asyncio.Queue[Message] = asyncio.Queue()
        self._connections: list[Connection] = []

    async def start(self) -> None:
        self._listener = await listen(
            self.address,
            hello={"role": "scheduler", "name": "fake", "python": PYTHON},
            on_comm=self._on_comm,
            admit=self._admit,
        )

    def _on_comm(self, comm: Comm) -> None:
        if comm.peer["role"] == "agent":
            comm.start(lambda messages: [*map(self._reports.put_nowait, messages)], lambda _: None)
            return
        connection = Connection(comm)
        self._connections.append(connection)
        connection.say(m.INLINE_LIMIT, 4096)
        self._arrived.put_nowait(connection)

    async def worker(self) -> Connection:
        """Wait for the next worker to connect."""
        async with asyncio.timeout(BOUND):
            return await self._arrived.get()

    async def report(self) -> Message:
        """Wait for what an agent says of a worker's end."""
        async with asyncio.timeout(BOUND):
            return await self._reports.get()

    async def stop(self) -> None:
        """Go away, without a word."""
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
            self._listener = None
        for connection in self._connections:
            connection.comm.abort()
            await connection.comm.wait_closed()
        self._connections.clear()


@pytest.fixture
def fake_scheduler(
    folder: Path,
) -> Callable[..., contextlib.AbstractAsyncContextManager[FakeScheduler]]:
    """Make a scheduler that listens: ``async with fake_scheduler() as scheduler``."""

    @contextlib.asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[FakeScheduler]:
        scheduler = FakeScheduler(folder, **options)
        await scheduler.start()
        try:
            yield scheduler
        finally:
            await scheduler.stop()

    return make
