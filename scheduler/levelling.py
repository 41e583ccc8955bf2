"""Which worker gets a result that has to go somewhere: the one that holds least. Pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import MEMORY
from jobqueue.scheduler.worker_record import WorkerRecord

TOLERANCE: Final = 0.05
"""How far above the mean, as a part of it, a worker may be that is taken to hold as much as others;
moving more would cost more than it helps."""


def movable(task: Task) -> bool:
    """Return whether the result of a task may be anywhere but where it was made."""
    return not task.actor


class LeastFilled:
    """Workers by the bytes they hold: finds the least filled one in the time of a heap.

    Parameters
    ----------
    workers
        To choose from.
    size
        How many bytes one of them holds.
    """

    def __init__(
        self, workers: Iterable[WorkerRecord], size: Callable[[WorkerRecord], int]
    ) -> None:
        self._heap = [(size(worker), worker.name, worker) for worker in workers]
        heapq.heapify(self._heap)

    def take(
        self, nbytes: int, besides: Collection[WorkerRecord] = (), below: float = float("inf")
    ) -> WorkerRecord | None:
        """Return the least filled worker, and count what it gets.

        Parameters
        ----------
        nbytes
            What it gets.
        besides
            Workers that are not meant.
        below
            What it must not hold with that, nor more.
        """
        passed = []
        found = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            if entry[0] + nbytes >= below:
                passed.append(entry)
                break
            if entry[2] in besides:
                passed.append(entry)
            else:
                found = entry[2]
                passed.append((entry[0] + nbytes, entry[1], found))
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def several(
        self, count: int, nbytes: int, besides: Collection[WorkerRecord] = ()
    ) -> list[WorkerRecord]:
        """Return so many different workers, the least filled first, and count what each gets."""
        found: list[WorkerRecord] = []
        passed = []
        while self._heap and len(found) < count:
            held, name, worker = heapq.heappop(self._heap)
            if worker not in besides:
                found.append(worker)
                held += nbytes
            passed.append((held, name, worker))
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found


class Move(NamedTuple):
    """A result that is to change its place."""

    task: Task
    source: WorkerRecord
    target: WorkerRecord


def even_out(
    workers: Collection[WorkerRecord],
    size: Callable[[WorkerRecord], int],
    among: Collection[Task] | None = None,
) -> list[Move]:
    """Return which results should move, so that all workers hold about as many bytes.

    Large ones go first, each from a worker above the mean to the least filled one, and only if
    that one holds less afterwards than the other did before.

    Parameters
    ----------
    workers
        Those among which results may move; away from one that is paused, too.
    size
        How many bytes one of them holds, or is about to.
    among
        Tasks whose results may move; None for all.
    """
    if len(workers) < 2:
        return []
    level = sum(map(size, workers)) / len(workers)
    room = LeastFilled([worker for worker in workers if worker.available], size)
    moves = []
    for source in workers:
        held = size(source)
        if held <= level * (1 + TOLERANCE):
            continue
        for task in sorted(_movable_from(source, among), key=lambda task: (-task.nbytes, task.key)):
            target = room.take(task.nbytes, besides=task.holders or (), below=held)
            if target is not None:
                held -= task.nbytes
                moves.append(Move(task, source, target))
            if held <= level * (1 + TOLERANCE):
                break
    return moves


def _movable_from(worker: WorkerRecord, among: Collection[Task] | None) -> list[Task]:
    candidates = worker.holds if among is None else [t for t in among if t in worker.holds]
    return [
        task
        for task in candidates
        if task.nbytes and task.state is MEMORY and task.value is None and movable(task)
    ]
