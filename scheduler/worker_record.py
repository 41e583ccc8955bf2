"""What the scheduler core knows about one worker: a plain record, and what is to be said to it.

It has no behaviour beyond its own outbox, and telling news that is old from news that is not; the
rules stand in the rooms of the core (`state.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.protocol.messages import Message

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.records import Task

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
        scheme, _, contact = address.rpartition("://")
        names |= {address, contact, contact.rpartition(":")[0].strip("[]") or contact}
        if scheme == "unix":  # it is on the scheduler's own machine
            names |= {"localhost", "127.0.0.1"}
    return frozenset(names)
