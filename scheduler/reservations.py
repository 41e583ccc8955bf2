"""Tasks that take all of a job with several nodes: they wait until it is idle, and have it alone.

Part of the core: pure, like `state.py`. The first worker of such a job, its *lead*, has the
resource `nodes`; a task that asks for it runs there, while none of the job's other workers has
anything to do, so that it may use all nodes for a program of its own, over MPI say.

When such a task is the first in line, it *reserves* a job: the least loaded one that is large
enough. The workers of that get nothing new, and what they have not begun is taken back, so that it
will be idle however much else there is to do. A task reserves one job, and holds nothing while it
waits for it: two such tasks never wait for each other. If the job goes, the task stands in line
again.

A task that has left its thread to others (it waits for something, perhaps for this very task) does
not count: it would keep the job from ever being idle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobqueue.scheduler.demand import NODES, joined_own_line
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.state import SchedulerState


JobKey = tuple[str, str]
"""A pool and the id of a job: pools in different batch systems may have jobs of the same id."""


def job_of(worker: WorkerRecord) -> JobKey:
    """Return what tells the job of a worker from others; one without a job is by itself."""
    return worker.pool, worker.job_id or worker.name


class Reservation:
    """A job that is kept for one task, and then runs it."""

    __slots__ = ("begun", "job", "lead", "task")

    def __init__(self, task: Task, lead: WorkerRecord) -> None:
        self.task = task
        self.lead = lead
        self.job = job_of(lead)
        self.begun = False  # the lead was given the task


class Reservations:
    """The jobs that are kept for tasks.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._members: dict[JobKey, dict[WorkerRecord, None]] = {}
        self.by_job: dict[JobKey, Reservation] = {}
        self.by_task: dict[Task, Reservation] = {}

    # -- workers -----------------------------------------------------------------------------------

    def worker_came(self, worker: WorkerRecord) -> None:
        """Note a worker; one of a job that is reserved gets nothing, either."""
        job = job_of(worker)
        self._members.setdefault(job, {})[worker] = None
        worker.reserved = job in self.by_job

    def worker_went(self, worker: WorkerRecord) -> None:
        """Forget a worker that is gone."""
        members = self._members.get(job_of(worker), {})
        members.pop(worker, None)
        if not members:
            self._members.pop(job_of(worker), None)

    def members(self, job: JobKey) -> Iterable[WorkerRecord]:
        """Return the connected workers of a job."""
        return self._members.get(job, ())

    # -- once a turn -------------------------------------------------------------------------------

    def settle(self) -> list[tuple[Task, WorkerRecord]]:
        """Reserve jobs for those whose turn it is; return tasks whose job is idle, and its lead."""
        for reservation in list(self.by_job.values()):
            if self._is_over(reservation):
                self._end(reservation)
        if self._state.demands.whole:
            self._reserve_more()
        idle = [each for each in self.by_job.values() if not each.begun and self._is_idle(each)]
        for reservation in idle:
            reservation.begun = True
        return [(reservation.task, reservation.lead) for reservation in idle]

    def _is_over(self, reservation: Reservation) -> bool:
        """Return whether a job need not be kept any more, or is of no use."""
        task, lead = reservation.task, reservation.lead
        if self._state.workers.get(lead.name) is not lead:
            return True
        if not reservation.begun:
            unfit = lead.retiring or lead.silent or lead.paused
            return bool(unfit) or task.state is not READY or not self._has_time(lead, task)
        if task.worker is lead:
            return False
        if self.by_task.get(task) is reservation:
            del self.by_task[task]  # it may have another job, while this one cannot be used yet:
        # A program that was cancelled, or whose worker is silent, may run on.
        return lead.silent is None and lead.free_resources[NODES] >= lead.resources[NODES]

    def _is_idle(self, reservation: Reservation) -> bool:
        return not any(worker.load for worker in self.members(reservation.job))

    def _has_time(self, lead: WorkerRecord, task: Task) -> bool:
        """Return whether a task is expected to end in time once a job is idle."""
        assert task.function is not None
        waits = (w.occupancy / w.nthreads for w in self.members(job_of(lead)) if w.assigned)
        now = self._state.deadlines.now
        return now + max(waits, default=0.0) + task.function.duration <= lead.due

    def _end(self, reservation: Reservation) -> None:
        """Let a job go; a task that has not had it stands in line again."""
        task = reservation.task
        del self.by_job[reservation.job]
        if self.by_task.get(task) is reservation:
            del self.by_task[task]
        for worker in self.members(reservation.job):
            worker.reserved = False
            self._state.load_changed(worker)
        if not reservation.begun and task.state is READY and task.demand is not None:
            task.demand.push(task)

    # -- whose turn it is --------------------------------------------------------------------------

    def _reserve_more(self) -> None:
        passed: set[Demand] = set()  # no job will do now for the first of these
        first_of_others = self._state.ready.first()
        while True:
            first = self._first(passed)
            if first is None:
                return
            demand, task = first
            if first_of_others is not None and first_of_others.rank < task.rank:
                return  # it is not its turn
            lead = self._choose(demand, task)
            if lead is None:
                passed.add(demand)
            else:
                demand.queue.pop()
                self._reserve(task, lead)

    def _first(self, passed: set[Demand]) -> tuple[Demand, Task] | None:
        """Return the first in line of those that have no job, and its line."""
        found: tuple[Demand, Task] | None = None
        for demand in self._state.demands.whole:
            task = None if demand in passed else self._first_of(demand)
            if task is not None and (found is None or task.rank < found[1].rank):
                found = demand, task
        return found

    def _first_of(self, demand: Demand) -> Task | None:
        while (task := demand.queue.first()) is not None:
            elsewhere = task.demand is not demand and joined_own_line(task)
            if not elsewhere and task not in self.by_task:
                return task
            demand.queue.pop()  # it stands, or is, somewhere else
        return None

    def _choose(self, demand: Demand, task: Task) -> WorkerRecord | None:
        """Return the lead of the least loaded job that will do."""
        leads = [
            lead
            for lead in demand.eligible
            if lead.available and demand.fits(lead) and self._has_time(lead, task)
        ]
        return min(leads, key=lambda lead: (*self._load(lead), lead.name), default=None)

    def _load(self, lead: WorkerRecord) -> tuple[int, float]:
        members = list(self.members(job_of(lead)))
        return sum(w.load for w in members), sum(w.occupancy for w in members)

    def _reserve(self, task: Task, lead: WorkerRecord) -> None:
        reservation = Reservation(task, lead)
        self.by_job[reservation.job] = self.by_task[task] = reservation
        for worker in self.members(reservation.job):
            worker.reserved = True
            self._state.open_workers.remove(worker)
            running = worker.running()
            waiting = [other.key for other in worker.assigned if other not in running]
            if waiting:
                worker.recall(waiting)
