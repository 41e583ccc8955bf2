"""What the scheduler core knows about functions, tasks and clients: plain records.

They hold no behaviour beyond their own outboxes; the rules stand in `lives.py`. Slots and shared
tuples keep a waiting task below 1 KB. What it knows of workers stands in `worker_record.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.states import WAITING

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.worker_record import WorkerRecord

UNKNOWN_DURATION: Final = 0.5
"""Seconds a task is taken to run until its function was seen to end once."""


class Function:
    """A function that tasks call, still pickled, how long its calls take, and who needs it."""

    __slots__ = (
        "__weakref__",
        "clients",
        "duration",
        "fid",
        "known_to",
        "name",
        "nbytes",
        "pickle",
        "ready",
        "seen",
        "tasks",
    )

    def __init__(self, fid: bytes, name: str, pickle: bytes) -> None:
        self.fid = fid
        self.name = name
        self.pickle = pickle
        self.duration = UNKNOWN_DURATION
        self.seen = False
        self.nbytes = 0.0  # of a result that stays at its worker
        self.clients = 0  # how many may name it in tasks to come
        self.tasks = 0  # how many records there are of its calls
        self.ready = 0  # how many of them are READY and will run anywhere; the others: `Demand`
        self.known_to: set[WorkerRecord] = set()

    def took(self, seconds: float) -> None:
        """Learn from one call; later calls count more than earlier ones."""
        if self.seen:
            self.duration += 0.1 * (seconds - self.duration)
        else:
            self.duration = float(seconds)
            self.seen = True

    def took_longer_than(self, seconds: float) -> None:
        """Learn from a call that was not let end."""
        self.duration = max(self.duration, seconds)

    def left(self, nbytes: int) -> None:
        """Learn from one result that stays at its worker."""
        self.nbytes += 0.1 * (nbytes - self.nbytes) if self.nbytes else nbytes

    def __repr__(self) -> str:
        return f"<Function {self.name} {self.duration:.3g} s>"


class Unended:
    """A call that was not let end: what is known of how long it takes, whatever others take."""

    __slots__ = ("__weakref__", "at_least", "function", "key")

    def __init__(self, key: str, function: Function) -> None:
        self.key = key
        self.function = function
        self.at_least = 0.0  # seconds that it ran in vain

    @property
    def duration(self) -> float:
        """Seconds it is expected to take."""
        return max(self.at_least, self.function.duration)

    def __repr__(self) -> str:
        return f"<Unended {self.key} {self.duration:.3g} s>"


class Task:
    """One call of a function, or a value that a client scattered (`function` is None)."""

    __slots__ = (
        "arguments",
        "clients",
        "deaths",
        "demand",
        "dependents",
        "failure",
        "function",
        "gone",
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
        self.arguments = arguments  # None: it cannot be run, or never again
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
        self.demand: Demand | None = None  # on its worker; None if any will do
        self.gone = False  # FAILED because its value was lost, and no task can make it again

    @property
    def name(self) -> str:
        """Name of its function, for messages."""
        return self.function.name if self.function else "scattered data"

    @property
    def actor(self) -> bool:
        """Whether its result is an object with a state of its own, at the worker that made it."""
        return self.options is not None and bool(self.options.get("actor"))

    def count_ready(self, change: int) -> None:
        """Note that it has become READY, or with -1 that it is so no more."""
        assert self.function is not None
        if self.demand is None:
            self.function.ready += change
        else:
            self.demand.count_ready(self.function, change)

    def __lt__(self, other: Task) -> bool:
        return False  # the queue holds a task twice at times, under one rank

    def __repr__(self) -> str:
        return f"<Task {self.key} {self.state}>"


class ClientRecord:
    """One connected client, the tasks it wants, and what is to be said to it."""

    __slots__ = ("alone", "functions", "name", "number", "out", "out_finished", "wants")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.wants: set[Task] = set()
        self.functions: set[bytes] = set()  # those it may name in tasks to come
        self.alone = (self,)  # shared by all tasks that only this client wants
        self.out: list[Message] = []
        self.out_finished: MutableSequence[tuple[str, Serialized | None]] = []

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


class StandIn(ClientRecord):
    """Wants tasks for somebody who is no client, and hears nothing of them.

    A result that holds futures, say, or a queue.
    """

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(name, -1)
        self.out_finished = deque(maxlen=0)

    def say(self, message: Message) -> None:
        """Pass over what a client would be told."""
