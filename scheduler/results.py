"""Where results are: at workers, or here if they are small.

Part of the core: pure, like `state.py`. How results get from one place to another stands in
`transfers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from jobqueue.protocol import messages as m
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import MEMORY
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

INLINE_LIMIT: Final = 4096
"""Bytes up to which a result rides along and is held by the scheduler."""

HELD_BUDGET: Final = 512 * 1024 * 1024
"""Bytes of results that the scheduler holds before results of any size stay at the workers."""


class Results:
    """What is held where.

    Parameters
    ----------
    state
        The core whose part this is.
    inline_limit
        Bytes up to which workers send results along with the news that they are done.
    held_budget
        Bytes of such results held here before workers are asked to keep theirs.
    """

    def __init__(self, state: SchedulerState, inline_limit: int, held_budget: int) -> None:
        self._state = state
        self.inline_limit = inline_limit
        self.held_budget = held_budget
        self.held_bytes = 0
        self.actors: dict[Task, WorkerRecord] = {}  # those there are, and where
        self._inline = True

    # -- here --------------------------------------------------------------------------------------

    def put(self, task: Task, value: Serialized) -> None:
        """Hold the value of a task here."""
        task.value = value
        self.held_bytes += task.nbytes

    def hold(self, task: Task, value: Serialized) -> None:
        """Hold a result that no worker can keep, unless nobody needs it any more."""
        if task.value is None and task.state is MEMORY:
            self.put(task, value)

    def release_held(self, task: Task) -> None:
        """Drop the copy held here of a value that a worker holds too."""
        if task.value is not None and task.holders:
            task.value = None
            self.held_bytes -= task.nbytes

    def riding_along(self, task: Task) -> Serialized | None:
        """Return the value of a task in memory if it is small, as clients are sent it."""
        return task.value if task.nbytes <= self.inline_limit else None

    def say_limit(self, worker: WorkerRecord) -> None:
        """Tell a worker up to which size results are to ride along."""
        worker.say((m.INLINE_LIMIT, self.inline_limit if self._inline else 0))

    def check_budget(self) -> None:
        """Have workers keep their results while too much is held here."""
        # Off above the budget, on again below half of it, so that it doesn't flicker.
        bound = self.held_budget if self._inline else self.held_budget / 2
        inline = self.held_bytes <= bound
        if inline is not self._inline:
            self._inline = inline
            for worker in self._state.workers.values():
                self.say_limit(worker)

    # -- at workers --------------------------------------------------------------------------------

    def copied(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        """Take in that a worker has copies of these."""
        for key in keys:
            task = self._state.tasks.get(key)
            if task is None or task.state is not MEMORY:
                worker.free(key)
            elif worker not in (task.holders or ()):
                self.add_holder(task, worker)

    def add_holder(self, task: Task, worker: WorkerRecord) -> None:
        """Note that a worker holds the result of a task in memory."""
        if task.holders is None:
            task.holders = {worker}
        else:
            task.holders.add(worker)
        worker.holds.add(task)
        worker.stored += task.nbytes

    def holder_lost(self, task: Task, worker: WorkerRecord) -> None:
        """Note that a worker does not hold what it was thought to hold."""
        if task.holders is None or worker not in task.holders:
            return
        worker.holds.discard(task)
        worker.moving.discard(task)
        worker.stored -= task.nbytes
        lives = self._state.lives
        if self._lose_holder(task, worker):
            if task.clients or task.waiters:
                lives.compute_again(task)
            else:
                lives.loose.append(task)
        lives.sweep()

    def all_lost(self, worker: WorkerRecord) -> list[Task]:
        """Note that a worker holds nothing any more; return what is to be had nowhere now."""
        lost = [task for task in worker.holds if self._lose_holder(task, worker)]
        worker.holds.clear()
        worker.moving.clear()
        worker.stored = 0
        return lost

    def _lose_holder(self, task: Task, worker: WorkerRecord) -> bool:
        """Take a worker off the holders of a result; return whether that is nowhere now."""
        assert task.holders is not None
        task.holders.discard(worker)
        if self.actors.get(task) is worker:
            self.free(task)  # copies of its handle are of no use
        elif not task.holders:
            task.holders = None
        if task.holders is not None or task.value is not None:
            return False
        self._state.lives.leave_memory(task)
        return True

    def free(self, task: Task) -> None:
        """Drop the result of a task wherever it is held."""
        if task.value is not None:
            self.held_bytes -= task.nbytes
            task.value = None
        for worker in task.holders or ():
            worker.holds.discard(task)
            worker.stored -= task.nbytes
            worker.free(task.key)
            worker.moving.discard(task)
        task.holders = None
        state = self._state
        if self.actors:
            self.actors.pop(task, None)
        if state.wishes.mentioned:
            state.wishes.drop_mentions(task)
        state.transfers.forget_task(task)
