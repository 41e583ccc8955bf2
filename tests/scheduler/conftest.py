"""The scheduler core with nobody around it, driven by hand; and its shell, with fake peers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from jobqueue.comm import Comm, connect
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON, WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.info import WorkerEvent
from jobqueue.scheduler.records import ClientRecord, Task
from jobqueue.scheduler.server import Scheduler
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.validation import validate
from jobqueue.scheduler.worker_record import WorkerRecord
from jobqueue.worker.runner import settle

FAILURE = (b"", "ZeroDivisionError: division by zero", "Traceback ...")
SECOND = 1.0

Peer = WorkerRecord | ClientRecord


class Core:
    """A scheduler's state that is checked after every step, and whose every message is looked at.

    What a peer is told stays in its outbox until a test takes it by `said` or one of its
    relatives. What nobody has taken at the end of a test fails it.
    """

    def __init__(self, **options: int) -> None:
        self.state = SchedulerState(**options)
        self.peers: list[Peer] = []
        self.library = ClientRecord("library", -1)  # so that functions stay, whoever comes and goes
        functions = [(b"f", "f", b"pickle of f"), (b"g", "g", b"pickle of g")]
        self.state.wishes.add_functions(self.library, functions)

    # -- peers -------------------------------------------------------------------------------------

    def client(self, name: str = "client") -> ClientRecord:
        client = ClientRecord(name, len(self.peers))
        self.state.add_client(client)
        assert client.take_messages() == [(m.WELCOME, client.number)]
        self.peers.append(client)
        return client

    def worker(self, name: str = "worker", nthreads: int = 1, **facts: Any) -> WorkerRecord:
        """A worker comes; `facts` are more of `WorkerFacts`."""
        addresses = (f"at {name}",)
        known = WorkerFacts(name, nthreads, addresses, **facts)
        worker = WorkerRecord(name, nthreads, addresses=addresses, job_id=known.job_id, facts=known)
        self.state.add_worker(worker, 0.0)
        self.end_turn()
        assert worker.out.pop(0)[0] == m.INLINE_LIMIT
        self.peers.append(worker)
        return worker

    def lose(self, worker: WorkerRecord, *, charge: bool = True, cause: str = "lightning") -> None:
        """A worker is gone, with all that was not heard yet."""
        worker.take_messages()
        self.state.remove_worker(worker, cause=cause, charge=charge)
        self.end_turn()

    def retire(self, worker: WorkerRecord) -> None:
        self.state.transfers.retire(worker)
        self.end_turn()

    # -- what happens ------------------------------------------------------------------------------

    def end_turn(self) -> None:
        validate(self.state)
        self.state.settle()
        validate(self.state)

    def submit(
        self,
        client: ClientRecord,
        *keys: str,
        inputs: Sequence[str] | None = None,
        fid: bytes = b"f",
        **options: Any,
    ) -> None:
        """A client submits one task for each of these keys."""
        items = [(key, b"arguments", inputs) for key in keys]
        self.state.submit(client, fid, options or None, items)
        self.end_turn()

    def done(
        self,
        worker: WorkerRecord,
        key: str,
        value: Serialized | None = None,
        *,
        nbytes: int = 10_000,
        seconds: float = SECOND,
    ) -> None:
        """A worker ends a task: with a small value, or with a large one that it keeps."""
        size = nbytes if value is None else len(value)
        self.state.done(worker, [(key, value, size, seconds)])
        self.end_turn()

    def happens(self, method: Callable[..., None], *arguments: Any) -> None:
        """Any other event."""
        method(*arguments)
        self.end_turn()

    # -- what is said ------------------------------------------------------------------------------

    def said(self, peer: Peer) -> list[Message]:
        """Take what a peer is told."""
        return peer.take_messages()

    def placed(self, worker: WorkerRecord) -> list[str]:
        """Take what a worker is told, which must be nothing but tasks to run; give their keys."""
        keys: list[str] = []
        for operation, items in worker.take_messages():
            assert operation in (m.RUN, m.FUNCTIONS, m.RESERVED)
            if operation == m.RUN:
                keys += [key for key, *_ in items]
        return keys

    def failure(self, client: ClientRecord) -> BaseException:
        """Take what a client is told, which must be one failure; give its exception."""
        from jobqueue.protocol.failures import Failure

        ((operation, ((_key, failure),)),) = client.take_messages()
        assert operation == m.FAILED
        return Failure(*failure).to_exception()

    def task(self, key: str) -> Task:
        return self.state.tasks[key]

    def state_of(self, key: str) -> str | None:
        task = self.state.tasks.get(key)
        return None if task is None else task.state

    def silence(self) -> None:
        """Fail if anybody was told anything that the test has not taken."""
        for peer in self.peers:
            assert peer.take_messages() == [], f"{peer} was told this too"


@pytest.fixture
def make_core() -> Iterator[Callable[..., Core]]:
    """Make cores with other limits; at the end nothing may be left unsaid or unheard."""
    cores: list[Core] = []

    def make(**options: int) -> Core:
        cores.append(Core(**options))
        return cores[-1]

    yield make
    for core in cores:
        core.silence()


@pytest.fixture
def core(make_core: Callable[..., Core]) -> Core:
    """A scheduler core with nobody around it."""
    return make_core()


# -- the shell, with fake workers and clients over connections in memory --------------------------

BOUND = 20.0  # seconds after which a test is broken


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    def jump(self, seconds: float) -> None:
        self.ahead += seconds


class FakePeer:
    """A worker or client that says what the test says, and notes down what it hears."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self.heard: list[Message] = []
        self.reason: CommError | None = None
        self._changed = asyncio.Event()
        comm.start(self._on_messages, self._on_closed)

    def _on_messages(self, messages: tuple[Message, ...]) -> None:
        self.heard.extend(messages)
        self._changed.set()

    def _on_closed(self, reason: CommError) -> None:
        self.reason = reason
        self._changed.set()

    def say(self, *message: Any) -> None:
        self.comm.send([message])

    async def wait_for(self, condition: Callable[[FakePeer], Any]) -> Any:
        async with asyncio.timeout(BOUND):
            while not (value := condition(self)):
                self._changed.clear()
                await self._changed.wait()
        return value

    async def hears(self, operation: str) -> Message:
        """Wait for the next message of a kind, and take it and what stands before it."""
        message = await self.wait_for(
            lambda peer: next((each for each in peer.heard if each[0] == operation), None)
        )
        del self.heard[: self.heard.index(message) + 1]
        return message

    async def ends(self) -> str:
        await self.wait_for(lambda peer: peer.reason)
        return str(self.reason)


