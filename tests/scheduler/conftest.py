"""The scheduler core with nobody around it, driven by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.records import ClientRecord, Task, WorkerRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.validation import validate

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
        self.state.add_functions([(b"f", "f", b"pickle of f"), (b"g", "g", b"pickle of g")])

    # -- peers -------------------------------------------------------------------------------------

    def client(self, name: str = "client") -> ClientRecord:
        client = ClientRecord(name, len(self.peers))
        self.state.add_client(client)
        assert client.take_messages() == [(m.WELCOME, client.number)]
        self.peers.append(client)
        return client

    def worker(self, name: str = "worker", nthreads: int = 1) -> WorkerRecord:
        worker = WorkerRecord(name, nthreads, addresses=(f"at {name}",))
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
            assert operation in (m.RUN, m.FUNCTIONS)
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
