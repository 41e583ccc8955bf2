"""All of a cluster that runs: scheduler, pool and launcher, in one event loop.

Nothing here knows the user's handle (`Cluster`), so that the handle can be collected while
everything is running, and take the rest down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from jobqueue.cluster import explain
from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.cluster.launcher import read_logs
from jobqueue.cluster.loop import PoolLoop
from jobqueue.cluster.plan import Plan
from jobqueue.cluster.pool import PoolState
from jobqueue.cluster.snapshot import SnapshotWriter
from jobqueue.cluster.threads import off_loop
from jobqueue.errors import BatchSystemError, ConfigError
from jobqueue.scheduler.info import WorkerEvent, WorkerInfo, WorkerJoined
from jobqueue.scheduler.server import Scheduler

logger = logging.getLogger("jobqueue.cluster")

CLOSE_TIMEOUT = 60.0


class Core:
    """A cluster without its handle.

    Parameters
    ----------
    plan
        What kind of cluster it is.
    scheduler_class
        What to use as the scheduler.
    """

    def __init__(self, plan: Plan, scheduler_class: type[Scheduler] = Scheduler) -> None:
        self.plan = plan
        self.status = "created"
        self._scheduler_class = scheduler_class
        self._scheduler: Scheduler | None = None
        self._pool: PoolLoop | None = None
        self._snapshots: SnapshotWriter | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def title(self) -> str:
        """What it is, for the log."""
        return f"cluster={self.plan.name}"

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler of a cluster that was started."""
        if self._scheduler is None:
            raise ConfigError(f"cluster {self.plan.name!r} was not started: await it first")
        return self._scheduler

    @property
    def pool(self) -> PoolLoop:
        """The pool of a cluster that was started."""
        if self._pool is None:
            raise ConfigError(f"cluster {self.plan.name!r} was not started: await it first")
        return self._pool

    async def start(self) -> None:
        """Bring the scheduler up, and begin to look after the jobs."""
        if self.status != "created":
            return
        self.status = "starting"
        try:
            await off_loop(self.plan.open)
            scheduler = self._scheduler_class(
                name=self.plan.name, credentials=self.plan.credentials, listen=self.plan.listen()
            )
            await scheduler.start()
            self._scheduler = scheduler
            self._pool = PoolLoop(
                PoolState(limits=self.plan.limits),
                self.plan.launcher(self.contact_addresses()),
                scheduler,
                on_outage=scheduler.set_outage,
                on_shortage=scheduler.set_shortage,
                on_change=self._on_change,
            )
        except BaseException:
            self.status = "failed"
            await self._end_scheduler()
            await off_loop(self.plan.close, orderly=True)
            raise
        scheduler.subscribe(self._on_worker)
        scheduler.describe_supply = self._describe
        self._snapshots = self._begin_snapshots()
        self._pool.start()
        self.status = "running"

    def _begin_snapshots(self) -> SnapshotWriter | None:
        if (ledger := self.plan.ledger) is None:
            return None
        writer = SnapshotWriter(
            ledger.folder,
            ledger.entry,
            lambda: list(self.pool.state.jobs.values()),
            lambda job: self.pool.launcher.log_files(job.job_id),
        )
        writer.start()
        return writer

    def _on_change(self) -> None:
        if self._snapshots is not None:
            self._snapshots.changed()

    def contact_addresses(self) -> tuple[str, ...]:
        """Return where workers find the scheduler, best first."""
        return self.plan.contact(self.scheduler.addresses)

    def _on_worker(self, event: WorkerEvent) -> None:
        worker = event.worker
        if self._pool is None:
            return
        if isinstance(event, WorkerJoined):
            self._pool.worker_joined(worker.job_id or "", worker.name)
        else:
            self._pool.worker_left(worker.job_id or "", worker.name)

    # --- what a user asks ----------------------------------------------------------------

    def scale(self, jobs: int) -> None:
        """Set the number of jobs wanted.

        Raises
        ------
        BatchSystemError
            No job can be submitted from here.
        """
        self._check_scalable(jobs)
        self.pool.scale(jobs)

    def adapt(self, policy: Policy) -> None:
        """Let the number of jobs follow the load.

        Raises
        ------
        BatchSystemError
            No job can be submitted from here.
        """
        self._check_scalable(policy.maximum)
        self.pool.adapt(policy, self.plan.size)

    def _check_scalable(self, jobs: int) -> None:
        if self.status != "running":
            raise ConfigError(f"cluster {self.plan.name!r} is {self.status}: it cannot be scaled")
        if jobs:
            self.pool.launcher.check()

    def jobs(self) -> list[JobRecord]:
        """Return a snapshot of all jobs, ended ones included, oldest first."""
        return [job.copy() for job in self._pool.state.jobs.values()] if self._pool else []

    def workers(self) -> Sequence[WorkerInfo]:
        """Return the connected workers."""
        return self._scheduler.workers() if self._scheduler and self.status == "running" else []

    def counts(self) -> tuple[int, int]:
        """Return how many jobs are connected, and how many there are to be."""
        if self._pool is None:
            return 0, 0
        live = self._pool.state.live()
        return sum(job.state is JobState.CONNECTED for job in live), self._pool.state.goal

    def describe(self) -> str:
        """Return one line about why there are as many workers as there are."""
        if self._pool is None or self.status == "closed":
            return f"0 workers; cluster {self.status}"
        return self._describe(len(self.workers()))

    def _describe(self, workers: int | None = None) -> str:
        launcher = self.pool.launcher
        return explain.describe(self.pool.state, workers=workers, system=launcher.system)

    async def logs(self, job_id: str) -> str:
        """Return a job's output so far."""
        return await off_loop(read_logs, self.pool.launcher.log_files(job_id))

    # --- the end -------------------------------------------------------------------------

    async def close(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109
        """Cancel all jobs, close the scheduler, remove the files; once, however often called.

        Parameters
        ----------
        timeout
            Seconds after which whoever called no longer waits; the work goes on.

        Raises
        ------
        TimeoutError
            The batch system or the workers took longer.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        async with asyncio.timeout(timeout):
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.status in ("failed", "closed"):
            return
        self.status = "closing"
        orderly, _ = await asyncio.gather(self._end_jobs(), self._end_scheduler())
        if self._snapshots is not None:
            await self._snapshots.finish()
        await off_loop(self._let_go, orderly=orderly)
        self.status = "closed"

    async def _end_jobs(self) -> bool:
        """Cancel all jobs; return whether nothing is left that somebody may want to read."""
        if self._pool is None:
            return True
        healthy = self._pool.state.pause is None
        return await self._pool.close() and healthy

    async def _end_scheduler(self) -> None:
        """Tell the workers to end: they need not wait for the batch system's signal."""
        if self._scheduler is not None:
            await self._scheduler.close()

    def _let_go(self, *, orderly: bool) -> None:
        """Remove the files; of jobs whose logs stay, keep where these are."""
        self.plan.close(orderly=orderly)
        if orderly and self._snapshots is not None:
            self._snapshots.keep()

    def abandon(self) -> None:
        """Cancel all jobs when the event loop is gone: what is left at the interpreter's exit."""
        # "closing": the loop ended while it was at it.
        if self.status not in ("running", "closing") or self._pool is None:
            return
        self.status = "closed"
        self._pool.state.close()
        job_ids = [job.job_id for job in self._pool.state.unended()]
        orderly = not self._pool.state.submitting and not self._pool.launcher.in_doubt
        try:
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                loop.run_until_complete(self._pool.launcher.cancel(job_ids, abandoned=True))
                self._pool.state.cancelled(job_ids, time.monotonic())
                loop.run_until_complete(self._pool.launcher.close())
        except (BatchSystemError, OSError) as error:
            logger.error("jobs may be left jobs=%s error=%s", ",".join(job_ids), error)
            orderly = False
        if self._snapshots is not None:
            self._snapshots.finish_now()
        self._let_go(orderly=orderly)
