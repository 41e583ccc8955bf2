"""jobqueue and its peers behind one small interface.

Rules that keep the comparison fair:

- two worker processes with one thread each, on this machine, nothing else configured than
  what turns off dashboards, reports to the maker and log output;
- each contender is written as its own documentation tells its users to, and submits task by
  task unless it has a call that makes *separate* tasks of a whole list (``map`` of
  jobqueue and distributed). Cutting a list into chunks (``chunksize=``) is left out
  everywhere: it makes one task of many calls;
- a peer's modules are imported in ``start``, never at the top, so that a missing peer costs
  nothing and nobody's import time is charged to another.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

WORKERS = 2

Function = Callable[..., Any]


class Contender:
    """Something that runs Python calls on `WORKERS` single-threaded worker processes.

    Subclasses fill in `start`, `submit` and `stop`; the others have sensible defaults.
    """

    name: str
    """As it stands in tables and on the command line."""
    module: str
    """What must be importable for this contender to take part."""
    distribution: str | None = None
    """Where the version is looked up; None for the standard library."""
    statement: str
    """What a user's script imports before its first task."""
    environment: Mapping[str, str] = {}
    """Environment variables its processes get."""
    workers = WORKERS
    """How many processes must have answered before anything is measured."""
    accepts_futures = True
    """Whether the future of one task may be an argument of the next."""
    starts_empty = False
    """Whether a task can be submitted before there is a worker (`first_task`)."""

    def start(self) -> None:
        """Bring up the workers. They may come up lazily: each row warms up."""
        raise NotImplementedError

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call and return its future."""
        raise NotImplementedError

    def map(self, function: Function, values: Iterable[Any]) -> Sequence[Any]:
        """Submit one task for each value and return their futures."""
        return [self.submit(function, value) for value in values]

    def result(self, future: Any) -> Any:
        """Wait for one value."""
        return future.result()

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for the values of all futures, in order."""
        return [future.result() for future in futures]

    def first_task(self, function: Function) -> Any:
        """Submit `function` to a cluster without workers, add one, return the value."""
        raise NotImplementedError

    def stop(self) -> None:
        """End every process that `start` began."""
        raise NotImplementedError


class ClusterContender(Contender):
    """A client of a cluster that may begin without workers; `start` makes both of them."""

    starts_empty = True
    cluster: Any
    client: Any

    def start(self, workers: int = WORKERS) -> None:
        """Start the workers and connect."""
        raise NotImplementedError

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return list(self.client.gather(futures))

    def first_task(self, function: Function) -> Any:
        """Scale from no worker to one while a task waits."""
        self.start(workers=0)
        try:
            future = self.submit(function)
            self.cluster.scale(1)
            return self.result(future)
        finally:
            self.stop()

    def stop(self) -> None:
        """Disconnect, then end the workers."""
        self.client.close()
        self.cluster.close()


class Jobqueue(ClusterContender):
    """Ours: a LocalCluster over its Unix socket, with its authentication, as users get it."""

    name = "jobqueue"
    module = "jobqueue"
    distribution = "jobqueue"
    statement = "from jobqueue import Client, LocalCluster"

    def start(self, workers: int = WORKERS) -> None:
        """Start the workers and connect."""
        from jobqueue import Client, LocalCluster

        self.cluster = LocalCluster(n_workers=workers, threads_per_worker=1)
        self.client = Client(self.cluster)

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call."""
        return self.client.submit(function, *args)

    def map(self, function: Function, values: Iterable[Any]) -> Sequence[Any]:
        """Submit the whole list at once, one task for each value."""
        futures: Sequence[Any] = self.client.map(function, values)
        return futures


class ProcessPool(Contender):
    """The standard library's executor, with the platform's own start method."""

    name = "ProcessPoolExecutor"
    module = "concurrent.futures"
    statement = "from concurrent.futures import ProcessPoolExecutor"
    accepts_futures = False

    def start(self) -> None:
        """Make the executor; it starts its processes with the first tasks."""
        from concurrent.futures import ProcessPoolExecutor

        self.pool: Any = ProcessPoolExecutor(max_workers=WORKERS)

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call."""
        return self.pool.submit(function, *args)

    def stop(self) -> None:
        """Wait for the processes to end."""
        self.pool.shutdown(wait=True)


