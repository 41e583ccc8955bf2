"""What the scheduler core knows about functions, tasks, workers and clients: plain records.

They hold no behaviour beyond their own outboxes; the rules stand in `state.py`. Slots and shared
tuples keep a waiting task below 1 KB.
"""

from __future__ import annotations

from typing import Any, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized

UNKNOWN_DURATION: Final = 0.5
"""Seconds a task is taken to run until its function was seen to end once."""

WAITING: Final = "waiting"
READY: Final = "ready"
ASSIGNED: Final = "assigned"
MEMORY: Final = "memory"
RELEASED: Final = "released"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
FORGOTTEN: Final = "forgotten"

TRANSITIONS: Final = {
    (WAITING, READY): "it has no inputs, or the last missing one came to memory",
    (WAITING, MEMORY): "it is a value that a client had",
    (WAITING, FAILED): "an input failed, or can never be had",
    (WAITING, CANCELLED): "it, or an input, was cancelled",
    (WAITING, RELEASED): "nobody needs it any more",
    (READY, ASSIGNED): "a worker had room",
    (READY, WAITING): "an input was lost before it was placed",
    (READY, CANCELLED): "it, or an input, was cancelled before it was placed",
    (READY, RELEASED): "nobody needs it any more",
    (ASSIGNED, MEMORY): "its worker ended it",
    (
        ASSIGNED,
        WAITING,
    ): "its worker was lost or handed it back; or it raised and has retries left",
    (ASSIGNED, FAILED): "it raised, or was on too many workers that died; or an input failed",
    (ASSIGNED, CANCELLED): "it, or an input, was cancelled while a worker had it",
    (ASSIGNED, RELEASED): "nobody needs it any more",
    (MEMORY, RELEASED): "nobody needs it any more; or all workers that held it are gone",
    (MEMORY, CANCELLED): "it was cancelled after it was done",
    (RELEASED, WAITING): "it is needed again: by a client, or by what is computed again",
    (RELEASED, FAILED): "the same, but it came from a client and cannot be computed again",
    (RELEASED, FORGOTTEN): "nothing is left that was computed from it",
    (FAILED, FORGOTTEN): "nobody asks for it any more",
    (CANCELLED, FORGOTTEN): "nobody asks for it any more",
}
"""Every change of state a task can make, and when it happens. All begin as WAITING; what happens
to a task in one step may be several of these: one that is handed back is WAITING, then READY."""

UNFINISHED: Final = frozenset({WAITING, READY, ASSIGNED})
DEAD: Final = frozenset({FAILED, CANCELLED})


class Function:
    """A function that tasks call, still pickled, and how long its calls take."""

    __slots__ = ("duration", "fid", "name", "pickle", "seen")

    def __init__(self, fid: bytes, name: str, pickle: bytes) -> None:
        self.fid = fid
        self.name = name
        self.pickle = pickle
        self.duration = UNKNOWN_DURATION
        self.seen = False

    def took(self, seconds: float) -> None:
        """Learn from one call; later calls count more than earlier ones."""
        if self.seen:
            self.duration += 0.1 * (seconds - self.duration)
        else:
            self.duration = float(seconds)
            self.seen = True

    def __repr__(self) -> str:
        return f"<Function {self.name} {self.duration:.3g} s>"


class Task:
    """One call of a function, or a value that a client scattered (`function` is None)."""

    __slots__ = (
        "arguments",
        "clients",
        "deaths",
        "dependents",
        "failure",
        "function",
        "holders",
        "inputs",
        "key",
        "missing",
        "nbytes",
        "options",
        "rank",
        "retries",
        "state",
        "value",
        "waiters",
        "worker",
    )

    def __init__(
        self,
        key: str,
        function: Function | None,
        arguments: Serialized | None,
        rank: int,
        clients: tuple[ClientRecord, ...],
    ) -> None:
        self.key = key
        self.function = function
        self.arguments = arguments
        self.rank = rank
        self.clients = clients
        self.state = WAITING
        self.inputs: tuple[Task, ...] = ()
        self.missing = 0  # inputs not in memory; counted while WAITING
        self.dependents: set[Task] | None = None  # those that have this among their inputs
        self.waiters = 0  # how many of them are unfinished
        self.value: Serialized | None = None  # a small result, held here
        self.holders: set[WorkerRecord] | None = None  # workers that hold the result
        self.nbytes = 0
        self.worker: WorkerRecord | None = None  # while ASSIGNED
        self.failure: Failure | None = None
        self.options: dict[str, Any] | None = None
        self.retries = 0
        self.deaths = 0

    @property
    def name(self) -> str:
        """Name of its function, for messages."""
        return self.function.name if self.function else "scattered data"

    def __lt__(self, other: Task) -> bool:
        return False  # the queue holds a task twice at times, under one rank

    def __repr__(self) -> str:
        return f"<Task {self.key} {self.state}>"


