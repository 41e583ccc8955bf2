"""Which of the workers that satisfy a demand may have room, the least loaded first."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand


class Candidates:
    """Workers that may have room; one that turns out to have none is forgotten until it offers
    itself."""

    __slots__ = ("_heap", "_listed", "_number")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, WorkerRecord]] = []
        self._listed: dict[WorkerRecord, int] = {}  # at which level
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._listed)

    def offer(self, worker: WorkerRecord) -> None:
        """Note that a worker has less to do than before."""
        level = worker.level
        if level is None or self._listed.get(worker, level + 1) <= level:
            return
        self._list(worker, level)
        if len(self._heap) > 2 * len(self._listed) + 16:
            self._heap = [entry for entry in self._heap if self._listed.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def _list(self, worker: WorkerRecord, level: int) -> None:
        self._number += 1
        self._listed[worker] = level
        heapq.heappush(self._heap, (level, self._number, worker))

    def remove(self, worker: WorkerRecord) -> None:
        """Forget a worker."""
        self._listed.pop(worker, None)

    def best(self, demand: Demand) -> WorkerRecord | None:
        """Return the least loaded worker that has room; those that have none are not listed now."""
        heap, listed = self._heap, self._listed
        while heap:
            level, _, worker = heap[0]
            if listed.get(worker) != level:
                heapq.heappop(heap)  # another entry stands for it
            elif worker.level is None or not demand.fits(worker):
                heapq.heappop(heap)
                del listed[worker]
            elif worker.level > level:
                heapq.heappop(heap)
                self._list(worker, worker.level)
            else:
                return worker
        return None
