"""Which pool a task is a reason for, when several follow the load. Pure.

Rules:

* A task counts for the first pool, in order of definition, that adapts and can run it: so work is
  not counted twice, and tasks that need nothing special bring up none of the pools made for those
  that do, if another was defined before.
* Jobs of other pools, and workers that were started by hand, do their part of that if they can run
  it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from jobqueue.cluster.adapt import runs
from jobqueue.cluster.amounts import JobSize
from jobqueue.scheduler.load import Backlog, JobKey, Load


@dataclasses.dataclass(frozen=True, slots=True)
class Adapting:
    """One pool of a cluster.

    Parameters
    ----------
    name
        Its name.
    size
        What one of its jobs brings.
    jobs
        Ids of its jobs.
    adapts
        Whether it follows the load.
    """

    name: str
    size: JobSize
    jobs: Collection[str] = ()
    adapts: bool = True

    def can_run(self, entry: Backlog) -> bool:
        """Tell whether a new job of this pool could run such a task."""
        return (entry.pools is None or self.name in entry.pools) and runs(entry, self.size)


def shares(load: Load, pools: Sequence[Adapting]) -> dict[str, Load]:
    """Return what each pool that adapts is to look at.

    Parameters
    ----------
    load
        What there is to do in the whole cluster.
    pools
        All pools, in order of definition.

    Examples
    --------
    >>> cpu = Adapting("cpu", JobSize(workers=1, threads=4, cores=4, memory=0))
    >>> gpus = JobSize(workers=1, threads=1, cores=1, memory=0, resources={"GPU": 1})
    >>> tasks = Backlog(b"f", 3, 1.0), Backlog(b"g", 2, 1.0, resources={"GPU": 1})
    >>> parts = shares(Load(tasks), [cpu, Adapting("gpu", gpus)])
    >>> [(name, [entry.tasks for entry in part.backlog]) for name, part in parts.items()]
    [('cpu', [3]), ('gpu', [2])]
    """
    backlog: dict[str, list[Backlog]] = {pool.name: [] for pool in pools if pool.adapts}
    for entry in load.backlog:
        first = next((pool for pool in pools if pool.adapts and pool.can_run(entry)), None)
        if first is not None:
            backlog[first.name].append(entry)
    owners = [_owner(key, pools) for key in load.jobs]
    parts = {}
    for name, entries in backlog.items():
        jobs = {
            (key if owner is None else (owner.name, key[1])): job
            for (key, job), owner in zip(load.jobs.items(), owners, strict=True)
            if _concerns(owner, name, entries)
        }
        parts[name] = Load(entries, jobs)
    return parts


def _owner(key: JobKey, pools: Sequence[Adapting]) -> Adapting | None:
    """Return the pool of a job; its id tells it if its workers do not name one of these."""
    name, job_id = key
    named = [pool for pool in pools if pool.name == name] or pools
    return next((pool for pool in named if job_id in pool.jobs), None)


def _concerns(owner: Adapting | None, name: str, entries: Sequence[Backlog]) -> bool:
    """Tell whether a job is the pool's own, or does its part of the pool's work."""
    if owner is None:  # nothing is known of the workers, so special tasks are not for them
        return all(entry.pools is None and not entry.resources for entry in entries)
    return owner.name == name or all(owner.can_run(entry) for entry in entries)
