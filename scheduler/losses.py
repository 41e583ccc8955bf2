"""Workers that die, fall silent or come back, and what becomes of what they had.

Part of the core: pure, like `state.py`, which owns tasks and their states.

- A worker that is *gone* loses its tasks, which are placed anew, and its results, which are
  computed again where they are needed. If its end may be their fault, the tasks it was running are
  charged. One that was charged too often is *condemned*: it waits for the agent's report of how the
  worker ended, which takes the charge back or names the cause; without a report it fails soon.
- A worker that says nothing is first *suspect*: it gets nothing more, and what it has not begun is
  placed elsewhere. If it stays silent it is set *aside*: all it has counts as gone, but nobody is
  charged. Its connection stays; once it speaks, what it still has is taken as if it came anew.
- A *stray* is a task that a silent worker may still be running, though it was taken away. Whichever
  run ends first counts, and the other one is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.causes import dangling_future, killed_worker
from jobqueue.scheduler.records import (
    ASIDE,
    ASSIGNED,
    MEMORY,
    READY,
    RELEASED,
    SUSPECT,
    UNFINISHED,
    Task,
    WorkerRecord,
)

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life of a worker, unless it may be silent for less than three."""

SUSPECT_AFTER: Final = 3 * HEARTBEAT
"""Seconds of silence after which a worker gets no new tasks."""

REPORT_PATIENCE: Final = 3.0
"""Seconds within which an agent reports how a worker ended."""

ABSENCE: Final = 5.0
"""Seconds between two looks at the clock from which on it was the scheduler that was away."""


class Report(NamedTuple):
    """How a worker ended.

    Parameters
    ----------
    cause
        In words.
    blame
        Whether the tasks it ran may be to blame.
    lines
        The last it wrote to standard error.
    """

    cause: str
    blame: bool
    lines: Sequence[str] = ()


class Departure:
    """A worker that is gone, what is known of why, and the tasks that were charged for it."""

    __slots__ = ("charged", "name", "report", "until")

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.report = report
        self.charged: list[Task] = []
        self.until: float | None = None  # a better report is waited for; set at the first look


