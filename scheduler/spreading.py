"""Copies that clients ask for: more of a result, or results evenly spread over the workers.

Part of the core: pure, like `state.py`. Decides which worker is to get what; `copies.py` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from jobqueue.errors import ConfigError, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.copies import FAILED, GONE, Copies
from jobqueue.scheduler.levelling import LeastFilled, even_out, movable
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import MEMORY
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

Then = Callable[[Failure | None], object]
"""Called once, when the copies are made; with a failure if some could not be."""

NAMED = 5
"""Results that a message names, of those that could not be copied."""


class Spreading:
    """What clients want copied.

    Parameters
    ----------
    state
        The core whose part this is.
    copies
        Makes them.
    """

    def __init__(self, state: SchedulerState, copies: Copies) -> None:
        self._state = state
        self._copies = copies

    def replicate(
        self,
        keys: Iterable[str],
        n: int | None,
        workers: Collection[WorkerRecord] | None,
        then: Then,
    ) -> None:
        """Copy results until so many workers hold each of them.

        Parameters
        ----------
        keys
            Of results in memory.
        n
            How many workers; None for all. More than there are counts as all.
        workers
            Those that count; None for all.
        then
            Called when the copies are made.

        Raises
        ------
        ConfigError
            `n` is less than 1.
        """
        if n is not None and n < 1:
            raise ConfigError(f"replicate(n={n}): a result is held by at least one worker")
        Replication(self._state, self._copies, n, workers, then).begin(keys)

    def rebalance(
        self,
        keys: Collection[str] | None,
        workers: Collection[WorkerRecord] | None,
        then: Then,
    ) -> None:
        """Move results until all workers hold about as many bytes, as far as that can be.

        Parameters
        ----------
        keys
            Of the results that may move; None for all.
        workers
            Those among which they move; None for all.
        then
            Called when they have moved.
        """
        tasks = self._state.tasks
        among = None if keys is None else [tasks[key] for key in keys if key in tasks]
        there = self._state.workers.values() if workers is None else workers
        level = [worker for worker in there if not (worker.retiring or worker.silent)]
        moves = even_out(level, self._copies.expected, among)
        order = Order(then)
        for task, source, target in moves:
            order.count += 1
            self._copies.make(task, [target], relieves=[source], watcher=order)
        order.begun()


class Order:
    """Counts the copies that were ordered together, and says when the last of them has ended."""

    __slots__ = ("_then", "count")

    def __init__(self, then: Then) -> None:
        self._then = then
        self.count = 1  # one more, until all have begun

    def begun(self) -> None:
        """Note that no more will be ordered, but by `copy_ended`."""
        self._less()

    def copy_ended(self, task: Task, target: WorkerRecord, outcome: str) -> None:
        """Take in how one has ended. A result that stays where it is does no harm."""
        self._less()

    def _less(self) -> None:
        self.count -= 1
        if not self.count:
            self._then(self.failure())

    def failure(self) -> Failure | None:
        """Return what is wrong with the outcome."""
        return None


class Replication(Order):
    """Copies of results until enough workers hold them, whoever is lost meanwhile."""

    __slots__ = ("_copies", "_failed", "_n", "_state", "_workers")

    def __init__(
        self,
        state: SchedulerState,
        copies: Copies,
        n: int | None,
        workers: Collection[WorkerRecord] | None,
        then: Then,
    ) -> None:
        super().__init__(then)
        self._state = state
        self._copies = copies
        self._n = n
        self._workers = None if workers is None else frozenset(workers)
        self._failed: dict[str, None] = {}

    def begin(self, keys: Iterable[str]) -> None:
        """Order what is missing."""
        takers = self._takers()
        room = LeastFilled(takers, self._copies.expected)
        for key in dict.fromkeys(keys):
            task = self._state.tasks.get(key)
            if task is None or task.state is not MEMORY or not movable(task):
                self._failed[key] = None
            else:
                self._order(task, takers, room)
        self.begun()

    def _takers(self) -> frozenset[WorkerRecord]:
        """Return the workers that may hold copies, of those that are there now."""
        return frozenset(
            worker
            for worker in self._state.workers.values()
            if worker.available and (self._workers is None or worker in self._workers)
        )

    def _order(self, task: Task, takers: frozenset[WorkerRecord], room: LeastFilled) -> None:
        """Order as many copies of a result as there are too few."""
        wanted = len(takers) if self._n is None else min(self._n, len(takers))
        holders = takers.intersection(task.holders or ())
        if len(holders) >= wanted:
            return
        copies = self._copies.of(task)
        coming = takers.intersection(copies) - holders
        ours = [taker for taker in coming if self not in copies[taker].watchers]
        ours += room.several(wanted - len(holders) - len(coming), task.nbytes, holders | coming)
        self.count += len(ours)
        self._copies.make(task, ours, watcher=self)

    def copy_ended(self, task: Task, target: WorkerRecord, outcome: str) -> None:
        """Take in how one has ended; order another one if its worker is gone."""
        if outcome is FAILED:
            self._failed[task.key] = None
        elif outcome is GONE and task.state is MEMORY:
            takers = self._takers()
            self._order(task, takers, LeastFilled(takers, self._copies.expected))
        super().copy_ended(task, target, outcome)

    def failure(self) -> Failure | None:
        """Return which results could not be copied."""
        if not self._failed:
            return None
        named = ", ".join(repr(key) for key in list(self._failed)[:NAMED])
        text = (
            f"not copied to where they were wanted, {len(self._failed)} in all: {named}; they were "
            "released, lost or cannot be pickled, or are actors"
        )
        return Failure.of(TaskError(text))
