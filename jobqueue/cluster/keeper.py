"""What is done about one pool: asks reconcile.py, submits, drains; loop.py keeps all of a cluster.

Rules:

* At most one submission of a pool is under way at a time.
* Nothing in its ``PoolState`` is touched by another thread.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from jobqueue.cluster.adapt import Adaptation, Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.errands import Errands
from jobqueue.cluster.explain import describe, hopeless, outage, shortage
from jobqueue.cluster.jobs import Phase
from jobqueue.cluster.launcher import Launcher
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import Actions, Load, decide
from jobqueue.errors import WorkersUnavailable
from jobqueue.scheduler.load import Load as SchedulerLoad

logger = logging.getLogger("jobqueue.cluster")

DRAIN_TIMEOUT = 3600.0
"""Seconds that running tasks have to end on a job that is no longer wanted."""

SUBMIT, QUERY, CANCEL = "submit", "query", "cancel"
"""What the names of errands begin with."""


class WorkerView(Protocol):
    """What is read of a worker."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def job_id(self) -> str | None: ...  # noqa: D102
    @property
    def pool(self) -> str: ...  # noqa: D102
    @property
    def ends_at(self) -> float | None: ...  # noqa: D102
    @property
    def host(self) -> str: ...  # noqa: D102


class SchedulerView(Protocol):
    """What is needed of the scheduler."""

    def workers(self) -> Collection[WorkerView]:
        """Return the connected workers."""

    def load(self) -> SchedulerLoad:
        """Return how much there is to do, and what the workers of each job have of it."""

    # The scheduler bounds the wait itself: it has to hand tasks back when time is up.
    async def retire(self, names: Iterable[str], *, timeout: float) -> None:  # noqa: ASYNC109
        """Have workers hand everything over and end."""


