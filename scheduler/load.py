"""How much there is to do, and who does it: what is read off the core to scale a cluster by.

One look costs O(functions + demands + threads), however many tasks wait: the core counts, for each
function, the calls that are ready. Those that wait at a worker behind others are taken for calls of
the function that the last of them calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from jobqueue.scheduler.records import Function, Task
from jobqueue.scheduler.worker_record import POOL, WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.demand import Demand
    from jobqueue.scheduler.state import SchedulerState


@dataclass(frozen=True, slots=True)
class Backlog:
    """Tasks that could run and have not begun: calls of one function that demand the same.

    Parameters
    ----------
    function
        The function's digest.
    tasks
        How many.
    seconds
        What one is expected to take, from those that have ended; before that, a guess.
    begun
        Whether some worker runs calls of this function.
    pools
        The pools whose workers may run them; None if it does not matter.
    bound
        Whether they may run on certain workers only, by name: on no new one.
    resources
        Amounts that each needs, by name.
    """

    function: bytes
    tasks: int
    seconds: float
    begun: bool = False
    pools: frozenset[str] | None = None
    bound: bool = False
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class JobLoad:
    """What the workers of one job have in hands.

    Parameters
    ----------
    threads
        Of those workers that may be given tasks.
    tasks, seconds
        What they run, and how long all of it is expected to take. Of tasks that ask for resources
        also those that have not begun, since they have taken these.
    busy
        Whether any of them has a task, is reserved for one, or has an actor, which lives only
        there.
    stored_bytes
        Bytes of results they hold.
    turns
        Grows whenever one of them is given tasks, or has ended some.
    taken
        Amounts of resources that their tasks have taken, by name.
    """

    threads: int = 0
    tasks: int = 0
    seconds: float = 0.0
    busy: bool = False
    stored_bytes: int = 0
    turns: int = 0
    taken: dict[str, float] = field(default_factory=dict)


JobKey = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be done, and what the workers of each job have of it.

    Parameters
    ----------
    backlog
        Tasks that wait for a worker or a thread, and for nothing else.
    jobs
        By their pool, or "", and the batch system's id; None for workers that were started without
        a job. Pools in different batch systems may have jobs of the same id.
    """

    backlog: Sequence[Backlog] = ()
    jobs: Mapping[JobKey, JobLoad] = field(default_factory=dict)


def load_of(state: SchedulerState) -> Load:
    """Read off the core how much there is to do."""
    waiting = {(function, demand): tasks for function, demand, tasks in _ready(state)}
    jobs: dict[JobKey, JobLoad] = {}
    begun: set[Function | None] = set()  # by what each worker has had for the longest time
    for worker in state.workers.values():
        key = worker.pool, worker.job_id
        job = jobs.get(key)
        if job is None:
            job = jobs[key] = JobLoad()
        last = _last_in_line(worker)
        _add(job, worker, complete=last is None)
        if last is not None:
            kind = last.function, last.demand
            waiting[kind] = waiting.get(kind, 0) + len(worker.assigned) - worker.nthreads
        if worker.assigned:
            begun.add(next(iter(worker.assigned)).function)
    for worker in state.results.actors.values():
        if (key := (worker.pool, worker.job_id)) in jobs:
            jobs[key].busy = True
    backlog = []
    for (function, demand), tasks in waiting.items():
        if function is not None:
            pools, bound = _where(demand)
            item = Backlog(
                function.fid,
                tasks,
                function.duration,
                begun=function in begun,
                pools=pools,
                bound=bound,
                resources=dict(demand.resources) if demand is not None else {},
            )
            backlog.append(item)
    return Load(backlog, jobs)


def _where(demand: Demand | None) -> tuple[frozenset[str] | None, bool]:
    """Return which pools will do, None for all; and whether only certain workers will."""
    if demand is None or demand.names is None or demand.others:
        return None, False
    pools = frozenset(name.removeprefix(POOL) for name in demand.names if name.startswith(POOL))
    return pools or None, not pools


def _last_in_line(worker: WorkerRecord) -> Task | None:
    """Return the last of the tasks that wait at a worker, if some do that others could run."""
    if len(worker.assigned) <= worker.nthreads:
        return None
    last = next(reversed(worker.assigned))
    return None if last.demand is not None and last.demand.resources else last


def _add(job: JobLoad, worker: WorkerRecord, *, complete: bool) -> None:
    """Add a worker's load: all it has been given, or just what it runs."""
    if worker.available:
        job.threads += worker.nthreads
    if complete:
        job.tasks += len(worker.assigned)
        job.seconds += worker.occupancy
    else:
        job.tasks += worker.nthreads
        job.seconds += sum(islice(worker.assigned.values(), worker.nthreads))
    job.busy = job.busy or worker.busy or worker.reserved
    job.stored_bytes += worker.stored
    job.turns += worker.turns
    for name, amount in worker.resources.items():
        if taken := amount - worker.free_resources[name]:
            job.taken[name] = job.taken.get(name, 0.0) + taken


def _ready(state: SchedulerState) -> Iterator[tuple[Function | None, Demand | None, int]]:
    for function in state.functions.values():
        if function.ready > 0:
            yield function, None, function.ready
    for demand in state.demands.by_kind.values():
        for function, tasks in demand.ready.items():
            if tasks > 0:
                yield function, demand, tasks
