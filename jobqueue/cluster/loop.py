"""The loop of one pool: asks what is, has reconcile.py decide, and does it.

Rules:

* Workers that come and go are told by the scheduler at once.  The batch system is asked sparsely:
  soon after something happened, then at longer and longer intervals, one query for all jobs.
* At most one submission, one query and one cancellation are under way at a time; none of them
  holds up the loop.
* Everything here runs in one event loop; nothing in ``PoolState`` is touched by another thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from jobqueue.cluster.adapt import Adaptation, Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.explain import outage, shortage
from jobqueue.cluster.jobs import JobReport
from jobqueue.cluster.launcher import Launcher
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import Actions, Load, decide
from jobqueue.errors import BatchSystemError, WorkersUnavailable
from jobqueue.scheduler.load import Load as SchedulerLoad

logger = logging.getLogger("jobqueue.cluster")

DRAIN_TIMEOUT = 3600.0
"""Seconds that running tasks have to end on a job that is no longer wanted."""


class WorkerView(Protocol):
    """What the loop reads of a worker."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def job_id(self) -> str | None: ...  # noqa: D102


class SchedulerView(Protocol):
    """What the loop needs of the scheduler."""

    def workers(self) -> Collection[WorkerView]:
        """Return the connected workers."""

    def load(self) -> SchedulerLoad:
        """Return how much there is to do, and what the workers of each job have of it."""

    # The scheduler bounds the wait itself: it has to hand tasks back when time is up.
    async def retire(self, names: Iterable[str], *, timeout: float) -> None:  # noqa: ASYNC109
        """Have workers hand everything over and end."""


class Polling:
    """When to ask the batch system next.

    Parameters
    ----------
    intervals
        Seconds between queries while nothing changes; the last one repeats.
    """

    def __init__(self, intervals: Sequence[float]) -> None:
        self._intervals = intervals
        self._step = 0
        self.due = float("inf")

    def soon(self, now: float) -> None:
        """Something happened: begin with the shortest interval again."""
        self._step = 0
        self.due = min(self.due, now + self._intervals[0])

    def asked(self, now: float, *, news: bool) -> None:
        """A query was answered: plan the next one."""
        self._step = 0 if news else min(self._step + 1, len(self._intervals) - 1)
        self.due = now + self._intervals[self._step]


