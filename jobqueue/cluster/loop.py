"""The loop of a cluster: asks what is, has each pool decide, and does what concerns all of them.

Rules:

* Workers that come and go are told by the scheduler at once.  The batch system is asked sparsely:
  soon after something happened, then at longer and longer intervals, one query for all jobs of all
  pools.  So is the scheduler for its load: one look for all pools that adapt.
* At most one submission of a pool, one query and one cancellation are under way at a time; none of
  them holds up the loop.
* Everything here runs in one event loop; nothing of a pool is touched by another thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, partial

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.errands import Errands
from jobqueue.cluster.keeper import CANCEL, QUERY, SUBMIT, Keeper, SchedulerView, WorkerView
from jobqueue.cluster.launcher import Launcher, Source
from jobqueue.cluster.limits import UNLIMITED, Limits, Quota
from jobqueue.cluster.outages import judge_of, outage_of, shortage_of
from jobqueue.cluster.polling import Polling
from jobqueue.cluster.pool import PoolState
from jobqueue.cluster.reconcile import Load
from jobqueue.cluster.sharing import Adapting, shares
from jobqueue.cluster.sources import Sources
from jobqueue.errors import WorkersUnavailable
from jobqueue.scheduler.load import Load as SchedulerLoad
from jobqueue.scheduler.stranded import Judge

logger = logging.getLogger("jobqueue.cluster")


class ClusterLoop:
    """Keeps the pools of a cluster at the number of jobs wanted of each.

    Parameters
    ----------
    scheduler
        Whose workers the jobs bring.
    limits
        What is asked of the batch system by all pools together at the most.
    on_outage
        Called with the reason whenever it changes whether workers may come.
    on_shortage
        The same, of more workers than there are.
    on_stranded
        Called whenever pools have become unable to bring workers, or able again, while others go
        on: with what judges for which tasks nobody will come; None for none.
    on_change
        Called whenever something about the jobs may have changed.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self,
        scheduler: SchedulerView,
        *,
        limits: Limits = UNLIMITED,
        on_outage: Callable[[WorkersUnavailable | None], None],
        on_shortage: Callable[[WorkersUnavailable | None], None] = lambda error: None,
        on_stranded: Callable[[Judge | None], None] = lambda judge: None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pools: dict[str, Keeper] = {}
        self._sources = Sources(self.pools, clock)
        self._scheduler = scheduler
        self._quota = Quota(limits)
        self._on_outage = on_outage
        self._on_shortage = on_shortage
        self._on_stranded = on_stranded
        self._on_change = on_change
        self._clock = clock
        self._something = asyncio.Event()
        self._errands = Errands(self._something.set)
        self._polling: Polling | None = None  # there is nobody to ask before there is a pool
        self._look_at_load = float("inf")  # when to do so next
        self._outage: str | None = None
        self._out: list[str] = []  # pools that bring no workers, and why
        self._main: asyncio.Task[None] | None = None

    # --- from outside --------------------------------------------------------------------

    def add(
        self,
        name: str,
        launcher: Launcher,
        size: JobSize,
        limits: Limits = UNLIMITED,
        *,
        margin: float | None = None,
    ) -> Keeper:
        """Look after another pool.

        Parameters
        ----------
        name
            Its name.
        launcher
            Who starts its jobs.
        size
            What one of them brings.
        limits
            What it asks of the batch system by itself at the most.
        margin
            Seconds before the end of their time in which its jobs hand over; None for the usual.
        """
        self._polling = self._polling or Polling(launcher.source.intervals)
        self.pools[name] = Keeper(
            PoolState(name, limits, shared=self._quota, margin=margin),
            launcher,
            size,
            self._scheduler,
            self._errands,
            clock=self._clock,
            on_news=self._ask_soon,
        )
        return self.pools[name]

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._main = asyncio.get_running_loop().create_task(self._run())
        self._main.add_done_callback(self._loop_ended)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """Let nobody wait for pools that are no longer looked after."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("the loop of a cluster failed", exc_info=error)
        self._on_outage(
            WorkersUnavailable(
                f"the cluster's loop failed by a mistake of our own: {error!r}; please report it "
                "with the log, and make a new cluster"
            )
        )

    def scale(self, name: str, wanted: int) -> None:
        """Set the number of jobs wanted of a pool, which stays; resumes it if it was paused."""
        self.pools[name].scale(wanted)
        self._go_on()

    def adapt(self, name: str, policy: Policy) -> None:
        """Let a pool follow the load from now on; resumes it if it was paused."""
        self.pools[name].adapt(policy)
        self._look_at_load = self._clock()
        self._go_on()

    def resume(self, names: Iterable[str]) -> None:
        """Go on with pools after a pause."""
        for name in names:
            self.pools[name].state.setbacks.forget()
        self._go_on()

    def _go_on(self) -> None:
        self._tell_outage()  # now: whoever waits from here on is not told of what is over
        self._something.set()

    def worker_joined(self, worker: WorkerView) -> bool:
        """Take in that a worker connected; return whether it is of one of the pools."""
        ours = any(keeper.joined(worker) for keeper in self._keepers_of(worker))
        if ours:
            self._something.set()
        return ours

    def worker_drains(self, worker: WorkerView, reason: str) -> bool:
        """Take in that a worker hands over by itself; return whether it is of one of the pools."""
        ours = any(keeper.drains(worker, reason) for keeper in self._keepers_of(worker))
        if ours:
            self._ask_soon()  # of another reason than walltime only the batch system can tell
            self._something.set()
        return ours

    def worker_left(self, worker: WorkerView) -> bool:
        """Take in that a worker left; return whether it was of one of the pools."""
        ours = any(keeper.left(worker) for keeper in self._keepers_of(worker))
        if ours:
            self._ask_soon()
        self._something.set()  # also if not: it may have been the last one of all
        return ours

    def _keepers_of(self, worker: WorkerView) -> Collection[Keeper]:
        """Return the pool that a worker says it is of: two batch systems may use the same ids."""
        keeper = self.pools.get(worker.pool)
        return self.pools.values() if keeper is None else (keeper,)

    async def close(self) -> bool:
        """Cancel all jobs; return whether the batch system took that without objection."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
        for keeper in self.pools.values():
            keeper.state.close()
        # The jobs of a submission would not be known; a batch command ends in any case.
        await self._errands.stop(but=SUBMIT)
        cancelled = await self._sources.cancel_all()
        for keeper in self.pools.values():
            await keeper.launcher.close()
        return cancelled

    async def abandon(self) -> bool:
        """Cancel all jobs in another event loop, as this one is gone; return whether that is sure.

        Raises
        ------
        BatchSystemError
            Jobs may be left.
        """
        keepers = self.pools.values()
        for keeper in keepers:
            keeper.state.close()
        known = not any(k.state.submitting or k.launcher.in_doubt for k in keepers)
        await self._sources.abandon()
        for keeper in keepers:
            await keeper.launcher.close()
        return known

    # --- the loop ------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._something.clear()
            now = self._clock()
            look = _Look(self._scheduler)
            self._adapt(look, now)  # in the same turn: whoever is idle then is idle as a victim
            wait_until = self._decide(look, now)
            if self._polling is not None and now >= self._polling.due:
                self._polling.due = float("inf")
                self._errands.run(QUERY, self._query())
            self._tell_outage()
            self._on_change()
            asking = float("inf") if self._polling is None else self._polling.due
            await self._wait(min(asking, self._look_at_load, wait_until) - self._clock())

    def _adapt(self, look: _Look, now: float) -> None:
        if now < self._look_at_load:
            return
        adapting = {
            name: keeper.adaptation.policy.interval
            for name, keeper in self.pools.items()
            if keeper.adaptation is not None
        }
        self._look_at_load = now + min(adapting.values(), default=float("inf"))
        members = [
            Adapting(name, keeper.size, frozenset(keeper.to_ask()), adapts=name in adapting)
            for name, keeper in self.pools.items()
        ]
        for name, load in shares(look.load, members).items() if adapting else ():
            self.pools[name].follow(load, now)

    def _decide(self, look: _Look, now: float) -> float:
        """Have each pool decide; return when to do so again at the latest."""
        wait_until = float("inf")
        cancel: dict[Source, list[str]] = {}
        for keeper in self.pools.values():
            busy = look.business(keeper.name, self.pools) if keeper.shrinks else {}
            actions = keeper.decide(busy, now)
            if actions.cancel:
                cancel.setdefault(keeper.launcher.source, []).extend(actions.cancel)
            if actions.wait_until is not None:
                wait_until = min(wait_until, actions.wait_until)
        for source, job_ids in cancel.items():
            self._errands.run(f"{CANCEL} {id(source)}", self._sources.cancel(source, job_ids))
            self._ask_soon()
        return wait_until

    async def _wait(self, seconds: float) -> None:
        timeout = None if seconds == float("inf") else max(0.0, seconds)
        try:
            async with asyncio.timeout(timeout):
                await self._something.wait()
        except TimeoutError:
            pass

    def _ask_soon(self) -> None:
        if self._polling is not None:
            self._polling.soon(self._clock())
            self._something.set()

    async def _query(self) -> None:
        news = await self._sources.query()
        if self._polling is not None and self._sources.worth_asking:
            self._polling.asked(self._clock(), news=news)

    # --- what others are told ------------------------------------------------------------

    def _tell_outage(self) -> None:
        keepers = list(self.pools.values())
        self._tell_stranded(keepers)
        self._on_shortage(shortage_of(keepers))
        error = outage_of(keepers)
        if error is not None and self._scheduler.workers():
            error = None  # whoever waits may be served by workers that are of no pool
        text = None if error is None else str(error)
        if text != self._outage:
            self._outage = text
            self._on_outage(error)

    def _tell_stranded(self, keepers: list[Keeper]) -> None:
        out = [f"{keeper.name}: {error}" for keeper in keepers if (error := keeper.told_outage())]
        if out != self._out:
            self._out = out
            self._on_stranded(partial(judge_of, self.pools.values()) if out else None)


class _Look:
    """The scheduler's load, looked at once in a turn if anybody wants to know it."""

    def __init__(self, scheduler: SchedulerView) -> None:
        self._scheduler = scheduler

    @cached_property
    def load(self) -> SchedulerLoad:
        return self._scheduler.load()

    def business(self, name: str, pools: Collection[str]) -> Mapping[str, Load]:
        """Return how busy each job of a pool is, and each that says to be of none of these."""
        return {
            job_id: Load(job.tasks, job.stored_bytes, job.busy)
            for (pool, job_id), job in self.load.jobs.items()
            if job_id is not None and (pool == name or pool not in pools)
        }
