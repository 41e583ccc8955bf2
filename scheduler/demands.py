"""All demands of the tasks there are: which workers satisfy them, and whose first task is next.

Part of the core: pure, like `state.py`. What one demand is, and the line of its tasks, stands in
`demand.py`. Who goes first is decided by rank alone, as if there were one line.

Nothing here looks at all workers for each task. A demand knows the workers that satisfy it, and
which of them may have room: one that turns out to have none is not looked at again until it says
that it has less to do.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jobqueue.scheduler.deadlines import AT_A_TIME
from jobqueue.scheduler.demand import ANY, Demand, Kind, joined_own_line, kind_of
from jobqueue.scheduler.records import Task, Unended
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState


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
        self._listed: dict[Demand, int] = {}  # by which rank
        self._number = 0

    def intern(self, options: Mapping[str, Any] | None) -> Demand | None:
        """Return the demand of tasks with these options; None if any worker will do."""
        kind = kind_of(options)
        return None if kind == ANY else self._get(kind)

    def set_apart(self, task: Task) -> None:
        """Have a task, which no worker has, run where no other task is that was set apart."""
        self._change(task, _kind_of(task)._replace(apart=True))

    def keep_to_time(self, task: Task, call: Unended | None = None) -> None:
        """Have a task, which has left its line, run only where there is time for it."""
        self._change(task, _kind_of(task)._replace(calls=call or task.function))

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
            demand = self.by_kind[kind] = Demand(self._state, kind)
            if demand.whole:
                self.whole[demand] = None
            if demand.others:
                demand.otherwise = self._state.ready
                without_names = kind._replace(names=None, others=False)
                if without_names != ANY:
                    demand.otherwise = self._get(without_names)
                    demand.otherwise.tasks += 1  # as long as this one needs it
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
        self._listed.pop(demand, None)
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
        listed = self._listed.get(demand)
        if listed is None or first.rank < listed:
            self._listed[demand] = first.rank
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
            if self._listed.get(demand) != rank:
                continue  # another entry stands for it
            del self._listed[demand]
            task = demand.queue.first()
            if task is None:
                continue
            if task.rank > rank:
                self.activate(demand)
                continue
            if task.demand is not demand and joined_own_line(task):
                demand.queue.pop()
                self.activate(demand)
                continue
            assert task.function is not None
            if task.function.duration > brief and demand.calls is None:
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

    def one_could_run(self, task: Task, idle: Collection[WorkerRecord]) -> bool:
        """Return whether one of these workers could run a task at once."""
        demand = task.demand
        among = idle if demand is None else demand.suitable(idle)
        if demand is None or among is idle:  # any worker will do
            return self._state.deadlines.any_has_time(task, idle)
        few, many = (among, idle) if len(among) < len(idle) else (idle, among)
        return any(worker in many and demand.fits(worker) for worker in few)


def _kind_of(task: Task) -> Kind:
    return ANY if task.demand is None else task.demand.kind
