"""Workers that die, fall silent or come back, and what becomes of what they had.

Part of the core: pure, like `state.py`.

- A worker that is *gone* loses its tasks, which are placed anew, and its results, which are
  computed again where they are needed. What was running there is charged, if the worker's end may
  be its fault; charged too often, it fails.
- What was running only the worker's agent can tell. So if a worker has one, all that it had stays
  *in doubt*, and is given to nobody, until the agent's report has come. Else a bad task would kill
  one worker after the other in the meantime, and its neighbours be blamed for it.
- What would fail if it was charged once more is set apart: it runs where no other such task is.
  Those that ran beside the bad one, twice, will not be there when it kills its third worker.
- If no report comes, the agent is gone as well: with its node, or its job. Then nobody is charged,
  for of all that takes a node or a job away hardly anything is the fault of one task; and jobs are
  not replaced without end. A report that comes late, over a slow network, still counts.
- A worker without an agent is an object in some program. When that has died, what the worker was
  running is guessed: the first ones it was given, of those it has not answered.
- A worker that says nothing is first *suspect*: it gets nothing more, and what it has not begun is
  placed elsewhere. If it stays silent it is set *aside*: all it has counts as gone, but nobody is
  charged; sooner, if others wait for what it has, and can make it again. Its connection stays; once
  it speaks, what it still has is taken as if it came anew.
- A *stray* is a task that a silent worker may still be running, though it was taken away. Whichever
  run ends first counts, and the other one is withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.causes import dangling_future, killed_worker
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import MEMORY, READY, RELEASED, UNFINISHED
from jobqueue.scheduler.worker_record import ASIDE, SUSPECT, WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life of a worker, unless it may be silent for less than three."""

SUSPECT_AFTER: Final = 3 * HEARTBEAT
"""Seconds of silence after which a worker gets no new tasks."""

NEEDED_AFTER: Final = 60.0
"""Seconds of silence after which a worker is set aside if others wait for its results, and can make
again all that only it has."""

REPORT_PATIENCE: Final = 3.0
"""Seconds within which an agent reports how a worker ended, if it can."""

