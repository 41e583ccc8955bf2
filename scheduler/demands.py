"""What tasks demand of their worker: to be one of some, to have resources, to risk but one of them,
and to last until they have ended.

Part of the core: pure, like `state.py`. Tasks that demand the same share one `Demand`, with a line
of its own, so that none which cannot be met keeps others waiting. Who goes first is decided by rank
alone, as if there were one line.

Nothing here looks at all workers for each task. A demand knows the workers that satisfy it, and
which of them may have room: one that turns out to have none is not looked at again until it says
that it has less to do.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from jobqueue.scheduler.candidates import Candidates
from jobqueue.scheduler.deadlines import AT_A_TIME
from jobqueue.scheduler.placement import ReadyQueue, nearest
from jobqueue.scheduler.records import Function, Task, Unended
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.worker_record import POOL, WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

SLACK: Final = 1e-9
"""Of a resource, as a part of one: amounts such as 0.1 do not add up exactly."""

NODES: Final = "nodes"
"""The resource that the first worker of a job with several nodes has. Whoever asks for it gets the
whole job; see `reservations.py`."""

Calls = Function | Unended | None
Kind = tuple[frozenset[str] | None, bool, tuple[tuple[str, float], ...], bool, Calls]
"""What a demand is: names of workers, whether others will do too, amounts of resources, whether its
tasks stay apart from each other, and of which function, or which call, they are if that is known to
take too long for some worker (see `deadlines.py`)."""

ANY: Final[Kind] = (None, False, (), False, None)
"""What a task demands that any worker may run."""


def kind_of(options: Mapping[str, Any] | None) -> Kind | None:
    """Return what the options of a task demand of its worker; None: any worker will do.

    Raises
    ------
    TypeError, ValueError
        The options cannot be understood.
    """
    if not options:
        return None
    workers, resources = options.get("workers"), options.get("resources")
    if not workers and not resources:
        return None
    names = frozenset([workers] if isinstance(workers, str) else workers or ())
    amounts = tuple(sorted((str(k), float(v)) for k, v in (resources or {}).items() if v > 0))
    if not names and not amounts:
        return None
    return names or None, bool(names and options.get("allow_other_workers")), amounts, False, None


class Demand:
    """What some tasks demand of their worker, and those of them that are ready."""

    __slots__ = (
        "_demands",
        "apart",
        "candidates",
        "eligible",
        "function",
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

    def __init__(self, demands: Demands, kind: Kind) -> None:
        self._demands = demands
        self.names, self.others, self.resources, self.apart, self.function = kind
        # What a call of that function was expected to take when workers were passed over.
        self.seconds = 0.0 if self.function is None else self.function.duration
        self.whole = any(name == NODES for name, _ in self.resources)
        self.tasks = 0  # how many there are, ready or not
        self.ready: dict[Function, int] = {}  # how many are ready, in whatever line they stand
        self.queue = ReadyQueue()
        self.eligible: set[WorkerRecord] = set()  # those that satisfy it, with room or not
        self.candidates = Candidates()
        # Where its tasks go while no worker satisfies it, if others will do.
        self.otherwise: Demand | ReadyQueue | None = None

    @property
    def kind(self) -> Kind:
        """What tells it from others."""
        return self.names, self.others, self.resources, self.apart, self.function

    def is_satisfied_by(self, worker: WorkerRecord) -> bool:
        """Return whether its tasks may run on a worker, once that has nothing else to do."""
        if self.names is not None and self.names.isdisjoint(worker.known_as):
            return False
        have = worker.resources
        return all(have.get(name, 0) >= amount for name, amount in self.resources)

    def fits(self, worker: WorkerRecord) -> bool:
        """Return whether a worker that satisfies it has as much of its resources and time left."""
        if self.function is not None and not self._demands.in_time(worker, self.function):
            return False
        if self.apart and any(t.demand is not None and t.demand.apart for t in worker.assigned):
            return False
        free = worker.free_resources
        return all(free[name] >= amount - SLACK for name, amount in self.resources)

    def count_ready(self, function: Function, change: int) -> None:
        """Note that calls of a function have become READY, or if negative that they are so no more.

        Those of one function may leave before those that came with them are counted.
        """
        ready = self.ready.pop(function, 0) + change
        if ready:
            self.ready[function] = ready

    def push(self, task: Task) -> None:
        """Put a READY task in line."""
        if self.otherwise is not None and not self.eligible:
            self.otherwise.push(task)
        else:
            self.queue.push(task)
            self._demands.activate(self)

    def offer(self, worker: WorkerRecord) -> None:
        """Note that a worker which satisfies it has less to do than before."""
        self.candidates.offer(worker)
        if self.queue:
            self._demands.activate(self)

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

    def lacks(self, workers: Collection[WorkerRecord]) -> str:
        """Say what is missing if no worker satisfies it; empty if one does, or others will do."""
        if self.eligible or (isinstance(self.otherwise, ReadyQueue) and workers):
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
        return f"<Demand {self.kind} {self.tasks} tasks, {len(self.eligible)} workers>"


class Demands:
    """All demands of the tasks there are.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self.by_kind: dict[Kind, Demand] = {}
        self.whole: dict[Demand, None] = {}  # those of whole jobs: `reservations.py` places them
        self._known_as: dict[str, set[WorkerRecord]] = {}  # workers by all their names
        self._having: dict[str, set[WorkerRecord]] = {}  # workers by resource
        # Those whose first task can perhaps be placed, by its rank. An entry may be old.
        self.active: list[tuple[int, int, Demand]] = []
        self._active: dict[Demand, int] = {}  # the rank it is listed by
        self._number = 0

    def intern(self, options: Mapping[str, Any] | None) -> Demand | None:
        """Return the demand of tasks with these options; None if any worker will do."""
        kind = kind_of(options)
        return None if kind is None else self._get(kind)

    def set_apart(self, task: Task) -> None:
        """Have a task, which no worker has, run where no other task is that was set apart."""
        names, others, resources, _, function = ANY if task.demand is None else task.demand.kind
        self._change(task, (names, others, resources, True, function))

    def keep_to_time(self, task: Task, call: Unended | None = None) -> None:
        """Have a task, which has left its line, run only where there is time for it."""
        names, others, resources, apart, _ = ANY if task.demand is None else task.demand.kind
        self._change(task, (names, others, resources, apart, call or task.function))

    def in_time(self, worker: WorkerRecord, calls: Function | Unended) -> bool:
        """Return whether a worker has time for a call."""
        return self._state.deadlines.has_time(worker, calls)

    def _change(self, task: Task, kind: Kind) -> None:
        """Let a task demand something else."""
        old = task.demand
        if old is not None and old.kind == kind:
            return
        if task.state is READY:
            task.count_ready(-1)
        task.demand = self._get(kind)
        self.count(task.demand, 1)
        if task.state is READY:
            task.count_ready(1)
            task.demand.push(task)
        if old is not None:
            self.count(old, -1)

    def _get(self, kind: Kind) -> Demand:
        demand = self.by_kind.get(kind)
        if demand is None:
            demand = self.by_kind[kind] = Demand(self, kind)
            if demand.whole:
                self.whole[demand] = None
            if demand.others:
                demand.otherwise = self._state.ready
                kind = (None, False, *kind[2:])
                if kind != ANY:
                    demand.otherwise = self._get(kind)
                    demand.otherwise.tasks += 1
            for worker in self._possible(demand):
                if demand.is_satisfied_by(worker):
                    self._match(demand, worker)
        return demand

    def _possible(self, demand: Demand) -> Iterable[WorkerRecord]:
        found: set[WorkerRecord] = set()
        if demand.names is not None:
            return found.union(*(self._known_as.get(name, ()) for name in demand.names))
        if not demand.resources:
            return found.union(*self._known_as.values())
        return self._having.get(demand.resources[0][0], ())

    def _match(self, demand: Demand, worker: WorkerRecord) -> None:
        demand.eligible.add(worker)
        worker.demands.append(demand)
        demand.offer(worker)

    def count(self, demand: Demand, tasks: int) -> None:
        """Count tasks that have come, or gone if negative; forget a demand that none has."""
        demand.tasks += tasks
        if demand.tasks:
            return
        del self.by_kind[demand.kind]
        self.whole.pop(demand, None)
        self._active.pop(demand, None)
        for worker in demand.eligible:
            worker.demands.remove(demand)
        if isinstance(demand.otherwise, Demand):
            self.count(demand.otherwise, -1)

    # -- workers -----------------------------------------------------------------------------------

    def worker_came(self, worker: WorkerRecord) -> None:
        """Note a worker that may be given tasks from now on."""
        for name in worker.known_as:
            self._known_as.setdefault(name, set()).add(worker)
        for name in worker.resources:
            self._having.setdefault(name, set()).add(worker)
        for demand in self.by_kind.values():
            if demand.is_satisfied_by(worker):
                self._match(demand, worker)

    def worker_went(self, worker: WorkerRecord) -> None:
        """Note that a worker will not be given tasks any more; once more does no harm."""
        for index, names in ((self._known_as, worker.known_as), (self._having, worker.resources)):
            for name in names:
                workers = index.get(name)
                if workers is not None:
                    workers.discard(worker)
                    if not workers:
                        del index[name]
        for demand in worker.demands:
            demand.eligible.discard(worker)
            demand.candidates.remove(worker)
            if not demand.eligible and demand.otherwise is not None:
                while (task := demand.queue.pop()) is not None:
                    demand.otherwise.push(task)
        worker.demands = []

    def offer(self, worker: WorkerRecord) -> None:
        """Note that a worker has less to do than before."""
        for demand in worker.demands:
            demand.offer(worker)

    # -- whose turn it is --------------------------------------------------------------------------

    def activate(self, demand: Demand) -> None:
        """Look at a demand's first task when tasks are placed, if a worker may have room for it."""
        if demand.whole or not demand.candidates:
            return
        first = demand.queue.first()
        if first is None:
            return
        listed = self._active.get(demand)
        if listed is None or first.rank < listed:
            self._active[demand] = first.rank
            self._number += 1
            heapq.heappush(self.active, (first.rank, self._number, demand))

    def next(self, before: Task | None) -> tuple[Task, WorkerRecord] | None:
        """Return, and remove, the first task that can be placed, with its worker.

        Parameters
        ----------
        before
            The first task without demands, if it can be placed: what comes behind it waits.
        """
        active, brief, changed = self.active, self._state.deadlines.brief, 0
        while active and changed < AT_A_TIME:
            rank, _, demand = active[0]
            if before is not None and before.rank < rank:
                return None
            heapq.heappop(active)
            if self._active.get(demand) != rank:
                continue  # another entry stands for it
            del self._active[demand]
            task = demand.queue.first()
            if task is None:
                continue
            if task.rank > rank:
                self.activate(demand)
                continue
            if task.demand is not demand and belongs_elsewhere(task):
                demand.queue.pop()
                self.activate(demand)
                continue
            assert task.function is not None
            if task.function.duration > brief and demand.function is None:
                demand.queue.pop()
                self.keep_to_time(task)
                changed += 1
                self.activate(demand)
                continue
            worker = demand.choose(task)
            if worker is None:
                continue  # until one offers itself
            demand.queue.pop()
            self.activate(demand)
            return task, worker
        return None

    def elsewhere(self, task: Task, idle: Collection[WorkerRecord]) -> bool:
        """Return whether one of these workers could run a task at once."""
        demand = task.demand
        if demand is None:
            return self._state.deadlines.any_has_time(task, idle)
        among: Collection[WorkerRecord] = demand.eligible
        if not among and demand.otherwise is not None:
            if isinstance(demand.otherwise, ReadyQueue):
                return self._state.deadlines.any_has_time(task, idle)
            among = demand.otherwise.eligible
        few, many = (among, idle) if len(among) < len(idle) else (idle, among)
        return any(worker in many and demand.fits(worker) for worker in few)


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


def belongs_elsewhere(task: Task) -> bool:
    """Put a task in its own demand's line if a worker it prefers has come; return whether."""
    demand = task.demand
    if demand is None or not demand.eligible:
        return False
    demand.push(task)
    return True
