"""What the scheduler core knows about functions, tasks, workers and clients: plain records.

They hold no behaviour beyond their own outboxes; the rules stand in `state.py`. Slots and shared
tuples keep a waiting task below 1 KB.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, MutableSequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.states import WAITING

if TYPE_CHECKING:
    from jobqueue.scheduler.demands import Demand

UNKNOWN_DURATION: Final = 0.5
"""Seconds a task is taken to run until its function was seen to end once."""

SUSPECT: Final = "suspect"
ASIDE: Final = "aside"
"""How silent a worker is: it gets nothing more; its tasks are placed anew. See `losses.py`."""

POOL: Final = "pool:"
"""Begins the name that all workers of a pool are known as."""

ROOM: Final = 0.05
"""Part of a worker's memory that results of tasks may take which wait in its line."""

ROOM_IF_UNLIMITED: Final = 64e6
"""Bytes, where no limit is known."""

CANCELS_NOTED: Final = 1024
"""Withdrawn tasks noted of a worker before it is asked whether it has heard."""


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


class WorkerRecord:
    """One connected worker, what it has been given, and what is to be said to it."""

    __slots__ = (
        "addresses",
        "assigned",
        "blocked",
        "demands",
        "due",
        "each",
        "ends_at",
        "facts",
        "free_resources",
        "holds",
        "job_id",
        "kept",
        "known_as",
        "level",
        "lingering",
        "measured",
        "moving",
        "name",
        "nthreads",
        "occupancy",
        "out",
        "out_free",
        "out_reserved",
        "out_run",
        "paused",
        "pool",
        "recalls",
        "reserved",
        "resources",
        "retiring",
        "returns",
        "room",
        "seceded",
        "seen",
        "silent",
        "stored",
        "stuck",
        "surveyed",
        "talking",
        "turns",
        "withdrawn",
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
        self.resources: Mapping[str, float] = facts.resources if facts else {}
        self.free_resources = dict(self.resources)
        self.pool = facts.pool if facts else ""
        self.ends_at: float | None = None  # when its job does, if that is known
        self.due = math.inf  # and when its tasks have to have ended; see `deadlines.py`
        self.known_as = _known_as(self, facts.host if facts else "")
        self.demands: list[Demand] = []  # those it satisfies
        self.assigned: dict[Task, float] = {}  # task -> the seconds it was expected to take
        self.seceded: set[Task] = set()  # it runs these too, beside its threads
        self.occupancy = 0.0  # the sum of `assigned`
        self.each = 0.0  # bytes that a result probably has of the kind that it was given last
        self.room = _room(facts)  # bytes that results to come may take
        self.lingering: tuple[str, ...] = ()  # withdrawn tasks that hold a thread until they end
        self.blocked = 0  # the number of those threads
        self.kept: dict[str, Demand] = {}  # and those whose resources may not be free yet
        self.holds: set[Task] = set()
        self.stored = 0  # bytes
        self.level: int | None = None  # where it stands in OpenWorkers, None: it has no room
        self.retiring = False
        self.paused: str | None = None  # why, if it wants no tasks for now
        self.silent: str | None = None  # None, SUSPECT or ASIDE
        self.reserved = False  # for a task that takes all of its job; see `reservations.py`
        self.turns = 0  # grows with each change of its load: has it done anything since?
        self.recalls = 0  # how many RECALLs it was sent
        self.returns = 0  # how many of them it has answered, in order
        self.withdrawn: dict[str, int] = {}  # keys it was told to cancel -> `recalls` at that time
        self.moving: set[Task] = set()  # results that leave it because it retires
        self.surveyed = 0  # how many it held when that was last looked at
        self.stuck = False  # some of these had nowhere to go then
        self.seen = 0.0
        self.measured: dict[str, Any] = {}  # what it last said of itself in a heartbeat
        self.out: list[Message] = []
        self.out_run: list[tuple[Any, ...]] = []
        self.out_reserved: list[tuple[str, dict[str, float]]] = []
        self.out_free: list[str] = []
        self.talking: set[WorkerRecord] = set()  # the state's, shared: who has something to hear

    @property
    def available(self) -> bool:
        """Whether it may be given anything: a task to run, or a result to keep."""
        return not (self.retiring or self.paused or self.silent or self.reserved)

    @property
    def busy(self) -> bool:
        """Whether it has any task."""
        return bool(self.assigned or self.seceded)

    @property
    def load(self) -> int:
        """How many tasks its threads have, or are to have."""
        return len(self.assigned) + self.blocked

    @property
    def tasks(self) -> Iterator[Task]:
        """All its tasks: those that have left their threads first, then as they were given."""
        return chain(self.seceded, self.assigned)

    def running(self) -> set[Task]:
        """Return the tasks it has probably begun: it runs them in the order it got them."""
        free = max(0, self.nthreads - self.blocked)
        return self.seceded.union(islice(self.assigned, free))

    # -- what crosses on the way -------------------------------------------------------------------

    @property
    def recalled(self) -> bool:
        """Whether a RECALL is under way."""
        return self.recalls > self.returns

    def recall(self, keys: list[str]) -> None:
        """Ask for tasks back, those that it has not begun."""
        self.recalls += 1
        self.say((m.RECALL, keys))

    def answered(self) -> None:
        """Note that it has answered a RECALL, and so has heard all that was said before it."""
        self.returns = min(self.returns + 1, self.recalls)
        withdrawn = self.withdrawn
        if withdrawn:
            self.withdrawn = {key: n for key, n in withdrawn.items() if n >= self.returns}

    def cancel(self, key: str, force: bool) -> None:
        """Tell it not to run a task, and note that what it says of that one may be old."""
        self.say((m.CANCEL, force, [key]))
        self.withdrawn.pop(key, None)  # in the order of what was said
        self.withdrawn[key] = self.recalls
        if len(self.withdrawn) > CANCELS_NOTED and not self.recalled:
            self.recall([])

    def run_again(self, key: str) -> None:
        """Prepare for another run of a key that it was told to cancel.

        A result of the earlier run may be on its way. It ends at the answer to a RECALL: until
        then, whatever is said of this key is of that run (`crossed`).
        """
        self.free(key)
        if self.withdrawn[key] == self.recalls:
            self.recall([])

    def crossed(self, key: str) -> bool:
        """Return whether news of a key is of a run that was withdrawn before."""
        return key in self.withdrawn

    # -- what is said ------------------------------------------------------------------------------

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
        if self.out_reserved:
            self.out.append((m.RESERVED, self.out_reserved))
            self.out_reserved = []
        if self.out_run:
            self.out.append((m.RUN, self.out_run))
            self.out_run = []

    def __repr__(self) -> str:
        return f"<Worker {self.name} {len(self.assigned)} tasks, {len(self.holds)} results>"


def _room(facts: WorkerFacts | None) -> float:
    limit = facts.memory_limit if facts else None
    return ROOM * limit if limit else ROOM_IF_UNLIMITED


def _known_as(worker: WorkerRecord, host: str) -> frozenset[str]:
    """Return all that users may call a worker by: its name, job, pool, host and addresses."""
    name = worker.name
    names = {name, worker.job_id or name, host or name}
    if worker.pool:
        names.add(POOL + worker.pool)
    for address in worker.addresses:
        contact = address.rpartition("://")[2]
        names |= {address, contact, contact.rpartition(":")[0].strip("[]") or contact}
    return frozenset(names)


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
