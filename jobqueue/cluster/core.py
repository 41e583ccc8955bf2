"""All of a cluster that runs: scheduler, pools and launchers, in one event loop.

Nothing here knows the user's handle (`Cluster`), so that the handle can be collected while
everything is running, and take the rest down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.jobs import JobRecord, JobState, by_name
from jobqueue.cluster.keeper import Keeper
from jobqueue.cluster.launcher import read_logs
from jobqueue.cluster.loop import ClusterLoop
from jobqueue.cluster.outages import describe_pools
from jobqueue.cluster.plan import DEFAULT, Plan, PoolPlan
from jobqueue.cluster.threads import off_loop
from jobqueue.errors import BatchSystemError, ConfigError
from jobqueue.scheduler.info import RETIRING, WorkerDrains, WorkerEvent, WorkerInfo, WorkerJoined
from jobqueue.scheduler.server import Scheduler

if TYPE_CHECKING:
    from jobqueue.cluster.snapshot import SnapshotWriter

logger = logging.getLogger("jobqueue.cluster")

SHOWN = 5
"""So many jobs are named to whoever asks for one that there is not."""

CLOSE_TIMEOUT = 60.0

MAY_BE_LEFT = "jobs may be left: jobqueue cleanup cancels them"
"""Why the files of a cluster are kept whose batch system did not answer."""


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
        self._pools: ClusterLoop | None = None
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
    def pools(self) -> ClusterLoop:
        """The pools of a cluster that was started."""
        if self._pools is None:
            raise ConfigError(f"cluster {self.plan.name!r} was not started: await it first")
        return self._pools

    def pool_plan(self, name: str | None) -> PoolPlan:
        """Return what the jobs of a pool are; None means the first one.

        Raises
        ------
        ConfigError
            There is no such pool.
        """
        plan = self.plan.pools.get(name or DEFAULT)
        if plan is None:
            raise ConfigError(
                f"cluster {self.plan.name!r} has no pool {name!r}; there are: "
                f"{', '.join(self.plan.pools)}"
            )
        return plan

    def keeper(self, name: str | None = None) -> Keeper:
        """Return what runs of a pool; None means the first one."""
        return self.pools.pools[self.pool_plan(name).name]

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
            self._pools = ClusterLoop(
                scheduler,
                limits=self.plan.limits,
                on_outage=scheduler.set_outage,
                on_shortage=scheduler.set_shortage,
                on_stranded=scheduler.set_stranded,
                on_change=self._on_change,
            )
            for pool in self.plan.pools.values():
                self._look_after(pool)
        except BaseException:
            self.status = "failed"
            await self._end_scheduler()
            await off_loop(self.plan.close)
            raise
        scheduler.subscribe(self._on_worker)
        scheduler.describe_supply = self._describe
        self._snapshots = self._begin_snapshots()
        self._pools.start()
        self.status = "running"

    def make_pool(self, name: str, keywords: Mapping[str, Any]) -> PoolPlan:
        """Make another pool; blocks, and so is for the thread of whoever wants it.

        Raises
        ------
        ConfigError
            The cluster has ended; the name is taken; or a keyword cannot be used.
        """
        self._check_growing()
        return self.plan.make_pool(name, keywords)

    def add_pool(self, pool: PoolPlan) -> None:
        """Look after a pool that was made; ConfigError as for `make_pool`."""
        self._check_growing()
        self.plan.take(pool)
        if self._pools is not None:
            self._look_after(pool)

    def _check_growing(self) -> None:
        if self.status not in ("created", "running"):
            raise ConfigError(f"cluster {self.plan.name!r} is {self.status}: no pool can be added")

    def _look_after(self, plan: PoolPlan) -> None:
        self.pools.add(
            plan.name,
            plan.launcher(self.contact_addresses()),
            plan.size,
            plan.limits,
            margin=plan.margin,
        )

    def _begin_snapshots(self) -> SnapshotWriter | None:
        if (ledger := self.plan.ledger) is None:
            return None
        from jobqueue.cluster.snapshot import SnapshotWriter  # a LocalCluster writes none

        writer = SnapshotWriter(
            ledger.folder,
            ledger.entry,
            self._records,
            self.describe,
            lambda job: self.keeper(job.pool).launcher.log_files(job.job_id),
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
        if self._pools is None:
            return
        if isinstance(event, WorkerJoined):
            self._pools.worker_joined(event.worker)
        elif isinstance(event, WorkerDrains):
            self._pools.worker_drains(event.worker, event.reason)
        else:
            self._pools.worker_left(event.worker)

    # --- what a user asks ----------------------------------------------------------------

    def scale(self, jobs: int, pool: str | None = None) -> None:
        """Set the number of jobs wanted of a pool.

        Raises
        ------
        BatchSystemError
            No job can be submitted from here.
        """
        self._check_scalable(jobs, pool)
        self.pools.scale(self.keeper(pool).name, jobs)

    def adapt(self, policy: Policy, pool: str | None = None) -> None:
        """Let the number of jobs of a pool follow the load.

        Raises
        ------
        BatchSystemError
            No job can be submitted from here.
        """
        self._check_scalable(policy.maximum, pool)
        self.pools.adapt(self.keeper(pool).name, policy)

    def _check_scalable(self, jobs: int, pool: str | None) -> None:
        if self.status != "running":
            raise ConfigError(f"cluster {self.plan.name!r} is {self.status}: it cannot be scaled")
        if jobs:
            self.keeper(pool).launcher.check()

    def resume(self, pool: str | None = None) -> None:
        """Submit again after a pause: a pool, or if none is named, all of them."""
        self.pools.resume(list(self.pools.pools) if pool is None else [self.keeper(pool).name])

    def _keepers(self) -> Iterable[Keeper]:
        return self._pools.pools.values() if self._pools else ()

    def _records(self) -> list[JobRecord]:
        return [job for keeper in self._keepers() for job in keeper.state.jobs.values()]

    def jobs(self, pool: str | None = None) -> list[JobRecord]:
        """Return a snapshot of all jobs, or those of a pool, ended ones included, oldest first."""
        if pool is not None:
            self.pool_plan(pool)
        now = time.monotonic()
        keepers = [keeper for keeper in self._keepers() if pool in (None, keeper.name)]
        jobs = [job for keeper in keepers for job in keeper.state.snapshot(now)]
        return sorted(jobs, key=lambda job: job.submitted_at)

    def workers(self, pool: str | None = None) -> Sequence[WorkerInfo]:
        """Return the connected workers, or those of a pool."""
        if self._scheduler is None or self.status != "running":
            return []
        workers = self._scheduler.workers()
        if pool is None:
            return workers
        keeper = self.keeper(pool)
        known_as = ("", keeper.name)  # two batch systems may use the same ids
        ours = keeper.state.jobs
        return [w for w in workers if w.job_id in ours and w.pool in known_as]

    async def wait_for_workers(self, count: int, timeout: float | None) -> None:  # noqa: ASYNC109
        """Return when as many workers are connected and stay.

        Raises
        ------
        TimeoutError
            They are not there within `timeout` seconds.
        WorkersUnavailable
            They will not come.
        ConfigError
            Nor will they, for the cluster is closed.
        """
        scheduler = self.scheduler
        try:
            async with asyncio.timeout(timeout):
                while sum(worker.status != RETIRING for worker in self.workers()) < count:
                    if self.status != "running":
                        raise ConfigError(f"cluster {self.plan.name!r} is {self.status}")
                    if scheduler.shortage is not None:
                        raise scheduler.shortage.to_exception()
                    await scheduler.wait_for_change()
        except TimeoutError:
            raise TimeoutError(
                f"not {count} workers within {timeout:g} s: {self.describe()}"
            ) from None

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return for each pool how many jobs are connected, and how many there are to be."""
        return {
            keeper.name: (
                sum(job.state is JobState.CONNECTED for job in keeper.state.unended()),
                keeper.state.goal,
            )
            for keeper in self._keepers()
        }

    def describe(self, pool: str | None = None) -> str:
        """Return one line about why there are as many workers as there are."""
        if self._pools is None or self.status == "closed":
            return f"0 workers; cluster {self.status}"
        workers = len(self.workers(pool))
        return self._describe(workers) if pool is None else self.keeper(pool).describe(workers)

    def _describe(self, workers: int | None = None) -> str:
        return describe_pools(list(self._keepers()), workers)

    def log_files(self, job_id: str, pool: str | None = None) -> tuple[Path, ...]:
        """Return the files a job's output goes to; ConfigError for one that is not known."""
        keepers = [
            keeper
            for keeper in self.pools.pools.values()
            if pool in (None, keeper.name) and job_id in keeper.state.jobs
        ]
        if len(keepers) == 1:
            return keepers[0].launcher.log_files(job_id)
        if keepers:
            raise ConfigError(
                f"job {job_id!r} is one of pool {' and one of '.join(k.name for k in keepers)}: "
                "give the row of `jobs` that is meant"
            )
        last = ", ".join(job.job_id for job in self.jobs()[-SHOWN:])
        there = f"its last ones are {last}" if last else "it has none"
        raise ConfigError(f"cluster {self.plan.name!r} has no job {job_id!r}; {there}")

    async def logs(self, job_id: str, pool: str | None = None) -> str:
        """Return a job's output so far."""
        return await off_loop(read_logs, self.log_files(job_id, pool))

    async def all_logs(self) -> dict[str, str]:
        """Return the output of all jobs so far, by their ids."""
        files = {i: self.log_files(job.job_id, job.pool) for i, job in by_name(self.jobs()).items()}
        return await off_loop(lambda: {name: read_logs(own) for name, own in files.items()})

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
        if self._scheduler is not None:
            self._scheduler.set_shortage(None)  # whoever waits for workers looks again
        keep, _ = await asyncio.gather(self._end_jobs(), self._end_scheduler())
        if self._snapshots is not None:
            await self._snapshots.finish()
        await off_loop(self._let_go, keep)
        self.status = "closed"

    async def _end_jobs(self) -> str:
        """Cancel all jobs; return why somebody may want to read what is left, "" if nobody does."""
        if self._pools is None:
            return ""
        paused = [keeper.name for keeper in self._keepers() if keeper.state.setbacks.pause]
        if not await self._pools.close():
            return MAY_BE_LEFT
        return f"jobs of pool {paused[0]} failed: their script and logs are there" if paused else ""

    async def _end_scheduler(self) -> None:
        """Tell the workers to end: they need not wait for the batch system's signal."""
        if self._scheduler is not None:
            await self._scheduler.close()

    def _let_go(self, keep: str) -> None:
        """Remove the files, or `keep` them; of jobs whose logs stay, keep where these are."""
        self.plan.close(keep=keep)
        if not keep and self._snapshots is not None:
            self._snapshots.keep()

    def abandon(self) -> None:
        """Cancel all jobs when the event loop is gone: what is left at the interpreter's exit."""
        # "closing": the loop ended while it was at it.
        if self.status not in ("running", "closing") or self._pools is None:
            return
        self.status = "closed"
        try:
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                keep = "" if loop.run_until_complete(self._pools.abandon()) else MAY_BE_LEFT
        except (BatchSystemError, OSError) as error:
            left = ",".join(job_id for keeper in self._keepers() for job_id in keeper.to_ask())
            logger.error("jobs may be left jobs=%s error=%s", left, error)
            keep = MAY_BE_LEFT
        if self._snapshots is not None:
            self._snapshots.finish_now()
        self._let_go(keep)