class Loky(ProcessPool):
    """joblib's executor."""

    name = "loky"
    module = "loky"
    distribution = "loky"
    statement = "from loky import get_reusable_executor"

    def start(self) -> None:
        """Make the executor."""
        from loky import get_reusable_executor

        self.pool = get_reusable_executor(max_workers=WORKERS)


class Distributed(ClusterContender):
    """Dask's scheduler. ``pure=False``, so that no contender may answer from a cache."""

    name = "distributed"
    module = "distributed"
    distribution = "distributed"
    statement = "from distributed import Client, LocalCluster"

    def start(self, workers: int = WORKERS) -> None:
        """Start the workers and connect."""
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self.client = Client(self.cluster)

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call."""
        return self.client.submit(function, *args, pure=False)

    def map(self, function: Function, values: Iterable[Any]) -> Sequence[Any]:
        """Submit the whole list at once, one task for each value."""
        futures: Sequence[Any] = self.client.map(function, values, pure=False)
        return futures


class Ray(Contender):
    """Ray with two CPUs: two workers at a time, each running one task."""

    name = "Ray"
    module = "ray"
    distribution = "ray"
    statement = "import ray"
    environment: Mapping[str, str] = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }

    def start(self) -> None:
        """Start the node's processes; its files stay in the current folder."""
        import ray

        self.remotes: dict[Function, Any] = {}
        self.ray: Any = ray
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _node_ip_address="127.0.0.1",
            _temp_dir=os.path.join(os.getcwd(), "ray"),
        )

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call of the function's remote twin, made once."""
        remote = self.remotes.get(function)
        if remote is None:
            remote = self.remotes[function] = self.ray.remote(function)
        return remote.remote(*args)

    def result(self, future: Any) -> Any:
        """Wait for one value."""
        return self.ray.get(future)

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all."""
        return list(self.ray.get(futures))

    def stop(self) -> None:
        """End the node's processes."""
        self.ray.shutdown()


class Parsl(Contender):
    """Parsl's HighThroughputExecutor, its recommended one for many short tasks."""

    name = "Parsl"
    module = "parsl"
    distribution = "parsl"
    statement = "import parsl; from parsl.executors import HighThroughputExecutor"

    def start(self) -> None:
        """Start interchange and workers; its files stay in the current folder."""
        import parsl
        from parsl.executors import HighThroughputExecutor
        from parsl.providers import LocalProvider

        executor = HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node=WORKERS,
            cores_per_worker=1,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        config = parsl.Config(
            executors=[executor],
            strategy="none",
            usage_tracking=0,
            initialize_logging=False,
            run_dir="parsl",
        )
        self.apps: dict[Function, Any] = {}
        self.parsl: Any = parsl
        self.kernel: Any = parsl.load(config)

    def submit(self, function: Function, *args: Any) -> Any:
        """Submit one call of the function's app, made once."""
        app = self.apps.get(function)
        if app is None:
            app = self.apps[function] = self.parsl.python_app(function)
        return app(*args)

    def stop(self) -> None:
        """End interchange and workers."""
        self.kernel.cleanup()
        self.parsl.clear()


OURS = Jobqueue.name

CONTENDERS: dict[str, type[Contender]] = {
    contender.name: contender
    for contender in (Jobqueue, ProcessPool, Loky, Distributed, Ray, Parsl)
}
"""Everybody, in the order of the table's columns."""


def missing(contender: type[Contender]) -> str | None:
    """Say why a contender can't take part, or None if it can."""
    if importlib.util.find_spec(contender.module) is None:
        return f"{contender.module} is not installed"
    return None