class Site:
    """A scheduler, and who connects to it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.events: list[WorkerEvent] = []
        scheduler.subscribe(self.events.append)

    async def worker(self, name: str = "w", nthreads: int = 1, **changes: Any) -> FakePeer:
        hello = {**WorkerFacts(name, nthreads).to_hello(), **changes}
        peer = FakePeer(await connect(self.scheduler.local_address, hello=hello))
        await peer.hears(m.INLINE_LIMIT)
        return peer

    async def client(self, role: str = "client") -> FakePeer:
        hello = {"role": role, "name": "c", "python": PYTHON}
        peer = FakePeer(await connect(self.scheduler.local_address, hello=hello))
        await peer.hears(m.WELCOME)
        return peer

    async def agent(self) -> FakePeer:
        hello = {"role": "agent", "python": PYTHON}
        return FakePeer(await connect(self.scheduler.local_address, hello=hello))

    async def submit(self, client: FakePeer, *keys: str) -> None:
        client.say(m.FUNCTIONS, [(b"f", "f", b"pickle")])
        client.say(m.SUBMIT, b"f", None, [(key, b"arguments", None) for key in keys])

    async def check_works(self) -> None:
        """A task still finds its way through."""
        client, worker = await self.client(), await self.worker("good")
        await self.submit(client, "check")
        _, ((key, *_),) = await worker.hears(m.RUN)
        worker.say(m.DONE, [(key, b"result", 6, 0.1)])
        assert await client.hears(m.FINISHED) == (m.FINISHED, [("check", b"result")])
        for peer in (client, worker):
            peer.comm.close()
            await peer.comm.wait_closed()


@asynccontextmanager
async def _site(**options: Any) -> AsyncIterator[Site]:
    scheduler = Scheduler(name="test", **options)
    await scheduler.start()
    try:
        yield Site(scheduler)
    finally:
        await scheduler.close()


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test; nothing may reach the event loop's exception handler."""
    errors: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        async with asyncio.timeout(2 * BOUND):
            await coroutine

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(watched())
    assert errors == []


def _jump(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.jump(seconds)


@pytest.fixture
def site() -> Callable[..., AbstractAsyncContextManager[Site]]:
    """Make a scheduler that fake workers and clients can connect to."""
    return _site


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine; nothing may reach the event loop's exception handler."""
    return _run


@pytest.fixture
def jump() -> Callable[[float], None]:
    """Put the event loop's clock forward, by seconds."""
    return _jump


@pytest.fixture(scope="session")
def calls_of() -> Callable[[Callable[[], Any]], int]:
    """Calls made while a function runs: a measure of work that no load of the machine changes."""
    return _calls_of


def _calls_of(function: Callable[[], Any]) -> int:
    count = 0

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    settle()  # an earlier test may have left an exception that no thread takes
    sys.setprofile(on_event)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count
