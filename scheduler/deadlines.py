"""No task is placed where it is expected to outlive its worker's job.

Part of the core: pure, like `state.py`. What a call takes is known from those of its function that
have ended; one of which nothing is known may go anywhere.

Asking this of each task and each worker would cost too much. So it is asked only of tasks that are
too long for some worker, `brief` says from which length on. When such a task is about to be placed
it moves to a line of its function's own (`Demand.calls`), where room in time is looked at as
room among resources is: a worker that has not enough of it is passed over until it says that it has
less to do. All other tasks fit everywhere, and are placed as if no job ever ended.

A call that was not let end takes longer than it ran, however short others of its function are: it
gets a line of its own (`Unended`), and goes to no worker that has less time.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from jobqueue.scheduler.placement import ALWAYS
from jobqueue.scheduler.records import Function, Task, Unended
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.state import SchedulerState

RESERVE: Final = 5.0
"""Seconds before the end of its job by which a worker's tasks have to end: what they leave behind
is to be moved."""

RESERVE_PART: Final = 0.25
"""The same where there is little time in all, as a part of it."""

NOTABLE: Final = 0.9
"""What calls have to take, as a part of what they took, for workers to be looked at again."""

AT_A_TIME: Final = 1000
"""Tasks that change lines in one turn of the event loop, lest a million keep everybody waiting."""


class Deadlines:
    """When jobs end, and what has time until then.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self.now = 0.0  # when somebody was last heard, or the clock was looked at
        self.brief = math.inf  # seconds: a task that is expected to take no longer fits everywhere
        # Of which there is no more to say:
        self._told: weakref.WeakSet[Function | Unended] = weakref.WeakSet()

    def set_end(self, worker: WorkerRecord, seconds: float) -> None:
        """Take in that a worker's job ends in so many seconds, unless it is known to end sooner."""
        ends_at = self.now + seconds
        if worker.ends_at is None or ends_at < worker.ends_at:
            worker.ends_at = ends_at
            worker.due = ends_at - min(RESERVE, RESERVE_PART * max(0.0, seconds))
            self._look_at(worker)

    def look(self, now: float) -> None:
        """Look at the clock; to be called each tick."""
        self.now = now
        self.brief = math.inf
        for worker in self._state.workers.values():
            self._look_at(worker)
        for demand in self._state.demands.by_kind.values():
            if demand.calls is not None:
                self._look_at_calls(demand, demand.calls.duration)

    def _look_at_calls(self, demand: Demand, seconds: float) -> None:
        """Offer workers again that were passed over when calls of a function took longer."""
        if seconds < NOTABLE * demand.seconds:
            for worker in demand.eligible:
                demand.offer(worker)
            demand.seconds = seconds
        demand.seconds = max(demand.seconds, seconds)

    def ran_in_vain(self, task: Task, seconds: float) -> None:
        """Note that a task, which no worker has now, takes longer than it ran at one."""
        assert task.function is not None
        call = None if task.demand is None else task.demand.calls
        if not isinstance(call, Unended):
            call = Unended(task.key, task.function)
        call.at_least = max(call.at_least, seconds)
        self._state.demands.keep_to_time(task, call)

    def hopeless(self) -> list[str]:
        """Say, once for each function, of whose calls no worker had enough time even when it came.

        Nothing will run them until one comes that has.
        """
        said = []
        for demand in self._state.demands.by_kind.values():
            calls = demand.calls
            if calls is None or not demand.ready or calls in self._told:
                continue
            longest = longest_time(demand.eligible)
            if calls.duration > longest:
                self._told.add(calls)
                said.append(
                    f"tasks wait for a longer job function={calls.name} "
                    f"takes={calls.duration:.0f}s longest={longest:.0f}s"
                    if isinstance(calls, Function)
                    else f"a task waits for a longer job task={calls.key}: it took more than "
                    f"{calls.duration:.0f} s and did not end; the longest job has "
                    f"{longest:.0f} s for tasks"
                )
        return said

    def _look_at(self, worker: WorkerRecord) -> None:
        # A worker's queue may hold `ALWAYS` tasks a thread before the one that is to fit, too.
        if worker.due - self.now < (ALWAYS + 1) * self.brief and not worker.retiring:
            self.brief = (worker.due - self.now) / (ALWAYS + 1)

    def has_time(self, worker: WorkerRecord, calls: Function | Unended) -> bool:
        """Return whether a call, given to a worker now, is expected to end before its job does."""
        if worker.due == math.inf:
            return True
        wait = 0.0
        if worker.load >= worker.nthreads:  # it begins no later than if all shared the work evenly
            wait = worker.occupancy / max(1, worker.nthreads - worker.blocked)
        return self.now + wait + calls.duration <= worker.due

    def any_has_time(self, task: Task, workers: Collection[WorkerRecord]) -> bool:
        """Return whether one of some workers has time for a task that any of them may run."""
        assert task.function is not None
        if task.function.duration <= self.brief:
            return True
        return any(self.has_time(worker, task.function) for worker in workers)


def longest_time(workers: Collection[WorkerRecord]) -> float:
    """Return for how long one of some workers could run tasks when it came: infinite if unknown."""
    return max(map(_time_at_first, workers), default=math.inf)


def _time_at_first(worker: WorkerRecord) -> float:
    """Return for how long a worker could run tasks when it came."""
    left = worker.facts.time_left if worker.facts is not None else None
    return math.inf if left is None else left - min(RESERVE, RESERVE_PART * left)
