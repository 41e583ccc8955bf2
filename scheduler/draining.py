"""Workers whose jobs are about to end: what they run and hold is saved in the time that is left.

Part of the core: pure, like `state.py`. A worker that drains retires (`transfers.py`), but within a
time: what it runs may go on until it is *due*, some seconds before the end. What has not ended by
then is handed back, so that it begins anew elsewhere, and nobody is to blame. Results that only it
holds move at once, while there is time: to other workers, or into what memory the scheduler has to
spare. For others a worker may still come; if none does, they are computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from jobqueue.scheduler.records import Task
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

UNASKED: Final = 1.0
"""Seconds before a worker is due from which on it drains even if it has not asked for that."""

OFTEN: Final = 3
"""A task that was handed back so many times while it ran may be too long for any of these jobs."""

NOTHING: Final[Mapping[str, float]] = {}

NAMED: Final = 3
"""So many tasks are named; the others are counted."""


class Drain:
    """How one worker drains."""

    __slots__ = ("began", "over", "reason", "since")

    def __init__(self, reason: str, since: float) -> None:
        self.reason = reason
        self.since = since
        self.began: dict[str, float] = {}  # key -> when the worker began with it, by its own word
        self.over = False  # it is due: what it ran was handed back


class Draining:
    """The workers that drain.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._drains: dict[WorkerRecord, Drain] = {}
        # How often a task ran, by its key, when its job's time was over:
        self._broken_off: dict[str, int] = {}

    def __contains__(self, worker: WorkerRecord) -> bool:
        return worker in self._drains

    def reasons(self) -> dict[WorkerRecord, str]:
        """Return who drains, and why."""
        return {worker: drain.reason for worker, drain in self._drains.items()}

    def broken_off(self, task: Task) -> int:
        """Return how often a task ran, probably, when it was handed back."""
        return self._broken_off.get(task.key, 0)

    def begin(
        self, worker: WorkerRecord, reason: str, seconds: float, ran: Mapping[str, float] = NOTHING
    ) -> None:
        """Let a worker go within a time; once more, with less time, shortens it.

        Parameters
        ----------
        worker
            Whose job is about to end.
        reason
            Why, in a word or two.
        seconds
            Until then.
        ran
            What it runs, if it has said so, and for how many seconds it has by now.
        """
        state = self._state
        now = state.deadlines.now
        began = {key: now - each for key, each in ran.items() if not worker.crossed(key)}
        if worker not in self._drains:
            self._drains[worker] = Drain(reason, now)
        self._drains[worker].began |= began
        state.transfers.retire(worker)
        state.deadlines.set_end(worker, seconds)  # then, as no task has to fit into its time

    def forget(self, worker: WorkerRecord) -> None:
        """Forget a worker that is gone."""
        self._drains.pop(worker, None)

    def excuse(self, worker: WorkerRecord, now: float) -> str | None:
        """Return why the end of a worker is nobody's fault; None if it may be."""
        if worker in self._drains:
            return self._drains[worker].reason
        if worker.ends_at is not None and now >= worker.due:
            return "its job's time was over"
        return "retired" if worker.retiring else None

    def look(self, now: float) -> list[str]:
        """Look at the clock, each tick; return what there is to say of it in the log."""
        state = self._state
        state.deadlines.look(now)
        state.transfers.look_again()
        for worker in state.workers.values():
            ends_at = worker.ends_at
            if ends_at is not None and now >= worker.due - UNASKED and worker not in self._drains:
                self.begin(worker, "its job's time is nearly over", ends_at - now)
        said = state.deadlines.hopeless()
        for worker, drain in self._drains.items():
            if now >= worker.due and not drain.over:
                drain.over = True
                said += self._hand_back(worker, drain, now)
        state.lives.sweep()
        return said

    def _hand_back(self, worker: WorkerRecord, drain: Drain, now: float) -> list[str]:
        """Place anew what a worker still runs, and give up what has nowhere to go."""
        state = self._state
        said = []
        running, tasks = worker.running(), list(worker.tasks)
        for task in tasks:
            if task.worker is not worker:
                continue
            if task.function is not None and task in running:
                task.function.took_longer_than(now - drain.since)  # it had begun before
                said += self._break_off(task)
            state.lives.withdraw(task)
            if task.key in drain.began:
                state.deadlines.ran_in_vain(task, now - drain.began[task.key])
            state.lives.await_inputs(task)
        if tasks:
            said.append(f"handed back worker={worker.name} tasks={_named(tasks)}")
            known = state.tasks
            self._broken_off = {key: n for key, n in self._broken_off.items() if key in known}
        stuck = state.transfers.stuck(worker)
        if stuck:
            nbytes = sum(task.nbytes for task in stuck)
            said.append(
                f"no room anywhere for results worker={worker.name} results={_named(stuck)} "
                f"bytes={nbytes}: computed again where they are needed"
            )
        return said

    def _break_off(self, task: Task) -> list[str]:
        """Note that a task was not let end; say so, once, if that goes on."""
        times = self._broken_off[task.key] = self.broken_off(task) + 1
        if times != OFTEN:
            return []
        return [f"no job lasts long enough, it seems task={task.key} begun={times} times in vain"]


def _named(tasks: list[Task]) -> str:
    names = ",".join(task.key for task in tasks[:NAMED])
    return f"{names} and {len(tasks) - NAMED} more" if len(tasks) > NAMED else names
