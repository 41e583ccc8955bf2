"""Copies of results on their way between workers: who sends, who waits, who is relieved.

Part of the core: pure, like `state.py`. Why a copy is made is others' business (`transfers.py`:
a worker retires, a value was scattered; `spreading.py`: a client wants it); here is how.

Whoever has a result sends it, but only to `FANOUT` at a time, and whoever has got it sends it on:
so a result reaches many workers as a rumour does, in a time that grows with the logarithm of their
number. What the scheduler holds, it sends itself until a first worker has it. As no source is asked
for more than `BUSY` bytes at a time, it need not hold all that it sends in pickled form at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from jobqueue.protocol import messages as m
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

FANOUT: Final = 2
"""Copies of one result that one source sends at a time."""

BUSY: Final = 256 * 1024 * 1024
"""Bytes under way from one source, from which on it is asked for nothing more."""

ALTERNATIVES: Final = 2
"""Other holders that a target is told of, should the source be gone."""

MADE: Final = "made"
FAILED: Final = "failed"
GONE: Final = "gone"
"""How a copy can end: it is there; it could not be had; the worker that was to get it is gone."""

Source = WorkerRecord | None
"""Who sends a result; None is the scheduler itself."""


class Watcher(Protocol):
    """Whoever wants to know how copies end."""

    def copy_ended(self, task: Task, target: WorkerRecord, outcome: str) -> None:
        """Take in that one has ended."""
        ...


class Copy:
    """A result that a worker is to get and to keep."""

    __slots__ = ("load", "nbytes", "relieves", "source", "watchers")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.source: Source = None
        self.load: Load | None = None  # the source's; None until the copy has begun
        self.relieves: set[Source] = set()  # who need not hold the result any more, once it is made
        self.watchers: list[Watcher] = []


class Load:
    """What one source is sending, and what else it is to send after that."""

    __slots__ = ("line", "nbytes", "sending")

    def __init__(self) -> None:
        self.nbytes = 0
        self.sending: dict[Task, int] = {}  # task -> number of copies
        self.line: dict[Task, None] = {}  # those that wait because it is busy


class Copies:
    """All copies that are to be made.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._targets: dict[Task, dict[WorkerRecord, Copy]] = {}
        self.waiting: dict[Task, dict[WorkerRecord, None]] = {}  # targets of copies not begun
        self.loads: dict[Source, Load] = {}
        self.arriving: dict[WorkerRecord, int] = {}  # bytes on their way to each

    def __bool__(self) -> bool:
        return bool(self._targets)

    def items(self) -> Iterator[tuple[Task, WorkerRecord, Copy]]:
        """Yield each copy with its task and its target."""
        for task, copies in self._targets.items():
            for target, copy in copies.items():
                yield task, target, copy

    def of(self, task: Task) -> dict[WorkerRecord, Copy]:
        """Return the copies of a task's result, by target."""
        return self._targets.get(task, {})

    def expected(self, worker: WorkerRecord) -> int:
        """Return how many bytes a worker will hold once all copies are made."""
        return worker.stored + self.arriving.get(worker, 0)

    def sent_from_here(self, task: Task) -> bool:
        """Return whether the scheduler itself is sending a result to workers."""
        load = self.loads.get(None)
        return load is not None and task in load.sending

    # -- they begin --------------------------------------------------------------------------------

    def make(
        self,
        task: Task,
        targets: Iterable[WorkerRecord],
        *,
        relieves: Iterable[Source] = (),
        watcher: Watcher | None = None,
    ) -> None:
        """Have copies made of a result that is in memory.

        Parameters
        ----------
        task
            Whose result.
        targets
            Workers that are to get it; one that is getting it already gets it once.
        relieves
            Who need not hold it any more, as soon as any of these copies is made.
        watcher
            Is told how each of them ends.
        """
        copies = self._targets.setdefault(task, {})
        for target in targets:
            copy = copies.get(target)
            if copy is None:
                copy = copies[target] = Copy(task.nbytes)
                self.arriving[target] = self.arriving.get(target, 0) + copy.nbytes
                self.waiting.setdefault(task, {})[target] = None
            copy.relieves.update(relieves)
            if watcher is not None:
                copy.watchers.append(watcher)
        if not copies:
            del self._targets[task]
        self._serve(task)

    def _serve(self, task: Task) -> None:
        """Have all that have a result send it, as far as they may."""
        for source in tuple(task.holders or (None,)):
            if task not in self.waiting:
                return
            self._serve_from(task, source)

    def _serve_from(self, task: Task, source: Source) -> None:
        """Have one that has a result send it, as far as it may."""
        waiting = self.waiting[task]
        load = self.loads.get(source)
        if load is None:
            load = self.loads[source] = Load()
        while load.sending.get(task, 0) < FANOUT:
            if load.nbytes >= BUSY:
                load.line[task] = None
                return
            target = next(iter(waiting))
            self._begin(task, target, source, load)
            del waiting[target]
            if not waiting:
                del self.waiting[task]
                return

    def _begin(self, task: Task, target: WorkerRecord, source: Source, load: Load) -> None:
        copy = self._targets[task][target]
        copy.source = source
        copy.load = load
        load.nbytes += copy.nbytes
        load.sending[task] = load.sending.get(task, 0) + 1
        if source is None:
            assert task.value is not None
            target.say((m.STORE, [(task.key, task.value)]))
        else:
            others = islice((h for h in task.holders or () if h is not source), ALTERNATIVES)
            places = [source.addresses, *(holder.addresses for holder in others)]
            target.say((m.COPY, [(task.key, places)]))

    # -- they end ----------------------------------------------------------------------------------

    def reported(self, worker: WorkerRecord, keys: Iterable[str], *, made: bool) -> None:
        """Take in what a worker says of copies there."""
        for key in keys:
            task = self._state.tasks.get(key)
            if task is not None and worker in self._targets.get(task, ()):
                there = made and worker in (task.holders or ())
                self.end(task, worker, MADE if there else FAILED)

    def end(self, task: Task, target: WorkerRecord, outcome: str) -> None:
        """Draw the conclusions from the end of a copy, and begin what has waited for it."""
        copies = self._targets[task]
        copy = copies.pop(target)
        if not copies:
            del self._targets[task]
        self._unbook(task, target, copy)
        for relieved in copy.relieves:
            self._state.transfers.relieve(task, relieved, outcome)
        for watcher in copy.watchers:
            watcher.copy_ended(task, target, outcome)
        self._go_on(task, target)
        if copy.load is not None:
            self._go_on(task, copy.source)
            self._advance(copy.source, copy.load)

    def _unbook(self, task: Task, target: WorkerRecord, copy: Copy) -> None:
        self.arriving[target] -= copy.nbytes
        if not self.arriving[target]:
            del self.arriving[target]
        waiting = self.waiting.get(task)
        if waiting is not None:
            waiting.pop(target, None)
            if not waiting:
                del self.waiting[task]
        if copy.load is not None:
            copy.load.nbytes -= copy.nbytes
            copy.load.sending[task] -= 1
            if not copy.load.sending[task]:
                del copy.load.sending[task]

    def _go_on(self, task: Task, source: Source) -> None:
        """Have one send a result that has just got it, or has just sent it to another."""
        if task not in self.waiting:
            return
        if source in (task.holders or (None,)):
            self._serve_from(task, source)
        else:
            self._serve(task)

    def _advance(self, source: Source, load: Load) -> None:
        """Let those that have stood in line for a source have their turn."""
        while load.line and load.nbytes < BUSY:
            task = next(iter(load.line))
            del load.line[task]
            self._serve(task)
        if not load.sending and not load.line and self.loads.get(source) is load:
            del self.loads[source]

    # -- what goes ---------------------------------------------------------------------------------

    def forget_task(self, task: Task) -> None:
        """Forget the copies of a result that nobody has, or needs, any more."""
        self.waiting.pop(task, None)
        for target in list(self._targets.get(task, ())):
            self.end(task, target, FAILED)

    def forget_worker(self, worker: WorkerRecord) -> None:
        """Take in that a worker is gone."""
        load = self.loads.pop(worker, None)
        ended = []
        for task, target, copy in self.items():
            copy.relieves.discard(worker)
            if target is worker:
                ended.append(task)
        for task in ended:
            if worker in self.of(task):
                self.end(task, worker, GONE)
        for task in load.line if load is not None else ():
            self._serve(task)