class WorkerRecord:
    """One connected worker, what it has been given, and what is to be said to it."""

    __slots__ = (
        "addresses",
        "assigned",
        "facts",
        "functions",
        "holds",
        "job_id",
        "known_functions",
        "level",
        "measured",
        "moving",
        "name",
        "nthreads",
        "occupancy",
        "out",
        "out_free",
        "out_run",
        "recalled",
        "retiring",
        "seen",
        "stored",
        "talking",
    )

    def __init__(
        self,
        name: str,
        nthreads: int,
        *,
        addresses: tuple[str, ...] = (),
        job_id: str | None = None,
        facts: WorkerFacts | None = None,
    ) -> None:
        self.name = name
        self.nthreads = nthreads
        self.addresses = addresses
        self.job_id = job_id
        self.facts = facts
        self.assigned: dict[Task, float] = {}  # task -> the seconds it was expected to take
        self.occupancy = 0.0  # their sum
        self.holds: set[Task] = set()
        self.stored = 0  # bytes
        self.known_functions: set[bytes] = set()
        self.level: int | None = None  # where it stands in OpenWorkers, None: it has no room
        self.retiring = False
        self.recalled = False  # a RECALL is under way
        self.moving: set[Task] = set()  # results that leave it because it retires
        self.seen = 0.0
        self.measured: dict[str, Any] = {}  # what it said of itself in its last heartbeat
        self.out: list[Message] = []
        self.out_run: list[tuple[Any, ...]] = []
        self.out_free: list[str] = []
        self.talking: set[WorkerRecord] = set()  # the state's, shared: who has something to hear

    def say(self, message: Message) -> None:
        """Append a message behind all that was said before."""
        self._close_batches()
        self.out.append(message)
        self.talking.add(self)

    def free(self, key: str) -> None:
        """Tell it that nobody needs a result any more."""
        self.out_free.append(key)
        self.talking.add(self)

    def take_messages(self) -> list[Message]:
        """Return, and forget, what is to be said to it."""
        self._close_batches()
        out, self.out = self.out, []
        return out

    def _close_batches(self) -> None:
        # Frees come first, as they do in a turn: tasks are placed at its end. A key that was freed
        # and placed anew must not lose its new result.
        if self.out_free:
            self.out.append((m.FREE, self.out_free))
            self.out_free = []
        if self.out_run:
            self.out.append((m.RUN, self.out_run))
            self.out_run = []

    def __repr__(self) -> str:
        return f"<Worker {self.name} {len(self.assigned)} tasks, {len(self.holds)} results>"


class ClientRecord:
    """One connected client, the tasks it wants, and what is to be said to it."""

    __slots__ = ("alone", "name", "number", "out", "out_finished", "wants")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.wants: set[Task] = set()
        self.alone = (self,)  # shared by all tasks that only this client wants
        self.out: list[Message] = []
        self.out_finished: list[tuple[str, Serialized | None]] = []

    def say(self, message: Message) -> None:
        """Append a message behind all that was said before."""
        if self.out_finished:
            self.out.append((m.FINISHED, self.out_finished))
            self.out_finished = []
        self.out.append(message)

    def take_messages(self) -> list[Message]:
        """Return, and forget, what is to be said to it."""
        if self.out_finished:
            self.out.append((m.FINISHED, self.out_finished))
            self.out_finished = []
        out, self.out = self.out, []
        return out

    def __repr__(self) -> str:
        return f"<Client {self.name} wants {len(self.wants)}>"
