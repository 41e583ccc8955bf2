"""What a task demands of its worker: to be one of some, to have resources, to risk but one of its
kind, and to last until it has ended.

Part of the core: pure, like `state.py`. Tasks that demand the same share one `Demand`, with a line
of its own, so that none which cannot be met keeps others waiting. It knows the workers that satisfy
it, and which of them may have room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jobqueue.scheduler.candidates import Candidates
from jobqueue.scheduler.placement import ReadyQueue, nearest
from jobqueue.scheduler.records import Function, Task, Unended
from jobqueue.scheduler.worker_record import POOL, WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

SLACK: Final = 1e-9
"""Of a resource, as a part of one: amounts such as 0.1 do not add up exactly."""

NODES: Final = "nodes"
"""The resource that the first worker of a job with several nodes has. Whoever asks for it gets the
whole job; see `reservations.py`."""


class Kind(NamedTuple):
    """What a demand is; without anything, what a task demands that any worker may run.

    Parameters
    ----------
    names
        Of workers that will do; None: all of them.
    others
        Whether others will do, too, while there is none of those.
    resources
        Names and amounts.
    apart
        Whether its tasks stay apart from each other.
    calls
        Of which function, or which call, they are if that is known to take too long for some
        worker; see `deadlines.py`.
    """

    names: frozenset[str] | None = None
    others: bool = False
    resources: tuple[tuple[str, float], ...] = ()
    apart: bool = False
    calls: Function | Unended | None = None


ANY: Final = Kind()


def kind_of(options: Mapping[str, Any] | None) -> Kind:
    """Return what the options of a task demand of its worker.

    Raises
    ------
    TypeError, ValueError
        The options cannot be understood.
    """
    if not options:
        return ANY
    workers, resources = options.get("workers"), options.get("resources")
    if not workers and not resources:
        return ANY
    names = frozenset([workers] if isinstance(workers, str) else workers or ())
    amounts = tuple(sorted((str(k), float(v)) for k, v in (resources or {}).items() if v > 0))
    return Kind(names or None, bool(names and options.get("allow_other_workers")), amounts)


class Demand:
    """What some tasks demand of their worker, and those of them that are ready.

    Parameters
    ----------
    state
        The core whose part this is.
    kind
        What tells it from others.
    """

    __slots__ = (
        "_state",
        "apart",
        "calls",
        "candidates",
        "eligible",
        "kind",
        "names",
        "others",
        "otherwise",
        "queue",
        "ready",
        "resources",
        "seconds",
        "tasks",
        "whole",
    )

    def __init__(self, state: SchedulerState, kind: Kind) -> None:
        self._state = state
        self.kind = kind
        self.names, self.others, self.resources, self.apart, self.calls = kind
        # What those calls were expected to take when workers were passed over.
        self.seconds = 0.0 if self.calls is None else self.calls.duration
        self.whole = any(name == NODES for name, _ in self.resources)
        self.tasks = 0  # how many there are, ready or not
        self.ready: dict[Function, int] = {}  # how many are ready, in whatever line they stand
        self.queue = ReadyQueue()
        self.eligible: set[WorkerRecord] = set()  # those that satisfy it, with room or not
        self.candidates = Candidates()
        # Where its tasks go while no worker satisfies it, if others will do.
        self.otherwise: Demand | ReadyQueue | None = None

    # -- its workers -------------------------------------------------------------------------------

    def is_satisfied_by(self, worker: WorkerRecord) -> bool:
        """Return whether its tasks may run on a worker, once that has nothing else to do."""
        if self.names is not None and self.names.isdisjoint(worker.known_as):
            return False
        have = worker.resources
        return all(have.get(name, 0) >= amount for name, amount in self.resources)

    def suitable(self, workers: Collection[WorkerRecord]) -> Collection[WorkerRecord]:
        """Return which of all workers may run its tasks: if none satisfies it, others that will do.

        If any will do then, these are `workers` themselves.
        """
        if self.eligible or self.otherwise is None:
            return self.eligible
        if isinstance(self.otherwise, Demand):
            return self.otherwise.suitable(workers)
        return workers

    def fits(self, worker: WorkerRecord) -> bool:
        """Return whether a worker that satisfies it has as much of its resources and time left."""
        if self.calls is not None and not self._state.deadlines.has_time(worker, self.calls):
            return False
        if self.apart and any(t.demand is not None and t.demand.apart for t in worker.assigned):
            return False
        free = worker.free_resources
        return all(free[name] >= amount - SLACK for name, amount in self.resources)

    def offer(self, worker: WorkerRecord) -> None:
        """Note that a worker which satisfies it has less to do than before."""
        self.candidates.offer(worker)
        if self.queue:
            self._state.demands.activate(self)

    def choose(self, task: Task) -> WorkerRecord | None:
        """Return the worker for one of its tasks; None if none has room."""
        least = self.candidates.best(self)
        return nearest(task, least, self) if least is not None and task.inputs else least

    def take(self, worker: WorkerRecord) -> None:
        """Take its resources for a task."""
        free = worker.free_resources
        for name, amount in self.resources:
            free[name] -= amount

    def give_back(self, worker: WorkerRecord) -> None:
        """Give its resources back."""
        free = worker.free_resources
        for name, amount in self.resources:
            free[name] += amount

    # -- its tasks ---------------------------------------------------------------------------------

    def push(self, task: Task) -> None:
        """Put a READY task in line."""
        if self.otherwise is not None and not self.eligible:
            self.otherwise.push(task)
        else:
            self.queue.push(task)
            self._state.demands.activate(self)

    def count_ready(self, function: Function, change: int) -> None:
        """Note that calls of a function have become READY, or if negative that they are so no more.

        Those of one function may leave before those that came with them are counted.
        """
        ready = self.ready.pop(function, 0) + change
        if ready:
            self.ready[function] = ready

    # -- in words ----------------------------------------------------------------------------------

    def lacks(self, workers: Collection[WorkerRecord]) -> str:
        """Say what is missing if none of all workers is suitable; empty if one is."""
        if self.suitable(workers):
            return ""
        if isinstance(self.otherwise, Demand):
            return self.otherwise.lacks(workers)
        among = list(workers)
        if self.names is not None:
            among = [worker for worker in workers if not self.names.isdisjoint(worker.known_as)]
            if not among:
                return _nobody(self.names)
        for name, amount in self.resources:
            if not any(worker.resources.get(name, 0) >= amount for worker in among):
                return f"no worker satisfies resources {name}={amount:g}"
        wanted = ", ".join(f"{name}={amount:g}" for name, amount in self.resources)
        return f"no one worker satisfies resources {wanted}" if wanted else "no worker is connected"

    def __repr__(self) -> str:
        return f"<Demand {tuple(self.kind)} {self.tasks} tasks, {len(self.eligible)} workers>"


def joined_own_line(task: Task) -> bool:
    """Put a task, which stands first in a line of others, in its own if a worker has come there.

    Returns
    -------
    bool
        Whether one has.
    """
    demand = task.demand
    if demand is None or not demand.eligible:
        return False
    demand.push(task)
    return True


def _nobody(names: Collection[str]) -> str:
    """Say that no worker goes by one of these names."""
    pools = sorted(name.removeprefix(POOL) for name in names if name.startswith(POOL))
    others = sorted(name for name in names if not name.startswith(POOL))
    facts = []
    if pools:
        facts.append(f"no worker of pool {' or '.join(map(repr, pools))} is connected")
    if others:
        facts.append(f"no worker is known as {' or '.join(map(repr, others))}")
    return ", and ".join(facts)
