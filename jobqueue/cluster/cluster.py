"""`Cluster`: what users hold.  A scheduler in this process, and jobs that bring it workers."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jobqueue.cluster.amounts import jobs_of
from jobqueue.cluster.bounds import policy_of
from jobqueue.cluster.core import CLOSE_TIMEOUT, Core
from jobqueue.cluster.figures import Figures, table
from jobqueue.cluster.insight import Insight
from jobqueue.cluster.ownership import Ownership
from jobqueue.cluster.plan import Plan
from jobqueue.cluster.pool_handle import Pool
from jobqueue.comm.credentials import Credentials
from jobqueue.errors import ConfigError
from jobqueue.scheduler.server import Scheduler

if TYPE_CHECKING:
    from jobqueue.client.client import Client


class Cluster(Insight):
    """A scheduler and its pools of jobs; `SLURMCluster` and the others are made of it.

    With ``asynchronous=True`` it lives in the running event loop: ``await cluster`` or
    ``async with cluster`` starts it, ``await cluster.close()`` ends it.  Else it runs on a thread
    of its own and is up once the constructor returns.

    When it goes away (`close`, the end of a ``with`` block, garbage collection, the interpreter's
    exit, Ctrl-C), its jobs are cancelled, those that wait as well.

    Parameters
    ----------
    plan
        What kind of cluster it is.
    asynchronous
        Whether to live in the running event loop.
    n_workers
        Workers to start with.
    scheduler_class
        What to use as the scheduler.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        asynchronous: bool = False,
        n_workers: int = 0,
        scheduler_class: object = None,
    ) -> None:
        super().__init__(asynchronous=asynchronous)
        self._plan = plan
        self._n_workers = n_workers
        self._failure: Exception | None = None
        self._core = Core(plan, _scheduler_class(scheduler_class))
        if self._loop is not None:
            self._loop.run(self._begin())

    async def _begin(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._core.status != "created":
            return
        try:
            await self._bring_up()
        except Exception as error:
            self._failure = error
            raise
        except BaseException:
            self._failure = ConfigError(
                f"cluster {self.name!r} is {self.status}: its start was interrupted; make a new "
                "cluster"
            )
            raise

    async def _bring_up(self) -> None:
        await self._core.start()
        owner = Ownership(self._core, self._loop)
        weakref.finalize(self, owner.release).atexit = False  # at exit, `owner` waits instead
        try:
            if self._n_workers:
                self._core.scale(jobs_of(self._core.pool_plan(None).size, n=self._n_workers))
        except BaseException:
            await self._core.close()
            raise

    # --- what it is ----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._plan.name

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, which runs in this process."""
        return self._core.scheduler

    @property
    def credentials(self) -> Credentials | None:
        """What peers prove themselves with; None where the transport needs none."""
        return self._plan.credentials

    @property
    def scheduler_address(self) -> str:
        """The address at which workers find the scheduler, the best of several."""
        return self._core.contact_addresses()[0]

    @property
    def pools(self) -> Mapping[str, Pool]:
        """The pools by name; the first one is ``default``.

        Examples
        --------
        >>> cluster.pools["gpu"].scale(jobs=2)  # doctest: +SKIP
        """
        return {name: Pool(self, name) for name in self._plan.pools}

    def add_pool(self, name: str, **keywords: Any) -> Pool:
        """Add another kind of jobs, of which there are none until it is scaled or adapts.

        Parameters
        ----------
        name
            What to call it: letters, digits, ``_``, ``.`` and ``-``.
        **keywords
            Those of the cluster's class that concern jobs; what is not given is as in the cluster.

        Raises
        ------
        ConfigError
            The name is taken or is none; or a keyword cannot be used.

        Examples
        --------
        >>> gpus = cluster.add_pool(  # doctest: +SKIP
        ...     "gpu", cores=8, resources={"GPU": 2}, job_extra_directives=["--gres=gpu:2"]
        ... )
        >>> gpus.adapt(maximum_jobs=4)  # doctest: +SKIP
        """
        pool = self._core.make_pool(name, keywords)
        self._call(lambda: self._core.add_pool(pool))
        return Pool(self, name)

    # --- scaling -------------------------------------------------------------------------

    def scale(
        self,
        n: int | None = None,
        *,
        jobs: int | None = None,
        cores: int | None = None,
        memory: str | int | None = None,
        pool: str | None = None,
    ) -> None:
        """Set how much is wanted of a pool; exactly one of the amounts is given.

        Returns at once: jobs are submitted, or drained and cancelled, in the background, and
        replaced when they are lost.  Numbers are rounded up to whole jobs.  A pool that has paused
        after failures tries again.  The number stays as it is set here: `adapt` no longer holds.

        Parameters
        ----------
        n
            Workers.
        jobs
            Jobs.
        cores
            Cores in all jobs together.
        memory
            Memory in all jobs together: bytes, or text such as ``"1 TB"``.
        pool
            The pool that is meant; by default the first one. The others stay as they are.

        Raises
        ------
        ConfigError
            None or several of them, a negative number, something that is no number; no such pool.
        CommandNotFound
            The batch system's commands are not on PATH.

        Examples
        --------
        >>> cluster.scale(jobs=4)  # doctest: +SKIP
        >>> cluster.scale(memory="2TB", pool="fat")  # doctest: +SKIP
        """
        size = self._core.pool_plan(pool).size
        wanted = jobs_of(size, n=n, jobs=jobs, cores=cores, memory=memory)
        self._call(lambda: self._core.scale(wanted, pool))

    def adapt(
        self,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        minimum_jobs: int | None = None,
        maximum_jobs: int | None = None,
        minimum_cores: int | None = None,
        maximum_cores: int | None = None,
        minimum_memory: str | int | None = None,
        maximum_memory: str | int | None = None,
        idle_timeout: str | float | None = None,
        target_duration: str | float | None = None,
        interval: str | float | None = None,
        wait_count: int | None = None,
        pool: str | None = None,
    ) -> None:
        """Let the number of jobs follow the load, until `scale` or `adapt` is called again.

        There are to be as many threads as do the tasks that can run now within `target_duration`,
        in whole jobs; jobs that wait in the queue count.  More are asked for at once.  A job is
        given up when it was not needed, and had nothing to do, for `idle_timeout`; results that
        exist only there move first, and no job goes whose results have no room elsewhere.

        Parameters
        ----------
        minimum, maximum
            Workers.  By default no minimum, and at most `max_jobs`; without that, 100 jobs, or as
            many as there are CPUs for in a `LocalCluster`.
        minimum_jobs, maximum_jobs
            The same bounds in jobs.
        minimum_cores, maximum_cores
            In cores of all jobs together.
        minimum_memory, maximum_memory
            In memory of all jobs together: bytes, or text such as ``"1 TB"``.  A minimum is rounded
            up to whole jobs, a maximum down.
        idle_timeout
            Seconds, or text such as ``"5 min"``; by default one minute.
        target_duration
            Seconds, or text; by default 5 s.  More means fewer jobs, for longer.
        interval
            Time between two looks at the load; by default 1 s.
        wait_count
            `idle_timeout` as dask has it: so many intervals.
        pool
            The pool that is meant; by default the first one. Of several that adapt, a task is a
            reason for jobs of the first one that can run it.

        Raises
        ------
        ConfigError
            Two bounds of one kind, a minimum above the maximum, a maximum below one job, or a value
            that is no amount or time.
        CommandNotFound
            The batch system's commands are not on PATH.

        Examples
        --------
        >>> cluster.adapt(maximum_jobs=20)  # doctest: +SKIP
        >>> cluster.adapt(minimum=2, maximum_cores=480, idle_timeout="10 min")  # doctest: +SKIP
        """
        given = {k: value for k, value in locals().items() if k not in ("self", "pool")}
        plan = self._core.pool_plan(pool)
        policy = policy_of(plan.size, plan.most_jobs, given)
        self._call(lambda: self._core.adapt(policy, pool))

    def resume(self, *, pool: str | None = None) -> None:
        """Submit again after a pause (see `describe`): in a pool, or in all of them."""
        self._call(lambda: self._core.resume(pool))

    # --- the end -------------------------------------------------------------------------

    def close(self, timeout: float = CLOSE_TIMEOUT) -> Any:
        """Cancel all jobs and end the scheduler; to be awaited in an asynchronous cluster.

        Parameters
        ----------
        timeout
            Seconds to wait for that.

        Raises
        ------
        TimeoutError
            It took longer, and goes on in the background.
        """
        if self._loop is not None and self.status == "closed":
            return None
        return self._run(self._core.close(timeout))

    # --- in words ------------------------------------------------------------------------

    def get_client(self) -> Client:
        """Return a new client of this cluster; to be awaited if the cluster is asynchronous.

        Examples
        --------
        >>> with cluster.get_client() as client:  # doctest: +SKIP
        ...     client.submit(abs, -1).result()
        1
        """
        from jobqueue.client.client import Client  # not every program has one

        return Client(self, asynchronous=self.asynchronous)

    def __repr__(self) -> str:
        """``SLURMCluster('dask-worker', 2/4 jobs, workers=12, threads=48, memory=186GiB)``."""
        told = self._figures() if self.status == "running" else self.status
        return f"{type(self).__name__}({self.name!r}, {told})"

    def _repr_html_(self) -> str:
        """Return a small table for notebooks."""
        rows = [("status", self.status)]
        if self.status == "running":
            rows += [("scheduler", self.scheduler_address), *self._figures().rows()]
            rows += [("state", self.describe())]
        return table(f"{type(self).__name__} {self.name}", rows)

    def _figures(self) -> Figures:
        return self._call(lambda: Figures.of(self._core))


def _scheduler_class(given: object) -> type[Scheduler]:
    if given is None:
        return Scheduler
    if isinstance(given, type) and issubclass(given, Scheduler):
        return given
    raise ConfigError(
        f"scheduler_cls={given!r} is no subclass of jobqueue.scheduler.server.Scheduler; leave it "
        "out for that class itself"
    )