REPORT_USE: Final = 60.0
"""Seconds after which a report is of no use any more."""

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
    running
        The keys of those tasks; None if they are not known.
    pid
        Its process, since its successor has the same name; 0 for whichever there is.
    """

    cause: str
    blame: bool
    lines: Sequence[str] = ()
    running: Collection[str] | None = None
    pid: int = 0


class Departure:
    """A worker that is gone, what it had been given, and what of that it was probably running."""

    __slots__ = ("had", "name", "pid", "running", "since", "waited_for")

    def __init__(self, worker: WorkerRecord) -> None:
        self.name = worker.name
        self.pid = _pid(worker)
        self.had = {task.key: task for task in worker.tasks}
        self.running = worker.running()
        self.since: float | None = None  # set at the first look
        self.waited_for = True  # its tasks are in doubt

    def guilty(self, report: Report) -> list[Task]:
        """Return the tasks that a report is about."""
        if not report.blame:
            return []
        if report.running is None:
            return list(self.running)
        return [self.had[key] for key in report.running if key in self.had]


def _pid(worker: WorkerRecord) -> int:
    return worker.facts.pid if worker.facts is not None else 0


def _is_needed_elsewhere(task: Task, worker: WorkerRecord) -> bool:
    """Whether a task that is not at this worker waits for the result of another."""
    return any(
        dependent.state in UNFINISHED and dependent.worker is not worker
        for dependent in task.dependents or ()
    )


def _all_silent(workers: Collection[WorkerRecord]) -> bool:
    return all(worker.silent for worker in workers)


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
        self.needed_after = min(NEEDED_AFTER, worker_ttl)
        self.strays: dict[Task, set[WorkerRecord]] = {}
        self.aside: dict[WorkerRecord, set[Task]] = {}  # with the results they held
        self.in_doubt: dict[Task, Departure] = {}
        self._departures: list[Departure] = []  # of which a report may come
        # Reports that came before the end of the connection, and when they were first looked at.
        self._early: dict[WorkerRecord, tuple[Report, float | None]] = {}
        self._looked: float | None = None

    @property
    def heartbeat(self) -> float:
        """How often workers are to give a sign of life, in seconds."""
        return min(HEARTBEAT, self.worker_ttl / 4)

    # -- workers that are gone ---------------------------------------------------------------------

    def worker_went(self, worker: WorkerRecord, cause: str, charge: bool) -> None:
        """Place anew what a worker that is gone had, and charge what was running there."""
        self.aside.pop(worker, None)
        for task in [task for task, workers in self.strays.items() if worker in workers]:
            self._no_stray(task, worker)
        departure = Departure(worker)
        report, _ = self._early.pop(worker, (None, None))
        if report is not None:
            report = report._replace(blame=report.blame and charge)
        elif not charge or worker.facts is None or not worker.facts.agent:
            report = Report(cause, charge)
        if report is None:
            self._departures.append(departure)
            self._take_all(worker, departure)
        else:
            self._take_all(worker)
            self._charge(departure, report)

    def _take_all(self, worker: WorkerRecord, in_doubt: Departure | None = None) -> None:
        """Place the tasks of a worker anew, and compute again what only it held."""
        state = self._state
        state.demands.worker_went(worker)
        lost = state.results.all_lost(worker)
        for task in list(worker.tasks):
            if task.worker is not worker:
                continue  # it died of another one of them
            state.lives.take_back(task)
            if in_doubt is not None:
                self.in_doubt[task] = in_doubt
            state.lives.await_inputs(task)
        for task in lost:
            if task.state is RELEASED and (task.clients or task.waiters):
                state.lives.compute_again(task)
        state.lives.loose.extend(lost)

    def cut_off(self, worker: WorkerRecord, key: str, failure: Failure) -> None:
        """Take in that a task failed because it lost its own connection, as a worker may its."""
        task = self._state.task_at(worker, key)
        if task is not None:
            self._state.lives.take_back(task)
            self._try_again(task, failure)

    def dangling(self, worker: WorkerRecord, task: Task) -> None:
        """Take in that a result, which is told of next, holds futures of tasks that are not there.

        They went with the connection over which they were submitted, just before.
        """
        if task.worker is worker:
            self._state.lives.withdraw(task)
            self._try_again(task, dangling_future(task))
        else:
            self.withdraw_stray(task, worker)

    def _try_again(self, task: Task, failure: Failure) -> None:
        task.deaths += 1
        if task.deaths >= self.allowed_failures:
            self._state.lives.fail(task, failure)
        else:
            self._state.lives.await_inputs(task)
        self._state.lives.sweep()

    # -- whose fault it was ------------------------------------------------------------------------

    def _charge(self, departure: Departure, report: Report) -> None:
        """Charge what was running, wherever it is by now, unless it has ended somewhere else."""
        for task in departure.guilty(report):
            if task.state not in UNFINISHED:
                continue
            task.deaths += 1
            if task.deaths >= self.allowed_failures:
                why = killed_worker(task, departure.name, report.cause, report.lines)
                self._state.lives.fail(task, why)
            elif task.deaths == self.allowed_failures - 1 and task.worker is None:
                self._state.demands.set_apart(task)

    def reported(self, name: str, report: Report) -> None:
        """Take in an agent's report of how a worker ended."""
        for departure in self._departures:
            if departure.name == name and report.pid in (0, departure.pid):
                self._departures.remove(departure)
                self._charge(departure, report)
                self._dispel(departure)
                self._state.lives.sweep()
                return
        worker = self._state.workers.get(name)
        if worker is not None and report.pid in (0, _pid(worker)):
            self._early[worker] = report, None

    def judge(self, now: float) -> None:
        """Go on where no report comes."""
        for departure in list(self._departures):
            if departure.since is None:
                departure.since = now
            elif now - departure.since >= REPORT_USE:
                self._departures.remove(departure)
            elif now - departure.since >= REPORT_PATIENCE and departure.waited_for:
                self._dispel(departure)
        for worker, (report, since) in list(self._early.items()):
            if since is None:
                self._early[worker] = report, now
            elif now - since >= REPORT_PATIENCE:  # of another worker of that name
                del self._early[worker]
        self._state.lives.sweep()

    def _dispel(self, departure: Departure) -> None:
        """Be in doubt no more."""
        departure.waited_for = False
        for task in departure.had.values():
            if self.in_doubt.get(task) is departure:
                del self.in_doubt[task]
                self._state.lives.await_inputs(task)

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
            if worker.silent is SUSPECT and (
                silence >= self.worker_ttl
                or (silence >= self.needed_after and self._others_would_rather(worker))
            ):
                self._set_aside(worker)
        self._state.lives.sweep()

    def _others_would_rather(self, silent: WorkerRecord) -> bool:
        """Whether somebody waits for what only a silent worker has, and nothing would be lost."""
        state = self._state
        unique = [t for t in silent.holds if t.value is None and _all_silent(t.holders or ())]
        if any(task.arguments is None or task.actor for task in unique):
            return False
        if not any(worker.available for worker in state.workers.values()):
            return False
        asked = {one.task for one in state.transfers.requests.values() if one.holder is silent}
        return any(task in asked or _is_needed_elsewhere(task, silent) for task in unique)

    def _suspect(self, worker: WorkerRecord) -> None:
        state = self._state
        worker.silent = SUSPECT
        state.open_workers.remove(worker)
        running = worker.running()
        for task in [task for task in worker.assigned if task not in running]:
            if task.worker is worker:
                state.lives.withdraw(task)
                state.lives.await_inputs(task)

    def _set_aside(self, worker: WorkerRecord) -> None:
        worker.silent = ASIDE
        self.aside[worker] = set(worker.holds)
        for task in worker.tasks:
            self.strays.setdefault(task, set()).add(worker)
        self._take_all(worker)
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
        state.lives.sweep()

    def _resume(self, task: Task, worker: WorkerRecord) -> None:
        """Leave a task that has not begun elsewhere to the worker that may be running it."""
        self._no_stray(task, worker)
        self._state.placing.leave_at(task, worker)

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
            state.lives.withdraw(task)
        elif task.state is READY:
            task.count_ready(-1)
        if mention is not None:
            state.wishes.mentioned[task] = mention
        self.in_doubt.pop(task, None)
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
