"""A worker here, and a scheduler that says what the test says; an executor by itself."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue.comm import Comm, Listener, listen
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON, WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.serialize import dumps, dumps_function
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.worker import Worker

_NAME = "jobqueue_bench"
if _NAME not in sys.modules:  # tests are no package, so that it has to be loaded by its path
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name("bench.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
bench_module: Any = sys.modules[_NAME]

Bench, Gate = bench_module.Bench, bench_module.Gate
BOUND = 20.0  # seconds after which a test is broken


@pytest.fixture
def gate() -> Iterator[Any]:
    """A task that runs until it is let go, at the latest when the test ends."""
    gate = Gate()
    yield gate
    gate.opened.set()


# -- a worker, and its scheduler -------------------------------------------------------------------


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

    async def begin(self, key: str, *, spins: bool = False) -> Any:
        """Give it a task that ends when it is let go; return when it runs."""
        gate = Gate(spins=spins)
        self.run(key, gate)
        await asyncio.to_thread(gate.wait_begun)
        return gate

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


class Working:
    """A worker that runs in this event loop."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._running = asyncio.create_task(worker.run())

    @property
    def ended(self) -> bool:
        return self._running.done()

    async def ends(self) -> ExitCode:
        """Wait for its end, and tell why."""
        return await asyncio.wait_for(self._running, BOUND)

    async def end(self) -> None:
        self.worker._end("the test ends")
        await self.ends()


@pytest.fixture
def working() -> Callable[..., contextlib.AbstractAsyncContextManager[Working]]:
    """Run a worker until it is told to end: ``async with working(address, nthreads=2)``."""

    @contextlib.asynccontextmanager
    async def make(
        address: str, *, data: Any = None, shares_process: bool = False, **options: Any
    ) -> AsyncIterator[Working]:
        fields: dict[str, Any] = {"name": "w-0", "death_timeout": BOUND, **options}
        worker = Worker(
            WorkerOptions(addresses=(address,), **fields), data=data, shares_process=shares_process
        )
        here = Working(worker)
        try:
            yield here
        finally:
            await here.end()

    return make


@pytest.fixture
def connected(
    fake_scheduler: Callable[..., Any], working: Callable[..., Any]
) -> Callable[..., contextlib.AbstractAsyncContextManager[Connection]]:
    """Run a worker and give its connection, seen from its scheduler."""

    @contextlib.asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[Connection]:
        async with fake_scheduler() as scheduler, working(scheduler.address, **options):
            yield await scheduler.worker()

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test's coroutine; nothing may reach the event loop's exception handler."""

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        errors: list[dict[str, Any]] = []

        async def watched() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: errors.append(context))
            async with asyncio.timeout(2 * BOUND):
                await coroutine

        asyncio.run(watched())
        assert errors == []

    return run


# -- an executor by itself -------------------------------------------------------------------------


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Any]]:
    """Make executors; their threads end with the test."""
    benches: list[Any] = []

    def make(nthreads: int = 1, data: Any = None, **options: Any) -> Any:
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
def bench(make_bench: Callable[..., Any]) -> Any:
    """An executor with one thread."""
    return make_bench()
