"""Which task next, and to which worker.

Ready tasks wait here, not at workers: each worker holds only a window of tasks that covers a round
trip, and whose results leave most of its memory alone. So memory stays bounded, what uses results
up comes soon after what makes them, and little has to be taken back. Both choices cost the same
with ten workers and with ten thousand.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING, Final

from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand

WINDOW_SECONDS: Final = 0.05
"""Work kept at a worker, a thread: some round trips, with a busy scheduler."""

WINDOW_TASKS: Final = 2048
"""Tasks kept at a worker, a thread, however short they are."""

ALWAYS: Final = 2
"""Tasks kept at a worker, a thread, however long they are: one running, one to follow."""

PRIORITY_STEP: Final = 1 << 48
"""How far one unit of priority moves a task ahead of those of the order of submission."""

LOOKED_AT: Final = 16
"""Holders of an input that are considered: what thousands hold is near anywhere."""

BYTES_PER_SECOND: Final = 200e6
"""What moving an input is taken to cost; on a slow day on gigabit Ethernet it is half of this."""


Elsewhere = Callable[[Task, Collection[WorkerRecord]], bool]
"""Whether one of some workers could run a task at once."""


def rank(priority: float, number: int) -> int:
    """Return where a task stands in line: smaller goes first.

    Parameters
    ----------
    priority
        Higher goes first.
    number
        The order of submission; decides among equals.
    """
    return number - int(priority * PRIORITY_STEP) if priority else number


class ReadyQueue:
    """Tasks in order of rank.

    Most tasks come in order, so a deque takes those and a heap only the others. Entries are not
    removed when a task leaves the READY state: `pop` passes over them.
    """

    __slots__ = ("_heap", "_run")

    def __init__(self) -> None:
        self._run: deque[Task] = deque()
        self._heap: list[tuple[int, Task]] = []

    def push(self, task: Task) -> None:
        """Add a READY task."""
        run = self._run
        if not run or run[-1].rank < task.rank:
            run.append(task)
        else:
            heapq.heappush(self._heap, (task.rank, task))

    def pop(self) -> Task | None:
        """Remove and return the READY task of smallest rank; None if there is none."""
        run, heap = self._run, self._heap
        while True:
            if heap and (not run or heap[0][0] <= run[0].rank):
                task = heapq.heappop(heap)[1]
            elif run:
                task = run.popleft()
            else:
                return None
            if task.state is READY:
                return task

    def first(self) -> Task | None:
        """Return the READY task of smallest rank, which stays; None if there is none."""
        run, heap = self._run, self._heap
        while heap and heap[0][1].state is not READY:
            heapq.heappop(heap)
        while run and run[0].state is not READY:
            run.popleft()
        if heap and (not run or heap[0][0] <= run[0].rank):
            return heap[0][1]
        return run[0] if run else None

    def __bool__(self) -> bool:
        return bool(self._run or self._heap)


class OpenWorkers:
    """Workers that have room, by how many tasks a thread they have: the least loaded in O(1)."""

    __slots__ = ("_levels", "_lowest", "_size")

    def __init__(self) -> None:
        self._levels: list[dict[WorkerRecord, None]] = [{}]
        self._lowest = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, worker: WorkerRecord) -> bool:
        return worker.level is not None

    def update(self, worker: WorkerRecord) -> None:
        """Put a worker where it belongs after its load has changed."""
        blocked, nthreads = worker.blocked, worker.nthreads
        count = len(worker.assigned) + blocked
        if (
            (worker.retiring or worker.paused or worker.silent or worker.reserved)
            or not (
                count < ALWAYS * nthreads
                or (
                    worker.occupancy < WINDOW_SECONDS * (nthreads - blocked)
                    and count < WINDOW_TASKS * nthreads
                )
            )
            or (count * worker.each > worker.room and count > nthreads)
        ):
            self.remove(worker)
            return
        level = count // nthreads
        if level == worker.level:
            return
        if worker.level is None:
            self._size += 1
        else:
            del self._levels[worker.level][worker]
        levels = self._levels
        while len(levels) <= level:
            levels.append({})
        levels[level][worker] = None
        worker.level = level
        if level < self._lowest:
            self._lowest = level

    def remove(self, worker: WorkerRecord) -> None:
        """Take a worker out; it has no room, or is gone."""
        if worker.level is not None:
            del self._levels[worker.level][worker]
            worker.level = None
            self._size -= 1

    def least_loaded(self) -> WorkerRecord | None:
        """Return a worker with the fewest tasks a thread; None if none has room."""
        if not self._size:
            return None
        levels = self._levels
        while not levels[self._lowest]:
            self._lowest += 1
        # The last one in, by taking it out: a mere look, from either end, would walk over the holes
        # that all those have left which were taken before.
        lowest = levels[self._lowest]
        worker, _ = lowest.popitem()
        lowest[worker] = None
        return worker


def choose(task: Task, open_workers: OpenWorkers) -> WorkerRecord | None:
    """Return the worker to place a ready task on that any worker may run; None: none has room."""
    least = open_workers.least_loaded()
    if least is None or not task.inputs:
        return least
    return nearest(task, least)


def nearest(task: Task, least: WorkerRecord, demand: Demand | None = None) -> WorkerRecord:
    """Return the worker to place a ready task with inputs on.

    The one that holds the most bytes of its inputs, unless the work it has already takes longer
    than moving them; then the least loaded.

    Parameters
    ----------
    task
        What is to be placed.
    least
        The least loaded worker.
    demand
        What the worker must satisfy; None: any will do.
    """
    nbytes: dict[WorkerRecord, int] = {}
    for source in task.inputs:
        if source.value is None and source.holders:
            if least in source.holders:
                nbytes[least] = nbytes.get(least, 0) + source.nbytes
            else:
                for holder in islice(source.holders, LOOKED_AT):
                    nbytes[holder] = nbytes.get(holder, 0) + source.nbytes
    best, most = least, nbytes.get(least, 0)
    for worker, held in nbytes.items():
        if (
            held > most
            and (demand is None or (worker in demand.eligible and demand.fits(worker)))
            and _worth_waiting(worker, least, held - nbytes.get(least, 0))
        ):
            best, most = worker, held
    return best


def _worth_waiting(worker: WorkerRecord, least: WorkerRecord, saved: int) -> bool:
    """Return whether a task ends earlier where `saved` bytes need not be moved to."""
    if not worker.available:
        return False
    wait = worker.occupancy / worker.nthreads - least.occupancy / least.nthreads
    return wait < saved / BYTES_PER_SECOND


def surplus(
    workers: Collection[WorkerRecord], elsewhere: Elsewhere
) -> list[tuple[WorkerRecord, list[str]]]:
    """Return which tasks should be handed back, since others could begin them at once.

    A worker is given a little more than it has threads for, so that it need not wait for the next
    task. If the tasks turn out to be long, some wait there while other workers, perhaps newly
    come ones, have nothing to do.

    Parameters
    ----------
    workers
        All of them; to be asked only if no task that any of them may run waits to be placed.
    elsewhere
        Whether a task may run on one of the workers that have nothing to do.

    Returns
    -------
    list of (WorkerRecord, list of str)
        Keys of tasks that have probably not begun, the last ones given first.
    """
    idle = {
        worker: worker.nthreads - worker.load
        for worker in workers
        if worker.nthreads > worker.load and worker.available
    }
    free = sum(idle.values())
    recalls: list[tuple[WorkerRecord, list[str]]] = []
    if not free:
        return recalls
    for worker in sorted(workers, key=lambda w: w.load / w.nthreads, reverse=True):
        count = worker.load - worker.nthreads
        if count <= 0 or free <= 0:
            break
        if worker.recalled or worker.silent:
            continue
        waiting = islice(reversed(worker.assigned), count)
        keys = [task.key for task in islice((t for t in waiting if elsewhere(t, idle)), free)]
        if keys:
            recalls.append((worker, keys))
            free -= len(keys)
    return recalls
