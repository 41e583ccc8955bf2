"""What each of an agent's workers gets of what there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jobqueue.worker.argument_values import AUTO
from jobqueue.worker.limits import balanced, memory_per_worker
from jobqueue.worker.options import WorkerOptions

if TYPE_CHECKING:
    # Clusters that start workers themselves do without a command line, and so without argparse.
    from jobqueue.worker.arguments import AgentOptions

PLACE = "JOBQUEUE_PLACE"
"""The variable that tells an agent its place, from 0, among those of a cluster on one machine. They
see the same devices, of which each takes its own."""


def worker_options(
    options: AgentOptions,
    *,
    cpus: int,
    memory: int,
    each: int | None = None,
    environ: Mapping[str, str] = os.environ,
    place: int = 0,
) -> list[WorkerOptions]:
    """Share what the agent was given among its workers.

    Parameters
    ----------
    options
        The agent's own.
    cpus
        CPUs that may be used.
    memory
        Bytes that may be used.
    each
        Bytes that one process may use, or None.
    environ
        The agent's environment.
    place
        As for `jobqueue.worker.devices.device_shares`.
    """
    count = balanced(cpus) if options.nworkers == AUTO else options.nworkers
    limit = options.memory_limit
    if limit is not None:
        asked = None if limit == AUTO else limit
        limit = memory_per_worker(count, asked=asked, total=memory, each=each)
    return [
        WorkerOptions(
            addresses=options.addresses,
            name=f"{options.name}-{slot}",
            nthreads=options.nthreads or max(1, cpus // count),
            memory_limit=limit,
            memory_fractions=options.memory_fractions,
            credentials=options.credentials,
            job_id=options.job_id,
            slot=slot,
            death_timeout=options.death_timeout,
            local_directory=options.local_directory or os.environ.get("TMPDIR") or "/tmp",
            host=options.host,
            ports=options.ports,
            interface=options.interface,
            resources=_resources(options, slot),
            preload=options.preload,
            agent_pid=os.getpid(),
            pool=options.pool,
            devices=part,
        )
        for slot, part in enumerate(_devices(options, count, environ, place))
    ]


def _resources(options: AgentOptions, slot: int) -> dict[str, float]:
    """Return what one worker offers: in a job of several nodes, the first offers that job."""
    if options.nodes > 1 and options.rank == slot == 0:
        return {**options.resources, "nodes": float(options.nodes)}
    return options.resources


def _devices(
    options: AgentOptions, count: int, environ: Mapping[str, str], place: int
) -> list[dict[str, tuple[str, ...]]]:
    amount = options.resources.get("GPU", 0.0)
    if not amount:
        return [{} for _ in range(count)]
    from jobqueue.worker.devices import device_shares  # imported late: most jobs have none

    return device_shares(environ, amount, count, place)


def staggered_lifetime(options: AgentOptions) -> float | None:
    """Return after how many seconds the agent ends by itself, None for never.

    Changed at random, lest all of a cluster's agents end at once.
    """
    if options.lifetime is None or not options.lifetime_stagger:
        return options.lifetime
    import random

    change = random.uniform(-options.lifetime_stagger, options.lifetime_stagger)
    return max(0.0, options.lifetime + change)