class Losses:
    """What happens when workers are lost.

    Parameters
    ----------
    state
        The core whose part this is.
    allowed_failures
        Workers that may die under a task before it fails.
    worker_ttl
        Seconds of silence after which a worker is set aside.
    """

    def __init__(self, state: SchedulerState, allowed_failures: int, worker_ttl: float) -> None:
        self._state = state
        self.allowed_failures = allowed_failures
        self.worker_ttl = worker_ttl
        self.suspect_after = min(SUSPECT_AFTER, worker_ttl)
        self.strays: dict[Task, set[WorkerRecord]] = {}
        self.aside: dict[WorkerRecord, set[Task]] = {}  # with the results they held
        self.condemned: dict[Task, Departure] = {}
        self._departures: list[Departure] = []  # of which a report may come
        self._early: dict[WorkerRecord, Report] = {}  # reports that came before the end
        self._looked: float | None = None

    @property
    def heartbeat(self) -> float:
        """How often workers are to give a sign of life, in seconds."""
        return min(HEARTBEAT, self.worker_ttl / 4)

    # -- workers that are gone ---------------------------------------------------------------------

    def remove(self, worker: WorkerRecord, cause: str, charge: bool) -> None:
        """Take in that a worker is gone; see `SchedulerState.remove_worker`."""
        state = self._state
        if state.workers.get(worker.name) is worker:
            del state.workers[worker.name]
        worker.talking = set()
        worker.retiring = True  # whatever is still taken from it, it never gets room again
        state.open_workers.remove(worker)
        state.retiring.discard(worker)
        state.talking.discard(worker)
        for function in state.functions.values():
            function.known_to.discard(worker)
        self.aside.pop(worker, None)
        for task in [task for task, workers in self.strays.items() if worker in workers]:
            self._no_stray(task, worker)
        report = self._early.pop(worker, None)
        departure = Departure(worker.name, report or Report(cause, charge))
        self._take_all(worker, departure, charge, certain=report is not None)
        state.transfers.forget_worker(worker)
        state.sweep()

    def _take_all(
        self, worker: WorkerRecord, departure: Departure, charge: bool, certain: bool
    ) -> None:
        """Place the tasks of a worker anew, and compute again what only it held."""
        state = self._state
        state.demands.worker_went(worker)
        guilty = worker.running() if charge and departure.report.blame else ()
        lost = state.results.all_lost(worker)
        for task in list(worker.tasks):
            if task.worker is not worker:
                continue  # it died of another one of them
            state.take_back(task)
            if task in guilty:
                self._charge(task, departure, certain)
            if task.state is ASSIGNED:
                state.await_inputs(task)
        if departure.charged and not certain:
            self._departures.append(departure)
        for task in lost:
            if task.state is RELEASED and (task.clients or task.waiters):
                state.compute_again(task)
        state.loose.extend(lost)

    def cut_off(self, worker: WorkerRecord, key: str, failure: Failure) -> None:
        """Take in that a task failed because it lost its own connection, as a worker may its."""
        task = self._state.task_at(worker, key)
        if task is not None:
            self._state.take_back(task)
            self._try_again(task, failure)

    def dangling(self, worker: WorkerRecord, task: Task) -> None:
        """Take in that a result, which is told of next, holds futures of tasks that are not there.

        They went with the connection over which they were submitted, just before.
        """
        if task.worker is worker:
            self._state.withdraw(task)
            self._try_again(task, dangling_future(task))
        else:
            self.withdraw_stray(task, worker)

    def _try_again(self, task: Task, failure: Failure) -> None:
        task.deaths += 1
        if task.deaths >= self.allowed_failures:
            self._state.fail(task, failure)
        else:
            self._state.await_inputs(task)
        self._state.sweep()

    # -- whose fault it was ------------------------------------------------------------------------

    def _charge(self, task: Task, departure: Departure, certain: bool) -> None:
        task.deaths += 1
        departure.charged.append(task)
        if task.deaths >= self.allowed_failures:
            if certain:
                self._sentence(task, departure)
            else:
                self.condemned[task] = departure

    def _sentence(self, task: Task, departure: Departure) -> None:
        self._state.fail(task, killed_worker(task, departure.name, *departure.report[::2]))

    def reported(self, name: str, report: Report) -> None:
        """Take in an agent's report of how a worker ended."""
        departure = next((d for d in self._departures if d.name == name), None)
        if departure is None:
            worker = self._state.workers.get(name)
            if worker is not None:
                self._early[worker] = report
            return
        departure.report = report
        self._departures.remove(departure)
        if report.blame:
            self._conclude(departure)
        else:
            self._pardon(departure)
        self._state.sweep()

    def judge(self, now: float) -> None:
        """Decide on those of whom no report has come."""
        for departure in list(self._departures):
            if departure.until is None:
                departure.until = now + REPORT_PATIENCE
            elif now >= departure.until:
                self._departures.remove(departure)
                self._conclude(departure)
        self._state.sweep()

    def _conclude(self, departure: Departure) -> None:
        for task in departure.charged:
            if self.condemned.get(task) is departure:
                self._sentence(task, departure)

    def _pardon(self, departure: Departure) -> None:
        for task in departure.charged:
            task.deaths = max(0, task.deaths - 1)
            if self.condemned.get(task) is departure:
                del self.condemned[task]
                self._state.await_inputs(task)

    # -- workers that fall silent ------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Look which workers have not been heard for too long."""
        away = 0.0 if self._looked is None else now - self._looked
        self._looked = now
        for worker in list(self._state.workers.values()):
            if away > ABSENCE:  # what they said meanwhile may not have been read yet
                worker.seen = min(now, worker.seen + away)
            silence = now - worker.seen
            if silence >= self.suspect_after and worker.silent is None:
                self._suspect(worker)
            if silence >= self.worker_ttl and worker.silent is SUSPECT:
                self._set_aside(worker)
        self._state.sweep()

    def _suspect(self, worker: WorkerRecord) -> None:
        state = self._state
        worker.silent = SUSPECT
        state.open_workers.remove(worker)
        running = worker.running()
        for task in [task for task in worker.assigned if task not in running]:
            if task.worker is worker:
                state.withdraw(task)
                state.await_inputs(task)

    def _set_aside(self, worker: WorkerRecord) -> None:
        worker.silent = ASIDE
        self.aside[worker] = set(worker.holds)
        for task in worker.tasks:
            self.strays.setdefault(task, set()).add(worker)
        departure = Departure(worker.name, Report("it fell silent", False))
        self._take_all(worker, departure, charge=False, certain=True)
        self._state.transfers.forget_holder(worker)

    # -- and come back -----------------------------------------------------------------------------

    def welcome(self, worker: WorkerRecord) -> None:
        """Take in that a silent worker has spoken."""
        state = self._state
        was_aside = worker.silent is ASIDE
        worker.silent = None
        if was_aside:
            held = self.aside.pop(worker)
            if not worker.retiring:
                state.demands.worker_came(worker)
                for task in [task for task, workers in self.strays.items() if worker in workers]:
                    if task.state is READY:
                        self._resume(task, worker)
            for task in held:
                self._take_result(task, worker)
        state.load_changed(worker)
        state.transfers.unload_all()
        state.sweep()

    def _resume(self, task: Task, worker: WorkerRecord) -> None:
        """Leave a task that has not begun elsewhere to the worker that may be running it."""
        self._no_stray(task, worker)
        task.count_ready(-1)
        task.state = ASSIGNED
        self._state.placing.note(task, worker)

    def _take_result(self, task: Task, worker: WorkerRecord) -> None:
        """Take a result in that a worker held before it fell silent."""
        state = self._state
        if worker.retiring or state.tasks.get(task.key) is not task:
            worker.free(task.key)
        elif task.state is MEMORY:
            state.results.add_holder(task, worker)
        elif task.state in UNFINISHED and task.function is not None:
            self.strays.setdefault(task, set()).add(worker)
            state.done(worker, [(task.key, None, task.nbytes, task.function.duration)])
        else:
            worker.free(task.key)

    # -- strays ------------------------------------------------------------------------------------

    def is_stray(self, task: Task, worker: WorkerRecord) -> bool:
        """Return whether a worker may be running a task that was taken from it."""
        return worker in self.strays.get(task, ())

    def is_news(self, task: Task, worker: WorkerRecord) -> bool:
        """Return whether what a worker says of a task is of a run that was taken from it."""
        return self.is_stray(task, worker) and not worker.crossed(task.key)

    def claim(self, task: Task, worker: WorkerRecord) -> bool:
        """Give an unfinished task back to a worker that has ended it, if it is a stray there."""
        if not self.is_news(task, worker):
            return False
        self._no_stray(task, worker)
        if task.state not in UNFINISHED:
            return False
        state = self._state
        mention = state.wishes.mentioned.pop(task, None)  # said just now, by this worker
        if task.worker is not None:
            state.withdraw(task)
        elif task.state is READY:
            task.count_ready(-1)
        if mention is not None:
            state.wishes.mentioned[task] = mention
        self.condemned.pop(task, None)
        state.placing.note(task, worker)
        return True

    def withdraw_stray(self, task: Task, worker: WorkerRecord) -> None:
        """Tell a worker not to go on with a task that was taken from it."""
        self._no_stray(task, worker)
        worker.cancel(task.key, False)

    def withdraw_strays(self) -> None:
        """Tell all workers not to go on with what has ended elsewhere."""
        for task in [task for task in self.strays if task.state not in UNFINISHED]:
            for worker in list(self.strays[task]):
                self.withdraw_stray(task, worker)

    def _no_stray(self, task: Task, worker: WorkerRecord) -> None:
        workers = self.strays[task]
        workers.discard(worker)
        if not workers:
            del self.strays[task]
