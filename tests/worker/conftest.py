"""A scheduler that says what the test says, for workers to connect to; an executor by itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jobqueue.comm import Comm, Listener, listen
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON, WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.serialize import dumps, dumps_function, loads
from jobqueue.worker.executor import Executor
from jobqueue.worker.items import Inputs, Item
from jobqueue.worker.store import Store

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


# -- an executor by itself -------------------------------------------------------------------------


class Gate:
    """A task that runs until it is let go. Pickled and unpickled, it is still this one."""

    _all: ClassVar[list[Gate]] = []

    def __init__(self) -> None:
        self.began, self.opened = threading.Event(), threading.Event()
        self._number = len(Gate._all)
        Gate._all.append(self)

    def __call__(self) -> str:
        self.began.set()
        assert self.opened.wait(BOUND)
        return "through"

    def __reduce__(self) -> Any:
        return _gate, (self._number,)

    def wait_begun(self) -> None:
        assert self.began.wait(BOUND)


def _gate(number: int) -> Gate:
    return Gate._all[number]


class Bench:
    """An executor, and what has come of its tasks, by key."""

    def __init__(self, nthreads: int, data: Any, **options: Any) -> None:
        self.store = Store(data)
        self.done: dict[str, Any] = {}  # pickles, or None of what stays in the store
        self.sizes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, Failure] = {}
        self.gone: dict[str, str] = {}
        self.mentions: dict[str, list[Any]] = {}
        self.order: list[Any] = []  # what tasks note
        self.wakes = 0
        self._gates: list[Gate] = []
        self._woken = threading.Semaphore(0)
        self._functions = itertools.count()
        self.executor = Executor(nthreads, self.store, where="w-0", wake=self._wake, **options)
        self.executor.set_inline_limit(4096)

    def _wake(self) -> None:
        self.wakes += 1
        self._woken.release()

    def put(
        self, key: str, function: Callable[..., Any], *args: Any, inputs: Inputs | None = None
    ) -> None:
        """Have a task run, whose function need not be one that can be pickled."""
        fid = b"f%d" % next(self._functions)
        self.executor.functions.loaded[fid] = function
        self.executor.put(Item(key, fid, dumps(args), inputs))

    def gate(self) -> Gate:
        """Make a task that ends when it is let go, at the latest when the test ends."""
        self._gates.append(Gate())
        return self._gates[-1]

    def begin(self, key: str) -> Gate:
        """Have such a task run; return when it does."""
        gate = self.gate()
        self.put(key, gate)
        gate.wait_begun()
        return gate

    def close(self) -> None:
        """Have all tasks and threads end."""
        for gate in self._gates:
            gate.opened.set()
        self.executor.close()

    def take(self) -> None:
        """Take what has come."""
        done, failed, gone, mentions, _ = self.executor.take_results()
        for key, value, size, seconds in done:
            self.done[key], self.sizes[key], self.seconds[key] = value, size, seconds
        self.failed.update((key, failure) for key, failure, _ in failed)
        self.gone.update(gone)
        self.mentions.update(mentions)

    def wait(self, *keys: str) -> None:
        """Wait for these to end."""
        while missing := {*keys} - {*self.done, *self.failed, *self.gone}:
            assert self._woken.acquire(timeout=BOUND), f"{missing} have not ended"
            self.take()

    def value(self, key: str) -> Any:
        """Wait for a task and give its result, small or large; or raise what it raised."""
        self.wait(key)
        if key in self.failed:
            raise self.failed[key].to_exception()
        value = self.done[key]
        return self.store.get(key) if value is None else loads(value)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run one task, ``task-0`` and so on, and give its result."""
        key = f"task-{len(self.done) + len(self.failed)}"
        self.put(key, function, *args, **options)
        return self.value(key)


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Make executors; their threads end with the test."""
    benches: list[Bench] = []

    def make(nthreads: int = 1, data: Any = None, **options: Any) -> Bench:
        benches.append(Bench(nthreads, {} if data is None else data, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()
    for thread in threading.enumerate():
        if thread.name.startswith("jobqueue-task-"):
            thread.join(BOUND)
            assert not thread.is_alive()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """An executor with one thread."""
    return make_bench()
