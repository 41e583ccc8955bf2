"""`LocalCluster`: workers as processes of this machine."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Mapping
from typing import Any

from jobqueue.cluster.cluster import Cluster
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.local_plan import LocalPlan
from jobqueue.comm.addresses import interface_address, parse_address
from jobqueue.comm.credentials import Credentials
from jobqueue.config.checks import default_processes
from jobqueue.config.spelling import did_you_mean
from jobqueue.config.units import parse_memory
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError
from jobqueue.worker.limits import available_cpus, available_memory

DEATH_TIMEOUT = 10.0
"""Seconds: a socket of this machine that closes says at once that its owner is gone."""


class LocalCluster(Cluster):
    """A cluster of worker processes on this machine.

    They speak with the scheduler through a Unix socket in a folder that only their owner may enter.

    Parameters
    ----------
    n_workers
        Worker processes; by default such that all CPUs this process may use are used, with about
        as many workers as threads in each.
    threads_per_worker
        Threads of each; by default the CPUs divided by the workers.
    memory_limit
        Memory of each worker: bytes, text such as ``"4 GiB"``, ``"auto"`` for an equal share of
        what this process may use (with no workers to start with, as if all CPUs were used), None or
        0 for no limit. `Cluster.scale(memory=…)` goes by it; what workers do about it stands in
        ``docs/memory.md``.
    processes
        Nothing but True: workers are always processes. Other LocalClusters have this keyword.
    name
        The cluster's name.
    asynchronous
        Whether to live in the running event loop.
    local_directory
        Folder for results that do not fit into memory; by default one that goes with the cluster.
    resources
        Amounts each worker has, by name; tasks ask for them by ``submit(…, resources=…)``.
    pools
        Further pools of workers by name, each a dict of `threads_per_worker`, `memory_limit`,
        `local_directory` and `resources` that differ from the cluster's own.
    host, interface, scheduler_port, protocol
        Where the scheduler is to listen in a network, if any of them is given, and not at a Unix
        socket: an address of this machine (by default its loopback interface) or the name of a
        network interface, a port (by default a free one), and ``"tls"`` (the default) or ``"tcp"``.
    security
        Credentials to use there; by default the cluster makes its own.
    dashboard_address, worker_dashboard_address, silence_logs
        Without effect: there is no dashboard yet, and nothing to silence.

    Raises
    ------
    ConfigError
        A value that cannot be used.

    Examples
    --------
    >>> from jobqueue import Client, LocalCluster
    >>> with LocalCluster(n_workers=2) as cluster:  # doctest: +SKIP
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    def __init__(
        self,
        n_workers: int | None = None,
        threads_per_worker: int | None = None,
        memory_limit: str | int | None = "auto",
        *,
        processes: bool = True,
        name: str | None = None,
        asynchronous: bool = False,
        local_directory: str | None = None,
        resources: dict[str, float] | None = None,
        pools: Mapping[str, Mapping[str, Any]] | None = None,
        host: str | None = None,
        interface: str | None = None,
        scheduler_port: int | None = None,
        protocol: str | None = None,
        security: Any = None,
        dashboard_address: object = None,
        worker_dashboard_address: object = None,
        silence_logs: object = None,
        **others: Any,
    ) -> None:
        _refuse(others, processes)
        if dashboard_address or worker_dashboard_address:
            warn("dashboard_address: there is no dashboard yet")
        cpus = available_cpus()
        workers, threads = _share(n_workers, threads_per_worker, cpus)
        spec = JobSpec(
            cores=threads,
            memory=_memory(memory_limit, workers or max(1, cpus // threads)),
            processes=1,
            job_name=name or "local",
            local_directory=local_directory,
            resources=resources,
            walltime=None,
            death_timeout=DEATH_TIMEOUT,
            interface=interface,
        )
        plan = LocalPlan(
            name or "local",
            spec,
            functools.partial(_pool_spec, spec),
            address=_address(host, interface, scheduler_port, protocol),
            credentials=_credentials(security),
        )
        for pool, keywords in (pools or {}).items():
            plan.take(plan.make_pool(pool, keywords))
        super().__init__(plan, asynchronous=asynchronous, n_workers=workers)


_OF_A_POOL = ("threads_per_worker", "memory_limit", "local_directory", "resources")


def _pool_spec(spec: JobSpec, keywords: Mapping[str, Any]) -> JobSpec:
    """Return a worker like those of the cluster, but for some keywords."""
    if unknown := min(keywords.keys() - {*_OF_A_POOL}, default=""):
        raise ConfigError(
            f"{unknown!r} is no keyword of a LocalCluster's pool; there are {', '.join(_OF_A_POOL)}"
        )
    given = dict(keywords)
    changes: dict[str, Any] = {
        name: given[name] for name in ("local_directory", "resources") if name in given
    }
    if (threads := given.get("threads_per_worker")) is not None:
        changes["cores"] = _share(0, threads, 1)[1]
    if (limit := given.get("memory_limit", "auto")) != "auto":
        changes["memory"] = _memory(limit, 1)
    return dataclasses.replace(spec, **changes)


def _address(
    host: str | None, interface: str | None, port: int | None, protocol: str | None
) -> str | None:
    """Return where the scheduler is to listen; None for a Unix socket.

    Examples
    --------
    >>> _address(None, None, 8786, "tcp://"), _address(None, None, 0, None)
    ('tcp://127.0.0.1:8786', None)
    """
    if not (host or interface or port or protocol):
        return None
    if host and interface:
        raise ConfigError(f"host={host!r} and interface={interface!r}: give one of them")
    scheme = (protocol or "tls").removesuffix("://")
    if scheme not in ("tls", "tcp"):
        raise ConfigError(f"protocol={protocol!r}: give tls or tcp; or leave it out")
    if isinstance(port, bool) or not isinstance(port or 0, int) or not 0 <= (port or 0) <= 65535:
        raise ConfigError(f"scheduler_port={port!r} is no port; give 0 to 65535")
    host = interface_address(interface) if interface else (host or "127.0.0.1").strip("[]")
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or 0}"
    parse_address(address)
    return address


def _credentials(security: object) -> Credentials | None:
    if security is None or isinstance(security, bool):  # it is secure anyway
        return None
    if isinstance(security, Credentials):
        return security
    raise ConfigError(
        f"security={security!r} is no Credentials; leave it out: each cluster makes its own"
    )


def _refuse(others: dict[str, Any], processes: bool) -> None:
    if others:
        known = inspect.signature(LocalCluster).parameters.keys() - {"others"}
        unknown = min(others)
        raise ConfigError(
            f"{unknown!r} is no keyword of LocalCluster{did_you_mean(unknown, known)}"
        )
    if not processes:
        raise ConfigError("processes=False: workers are always processes; leave it out")


def _share(n_workers: int | None, threads: int | None, cpus: int) -> tuple[int, int]:
    """Return workers, and threads of each; what is open is chosen so that all CPUs are used.

    Examples
    --------
    >>> _share(None, None, 24), _share(2, None, 24), _share(None, 3, 24)
    ((6, 4), (2, 12), (8, 3))
    """
    for name, value, least in (("n_workers", n_workers, 0), ("threads_per_worker", threads, 1)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < least
        ):
            raise ConfigError(f"{name}={value!r}: give a whole number from {least}")
    if n_workers is None:
        n_workers = default_processes(cpus) if threads is None else max(1, cpus // threads)
    if threads is None:
        threads = max(1, math.ceil(cpus / max(n_workers, 1)))
    return n_workers, threads


def _memory(limit: str | int | None, workers: int) -> int:
    if limit == "auto":
        return available_memory() // workers
    if not limit:
        return 0
    try:
        return parse_memory(limit)
    except ValueError as error:
        raise ConfigError(f"memory_limit={limit!r}: {error}") from None
