"""Giving ready tasks to workers, and taking back what waits at one while others idle.

Part of the core: pure, like `state.py`. Which task and which worker is decided in `placement.py`,
and in `demands.py` for tasks that not any worker will do for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.deadlines import AT_A_TIME
from jobqueue.scheduler.demand import joined_own_line
from jobqueue.scheduler.placement import choose, surplus
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import ASSIGNED
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

INLINE_INPUTS: Final = 16 * 1024 * 1024
"""Bytes of small inputs that travel with one task, whose message must fit into a frame. The worker
asks for the rest."""


class Placing:
    """Brings ready tasks and workers together.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self.unfinished = False  # there is more to place, but others should have their turn before

    def place(self) -> None:
        """Give ready tasks to workers with room."""
        state = self._state
        open_workers, talking, strays = state.open_workers, state.talking, state.losses.strays
        reservations = state.reservations
        whole = reservations.settle() if state.demands.whole or reservations.by_job else []
        self.unfinished = False
        while True:
            found = whole.pop() if whole else self._next()
            if found is None:
                return
            task, worker = found
            function = task.function
            assert function is not None
            if strays and state.losses.is_stray(task, worker):
                state.losses.withdraw_stray(task, worker)
            if worker.withdrawn and task.key in worker.withdrawn:
                worker.run_again(task.key)
            task.state = ASSIGNED
            if task.demand is None:
                function.ready -= 1
            else:
                task.demand.count_ready(function, -1)
                if task.demand.resources:
                    worker.out_reserved.append((task.key, dict(task.demand.resources)))
            self.note(task, worker)
            if worker not in function.known_to:
                function.known_to.add(worker)
                worker.say((m.FUNCTIONS, [(function.fid, function.name, function.pickle)]))
            inputs = _inputs_for(task, worker) if task.inputs else None
            worker.out_run.append((task.key, function.fid, task.arguments, inputs))
            talking.add(worker)
            open_workers.update(worker)

    def _next(self) -> tuple[Task, WorkerRecord] | None:
        """Return the first task in line that can be placed, and where; it leaves the line."""
        state = self._state
        ready, open_workers, demands = state.ready, state.open_workers, state.demands
        brief, changed = state.deadlines.brief, 0
        while changed < AT_A_TIME:
            if demands.active:
                found = demands.next(ready.first() if open_workers else None)
                if found is not None:
                    return found
            if not open_workers:
                return None
            task = ready.pop()
            if task is None:
                return None
            if task.function.duration > brief:  # type: ignore[union-attr]
                demands.keep_to_time(task)
                changed += 1
                continue
            if task.demand is None or not joined_own_line(task):
                worker = choose(task, open_workers)
                assert worker is not None
                return task, worker
        self.unfinished = True
        return None

    def note(self, task: Task, worker: WorkerRecord) -> None:
        """Note that a worker has a task, and what it will probably take."""
        assert task.function is not None
        seconds = task.function.duration
        task.worker = worker
        worker.assigned[task] = seconds
        worker.occupancy += seconds
        worker.each = task.function.nbytes
        if task.demand is not None:
            task.demand.take(worker)

    def leave_at(self, task: Task, worker: WorkerRecord) -> None:
        """Leave a READY task, which still stands in line, to a worker that has it already."""
        task.count_ready(-1)
        task.state = ASSIGNED
        self.note(task, worker)

    def rebalance(self) -> None:
        """Take tasks back that wait at one worker while others have nothing to do."""
        state = self._state
        if state.ready:
            return
        for worker, keys in surplus(state.workers.values(), state.demands.one_could_run):
            worker.recall(keys)


def _inputs_for(task: Task, worker: WorkerRecord) -> list[tuple[str, Serialized | None, Any]]:
    """Return what a worker is told of a task's inputs: the value, or where it is."""
    described: list[tuple[str, Serialized | None, Any]] = []
    room = INLINE_INPUTS
    for source in task.inputs:
        holders = source.holders
        if holders and worker in holders:
            described.append((source.key, None, ()))
        elif source.value is not None and source.nbytes <= room:
            room -= source.nbytes
            described.append((source.key, source.value, ()))
        else:
            places = [holder.addresses for holder in holders or ()]
            described.append((source.key, None, places))
    return described
