"""Runs that go on although their tasks were withdrawn: what they hold is not free yet.

Part of the core: pure, like `state.py`. A task that was cancelled, or that nobody wants any more,
is gone here at once, but a thread cannot be made to stop. The worker says which of them it still
runs. Until they end, each counts for the worker's load as a task does, so that nothing is put
behind it that could begin elsewhere, and keeps the resources that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobqueue.scheduler.records import Task
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState


class Lingering:
    """Keeps count of what withdrawn tasks hold.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state

    def withdraw(self, task: Task, worker: WorkerRecord, force: bool) -> None:
        """Take a task away from its worker, which may go on with it all the same."""
        worker.cancel(task.key, force)
        self._state.lives.take_back(task)
        demand = task.demand
        if demand is not None and demand.resources and task.key not in worker.kept:
            demand.take(worker)
            worker.kept[task.key] = demand
            worker.recall([])  # the answer: it has heard of this, and has told what runs on

    def told(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        """Take in which withdrawn tasks a worker still runs."""
        worker.lingering = tuple(keys)
        worker.blocked = len(worker.lingering)
        self._release(worker)
        self._state.load_changed(worker)

    def answered(self, worker: WorkerRecord) -> None:
        """Take in that a worker has answered a RECALL."""
        worker.answered()
        if worker.kept:
            self._release(worker)

    def _release(self, worker: WorkerRecord) -> None:
        kept, lingering = worker.kept, worker.lingering
        ended = [key for key in kept if key not in lingering and not worker.crossed(key)]
        for key in ended:
            kept.pop(key).give_back(worker)
        if ended:
            self._state.load_changed(worker)