class Keeper:
    """Keeps one pool at the number of jobs wanted.

    Parameters
    ----------
    state
        The pool; owned by the keeper from now on.
    launcher
        Who starts its jobs.
    size
        What one job brings.
    scheduler
        Whose workers they bring.
    errands
        What takes long.
    clock
        Returns the time in seconds.
    on_news
        Called when the batch system is to be asked soon.
    """

    def __init__(
        self,
        state: PoolState,
        launcher: Launcher,
        size: JobSize,
        scheduler: SchedulerView,
        errands: Errands,
        *,
        clock: Callable[[], float],
        on_news: Callable[[], None],
    ) -> None:
        self.state = state
        self.launcher = launcher
        self.size = size
        self.adaptation: Adaptation | None = None
        self._scheduler = scheduler
        self._errands = errands
        self._clock = clock
        self._on_news = on_news
        self._told: str | None = None
        self._warned: set[str] = set()  # what was said of jobs that will never start

    def __repr__(self) -> str:
        """``<Keeper of <PoolState gpu: 2/4 jobs, connected=2>>``."""
        return f"<Keeper of {self.state!r}>"

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.state.name

    # --- what is wanted ------------------------------------------------------------------

    def scale(self, wanted: int) -> None:
        """Set the number of jobs wanted, which stays; resumes a paused pool."""
        self.adaptation, self.state.mode = None, ""
        self.state.scale(wanted)

    def adapt(self, policy: Policy) -> None:
        """Follow the load from now on; resumes a paused pool."""
        self.adaptation = Adaptation(policy, self.size)
        self.state.mode = str(policy)
        self.state.setbacks.forget()

    def follow(self, load: SchedulerLoad, now: float) -> None:
        """Set the number of jobs wanted by the part of the load that is this pool's."""
        if self.adaptation is None:
            return
        before = self.state.wanted
        jobs = list(self.state.jobs.values())
        self.state.wanted = self.adaptation.wanted(load, jobs, now)
        if self.state.wanted != before:
            logger.info("pool=%s wanted=%d before=%d", self.name, self.state.wanted, before)

    # --- workers -------------------------------------------------------------------------

    def joined(self, worker: WorkerView) -> bool:
        """Take in that a worker connected; return whether its job is one of this pool."""
        return self.state.worker_joined(
            worker.job_id or "", worker.name, self._clock(), worker.ends_at, worker.host
        )

    def drains(self, worker: WorkerView, reason: str) -> bool:
        """Take in that a worker hands over by itself; return whether its job is of this pool."""
        return self.state.worker_drains(worker.job_id or "", reason, self._clock(), worker.ends_at)

    def left(self, worker: WorkerView) -> bool:
        """Take in that a worker left; return whether its job is one of this pool."""
        return self.state.worker_left(worker.job_id or "", worker.name)

    # --- one turn ------------------------------------------------------------------------

    @property
    def shrinks(self) -> bool:
        """Whether somebody may have to go, so that it matters how busy each job is."""
        return len(self.state.live()) > self.state.goal or bool(self.state.standing_in())

    def decide(self, load: Mapping[str, Load], now: float) -> Actions:
        """Decide what to do, and begin with all of it but the cancellations."""
        actions = decide(self.state, load, now)
        if actions.submit:
            self._errands.run(f"{SUBMIT} {self.name}", self._submit(actions.submit))
        for job_id, workers in actions.retire.items():
            self._errands.run(f"drain {self.name} {job_id}", self._drain(job_id, workers))
        return actions

    async def _submit(self, count: int) -> None:
        # A query under way may be about to tell of jobs whose submission was in doubt when this
        # one was decided: then there is less to do, or nothing.
        await self._errands.wait_for(QUERY)
        needed = min(count, self.state.goal - len(self.state.live()))
        try:
            result = await self.launcher.submit(needed) if needed > 0 else Submission()
        except Exception as error:  # a mistake of our own: no reason to have anybody wait forever
            logger.exception("submission failed pool=%s", self.name)
            result = Submission(error=error)
        self.state.submitted(result, self._clock())
        self._greet(result.job_ids)
        self._on_news()

    def _greet(self, job_ids: Collection[str]) -> None:
        """Take in workers that connected before we knew that their jobs are ours."""
        if job_ids:
            for worker in self._scheduler.workers():
                ours = worker.pool in ("", self.name)
                if ours and worker.job_id is not None and worker.job_id in job_ids:
                    self.joined(worker)

    async def _drain(self, job_id: str, workers: Sequence[str]) -> None:
        try:
            await self._scheduler.retire(workers, timeout=DRAIN_TIMEOUT)
        finally:
            self.state.drained(job_id, self._clock())
            self._on_news()

    # --- answers of the batch system -----------------------------------------------------

    def to_ask(self) -> list[str]:
        """Return the jobs to ask about."""
        return [job.job_id for job in self.state.unended()]

    def to_end(self) -> list[str]:
        """Return the jobs that may exist."""
        return self.to_ask() + [job.job_id for job in self.state.uncertain()]

    async def take(self, answer: Any, asked: Sequence[str]) -> bool:
        """Take in an answer about some of its jobs; return whether one has come further.

        That a job waits for another reason than before is told, and no cause to ask more often.
        """
        reports = await self.launcher.read(answer, asked)
        now = self._clock()
        news = False
        found = {report.job_id for report in reports} - set(self.state.jobs)
        self.state.adopt(found, now)
        self._greet(found)
        for report in reports:
            job = self.state.jobs.get(report.job_id)
            before = job.state if job else None
            if job and job.was_requeued and report.phase is Phase.PENDING:
                cause = await self.launcher.last_run(report.job_id)
                report = dataclasses.replace(report, cause=cause)
            if self.state.report(report, now):
                job = self.state.jobs[report.job_id]
                news = news or job.state is not before
                logger.info("pool=%s system=%s job=%s", self.name, self.launcher.system, job)
        for text in set(hopeless(self.state)) - self._warned:
            self._warned.add(text)
            logger.warning("pool=%s system=%s %s", self.name, self.launcher.system, text)
        may_exist = set(self.to_end())
        await self.launcher.ended([job_id for job_id in asked if job_id not in may_exist])
        return news

    async def cancelled(self, job_ids: Iterable[str]) -> None:
        """Take in that the batch system has accepted a cancellation."""
        await self.launcher.ended(self.state.made_sure(job_ids))

    # --- in words ------------------------------------------------------------------------

    def describe(self, workers: int | None = None) -> str:
        """Return one line about why there are as many workers as there are."""
        return describe(self.state, workers=workers, system=self.launcher.system)

    def outage(self) -> WorkersUnavailable | None:
        """Return why this pool has no workers and will get none; None if it has or may."""
        return outage(self.state, system=self.launcher.system, script=self.launcher.script)

    def shortage(self) -> WorkersUnavailable | None:
        """Return why this pool will get no more workers than it has; None if it may."""
        return shortage(self.state, system=self.launcher.system, script=self.launcher.script)

    def told_outage(self) -> WorkersUnavailable | None:
        """Return the outage, and say in the log, once, why this pool brings no workers."""
        error = self.outage()
        text = None if error is None else str(error)
        if text != self._told:
            self._told = text
            if text is not None:
                logger.error("pool=%s %s", self.name, text)
        return error