class PoolLoop:
    """Keeps one pool at the number of jobs wanted.

    Parameters
    ----------
    state
        The pool; owned by this loop from now on.
    launcher
        Who starts and ends its jobs.
    scheduler
        Whose workers they bring.
    on_outage
        Called with the reason whenever it changes whether this pool can bring workers.
    on_change
        Called whenever something about its jobs may have changed.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self,
        state: PoolState,
        launcher: Launcher,
        scheduler: SchedulerView,
        *,
        on_outage: Callable[[WorkersUnavailable | None], None],
        on_shortage: Callable[[WorkersUnavailable | None], None] = lambda error: None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self.launcher = launcher
        self._scheduler = scheduler
        self._on_outage = on_outage
        self._on_shortage = on_shortage
        self._on_change = on_change
        self._clock = clock
        self._polling = Polling(launcher.intervals)
        self._something = asyncio.Event()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._unanswered = False
        self._outage: str | None = None
        self._adaptation: Adaptation | None = None
        self._look_at_load = float("inf")  # when to do so next

    # --- from outside --------------------------------------------------------------------

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._main = asyncio.get_running_loop().create_task(self._run())
        self._main.add_done_callback(self._loop_ended)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for a pool that is no longer looked after."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("pool=%s its loop failed", self.state.name, exc_info=error)
        self._on_outage(
            WorkersUnavailable(
                f"pool {self.state.name!r} failed by a mistake of our own: {error!r}; please "
                "report it with the log, and make a new cluster"
            )
        )

    def scale(self, wanted: int) -> None:
        """Set the number of jobs wanted, which stays; resumes a paused pool."""
        self._adaptation, self._look_at_load, self.state.mode = None, float("inf"), ""
        self.state.scale(wanted)
        self._tell_outage()  # now: whoever waits from here on is not told of what is over
        self._something.set()

    def adapt(self, policy: Policy, size: JobSize) -> None:
        """Follow the load from now on; resumes a paused pool.

        Parameters
        ----------
        policy
            The bounds, and how quickly.
        size
            What one job brings.
        """
        self._adaptation, self._look_at_load = Adaptation(policy, size), self._clock()
        self.state.mode = str(policy)
        self.resume()

    def resume(self) -> None:
        """Go on after a pause."""
        self.state.resume()
        self._tell_outage()
        self._something.set()

    def worker_joined(self, job_id: str, worker: str) -> bool:
        """Take in that a worker connected; return whether it is of this pool."""
        ours = self.state.worker_joined(job_id, worker)
        if ours:
            self._something.set()
        return ours

    def worker_left(self, job_id: str, worker: str) -> bool:
        """Take in that a worker left; return whether it was of this pool."""
        ours = self.state.worker_left(job_id, worker)
        if ours:
            self._polling.soon(self._clock())
        self._something.set()  # also if not: it may have been the last one of all
        return ours

    async def close(self) -> bool:
        """Cancel all jobs; return whether the batch system took that without objection."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        self.state.close()
        for name, task in list(self._under_way.items()):
            if name != "submit":  # its jobs would not be known; a batch command ends in any case
                task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        cancelled = await self._cancel_everything()
        await self.launcher.close()
        return cancelled

    # --- the loop ------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._something.clear()
            now = self._clock()
            self._adapt(
                now
            )  # in the same turn: whoever was idle then is idle when victims are chosen
            actions = decide(self.state, self._load(), now)
            self._carry_out(actions, now)
            if now >= self._polling.due:
                self._polling.due = float("inf")
                self._do("query", self._query())
            self._tell_outage()
            self._on_change()
            deadlines = (self._polling.due, self._look_at_load, actions.wait_until or float("inf"))
            until = min(deadlines)
            await self._wait(until - self._clock())

    def _adapt(self, now: float) -> None:
        if self._adaptation is None or now < self._look_at_load:
            return
        self._look_at_load = now + self._adaptation.policy.interval
        before = self.state.wanted
        jobs = list(self.state.jobs.values())
        self.state.wanted = self._adaptation.wanted(self._scheduler.load(), jobs, now)
        if self.state.wanted != before:
            logger.info("pool=%s wanted=%d before=%d", self.state.name, self.state.wanted, before)

    async def _wait(self, seconds: float) -> None:
        timeout = None if seconds == float("inf") else max(0.0, seconds)
        try:
            async with asyncio.timeout(timeout):
                await self._something.wait()
        except TimeoutError:
            pass

    def _load(self) -> dict[str, Load]:
        """Return how busy each job is; asked only if somebody has to go."""
        if len(self.state.live()) <= self.state.goal:
            return {}
        return {
            job_id: Load(job.tasks, job.stored_bytes, job.busy)
            for job_id, job in self._scheduler.load().jobs.items()
            if job_id is not None
        }

    def _carry_out(self, actions: Actions, now: float) -> None:
        if actions.submit:
            self._do("submit", self._submit(actions.submit))
        if actions.cancel:
            self._do("cancel", self._cancel(actions.cancel))
            self._polling.soon(now)
        for job_id, workers in actions.retire.items():
            self._do(f"drain {job_id}", self._drain(job_id, workers))

    def _do(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the loop, after whatever of that name is still under way."""
        before = self._under_way.get(name)
        task = asyncio.get_running_loop().create_task(_after(before, work))
        self._under_way[name] = task
        task.add_done_callback(lambda task: self._done(name, task))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("pool=%s %s failed", self.state.name, name, exc_info=error)
        self._something.set()

    # --- what can take long --------------------------------------------------------------

    async def _submit(self, count: int) -> None:
        # A query under way may be about to tell of jobs whose submission was in doubt when this
        # one was decided: then there is less to do, or nothing.
        if (query := self._under_way.get("query")) is not None:
            await asyncio.wait([query])
        live = len(self.state.live())
        needed = min(count, self.state.goal - live)
        result = await self.launcher.submit(needed) if needed > 0 else Submission()
        now = self._clock()
        self.state.submitted(result, now)
        self._greet(result.job_ids)
        self._polling.soon(now)

    def _greet(self, job_ids: Collection[str]) -> None:
        """Take in workers that connected before we knew that their jobs are ours."""
        if job_ids:
            for worker in self._scheduler.workers():
                if worker.job_id is not None and worker.job_id in job_ids:
                    self.state.worker_joined(worker.job_id, worker.name)

    async def _query(self) -> None:
        asked = [job.job_id for job in self.state.unended()]
        if not asked and not self.launcher.in_doubt:
            return
        try:
            reports = await self.launcher.query(asked)
        except BatchSystemError as error:
            level = logging.DEBUG if self._unanswered else logging.WARNING
            logger.log(level, "no answer system=%s error=%s", self.launcher.system, error)
            self._unanswered = True
            self._polling.asked(self._clock(), news=False)
            return
        self._unanswered = False
        news = self._take(reports)
        unended = {job.job_id for job in self.state.unended()}
        self.launcher.ended(job_id for job_id in asked if job_id not in unended)
        if unended or self.launcher.in_doubt:
            self._polling.asked(self._clock(), news=news)

    def _take(self, reports: Collection[JobReport]) -> bool:
        now = self._clock()
        news = False
        found = {report.job_id for report in reports} - set(self.state.jobs)
        self.state.adopt(found, now)
        self._greet(found)
        for report in reports:
            if self.state.report(report, now):
                news = True
                job = self.state.jobs[report.job_id]
                logger.info("pool=%s system=%s job=%s", job.pool, self.launcher.system, job)
        return news

    async def _cancel(self, job_ids: Sequence[str]) -> None:
        try:
            await self.launcher.cancel(job_ids)
        except BatchSystemError as error:  # reconcile.py will have it done again
            logger.warning("cancel failed system=%s error=%s", self.launcher.system, error)

    async def _drain(self, job_id: str, workers: Sequence[str]) -> None:
        try:
            await self._scheduler.retire(workers, timeout=DRAIN_TIMEOUT)
        finally:
            self.state.drained(job_id, self._clock())
            self._polling.soon(self._clock())

    async def _cancel_everything(self) -> bool:
        """Cancel what may exist, submissions in doubt included; return whether that went well."""
        try:
            if self.launcher.in_doubt:
                self._take(await self.launcher.query([job.job_id for job in self.state.unended()]))
            job_ids = [job.job_id for job in self.state.unended()]
            if job_ids:
                await self.launcher.cancel(job_ids)
                self.state.cancelled(job_ids, self._clock())
        except BatchSystemError as error:
            logger.error(
                "jobs may be left system=%s jobs=%s error=%s",
                self.launcher.system,
                ",".join(job.job_id for job in self.state.unended()),
                error,
            )
            return False
        return not self.launcher.in_doubt

    def _tell_outage(self) -> None:
        self._on_shortage(
            shortage(self.state, system=self.launcher.system, script=self.launcher.script)
        )
        error = outage(self.state, system=self.launcher.system, script=self.launcher.script)
        if error is not None and self._scheduler.workers():
            error = None  # whoever waits may be served by workers that are not of this pool
        text = None if error is None else str(error)
        if text != self._outage:
            self._outage = text
            if error is not None:
                logger.error("pool=%s %s", self.state.name, error)
            self._on_outage(error)


async def _after(before: Awaitable[None] | None, work: Coroutine[Any, Any, None]) -> None:
    try:
        if before is not None:
            await asyncio.wait([asyncio.ensure_future(before)])
    except BaseException:
        work.close()
        raise
    await work
