"""Why a task is not done, in one or two sentences for whoever waits for it.

Pure: reads the core's records and changes nothing. A task that waits for inputs is explained by
them, and by what the first of them waits for in the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final

from jobqueue.scheduler.deadlines import longest_time
from jobqueue.scheduler.demand import Demand
from jobqueue.scheduler.info import (
    PAUSED,
    RESERVED,
    RETIRING,
    RUNNING,
    SET_ASIDE,
    SUSPECT,
    status_of,
)
from jobqueue.scheduler.records import Task, Unended
from jobqueue.scheduler.reservations import Reservation, job_of
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import ASSIGNED, CANCELLED, FAILED, MEMORY, READY, WAITING
from jobqueue.scheduler.worker_record import POOL, WorkerRecord

SHOWN: Final = 5
"""So many inputs, or workers, are named; the others are counted."""

DEEPEST: Final = 1000
"""So far a chain of inputs is followed to its beginning."""


OVERDUE: Final = 1.2
"""After so many times of a worker's interval between signs of life its silence is told."""


def explain(state: SchedulerState, key: str, supply: str, now: float) -> str:
    """Say why a task is not done.

    Parameters
    ----------
    state
        The core that knows the task.
    key
        The task's.
    supply
        What is known of workers to come, in words; may be empty.
    now
        The time, on the clock that `state` is told.
    """
    task = state.tasks.get(key)
    if task is None:
        return f"{key} is not known to this scheduler: it was released, or never submitted here."
    missing = _missing(task) if task.state is WAITING else []
    if not missing:
        return f"{key} {_standing(state, task, supply, now)}."
    named = ", ".join(f"{source.key} ({_brief(source)})" for source in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    root = _root(missing[0])
    inputs = "an input" if len(missing) == 1 else f"{len(missing)} inputs"
    return (
        f"{key} waits for {inputs}: {named}{more}. "
        f"{root.key} {_standing(state, root, supply, now)}."
    )


def _missing(task: Task) -> list[Task]:
    return [source for source in task.inputs if source.state is not MEMORY]


def _root(task: Task) -> Task:
    """Return what a task waits for in the end, or one of several such."""
    for _ in range(DEEPEST):
        missing = _missing(task) if task.state is WAITING else []
        if not missing:
            break
        task = missing[0]
    return task


def _brief(task: Task) -> str:
    """Return how a task stands, in a word or two."""
    if task.worker is not None:
        return f"at worker {task.worker.name}"
    return "waits for its inputs" if task.state is WAITING else task.state


def _standing(state: SchedulerState, task: Task, supply: str, now: float) -> str:
    """Return how a task stands that does not wait for inputs: the rest of a sentence about it."""
    if task.state is MEMORY:
        away = _out_of_reach(state, task, now)
        return f"is done; its result has {task.nbytes} bytes{away and f', and is {away}'}"
    if task.state is FAILED:
        return f"has failed: {task.failure.summary}" if task.failure is not None else "has failed"
    if task.state is CANCELLED:
        return "was cancelled"
    if task.state is ASSIGNED and task.worker is not None:
        return _at_worker(state, task, task.worker, now) + _in_vain(state, task)
    if task.state is READY:
        return _in_line(state, task, supply) + _in_vain(state, task)
    if task in state.losses.in_doubt:
        text = f"was at worker {state.losses.in_doubt[task].name} when that died, and waits for"
        return f"{text} its job agent's report of what was running there: a few seconds at most"
    return "is not being computed, since nobody needs it"


def _in_vain(state: SchedulerState, task: Task) -> str:
    times = state.draining.broken_off(task)
    if not times:
        return ""
    often = "once" if times == 1 else f"{times} times"
    return f"; it was begun {often} before, and not done when its job's time was over"


def _out_of_reach(state: SchedulerState, task: Task, now: float) -> str:
    """Return where a result is, if nothing is heard of those that have it; else ""."""
    holders = task.holders or ()
    silences = [_silence(state, holder, now) for holder in holders]
    if task.value is not None or not holders or not all(silences):
        return ""
    names = ", ".join(sorted(holder.name for holder in islice(holders, SHOWN)))
    again = "" if task.arguments is None else ", and it is computed again if that lasts"
    return f"only at worker {names}, of which nothing was heard for {min(silences):.0f} s{again}"


def _silence(state: SchedulerState, worker: WorkerRecord, now: float) -> float:
    """Return for how long nothing was heard of a worker; 0 if that is not longer than usual."""
    seconds = now - worker.seen
    return seconds if seconds > OVERDUE * state.losses.heartbeat else 0.0


def _at_worker(state: SchedulerState, task: Task, worker: WorkerRecord, now: float) -> str:
    ahead = 0
    if task not in worker.running():
        ahead = list(worker.assigned).index(task) + worker.blocked
    host = worker.facts.host if worker.facts is not None else ""
    where = f"worker {worker.name} on {host}" if host else f"worker {worker.name}"
    if ahead > 0:
        text = f"waits at {where}, where {_count(ahead, 'task')} came before it"
        text += _withdrawn(worker.blocked)
    else:
        text = f"is running on {where}, or about to"
        if task.function is not None and task.function.seen:
            text += f"; calls of {task.name} have taken about {_seconds(task.function.duration)}"
    status = status_of(worker)
    if status == PAUSED:
        return f"{text}; the worker is paused: {worker.paused}"
    if seconds := _silence(state, worker, now):
        return f"{text}; nothing was heard of the worker for {seconds:.0f} s"
    for source in task.inputs:
        if source.state is MEMORY and (away := _out_of_reach(state, source, now)):
            return f"{text}; its input {source.key} is {away}"
    return text


def _in_line(state: SchedulerState, task: Task, supply: str) -> str:
    """Return why a task that could run has no worker."""
    text, short = _no_worker(state, task)
    return f"{text}; {supply}" if short and supply else text


def _no_worker(state: SchedulerState, task: Task) -> tuple[str, bool]:
    """Return why, and whether more workers would help."""
    workers = state.workers.values()
    if not workers:
        return "is ready to run, but no worker is connected", True
    demand = task.demand
    if (reservation := state.reservations.by_task.get(task)) is not None:
        return _reserved(state, reservation), False
    if demand is not None and (lacking := demand.lacks(workers)):
        return f"is ready to run, but {lacking}; connected: {_described(workers, demand)}", True
    fitting = workers if demand is None else demand.suitable(workers)
    statuses = [status_of(worker) for worker in fitting]
    who = "the only worker" if len(fitting) == 1 else f"all {len(fitting)} workers"
    if len(fitting) < len(workers):
        who += " that may run it"
    is_or_are = "is" if len(fitting) == 1 else "are"
    for status, words in _UNABLE:
        if all(each == status for each in statuses):
            why = _reason(state, fitting)
            return f"is ready to run, but {who} {is_or_are} {words}{why}", True
    if not any(each == RUNNING for each in statuses):
        return (
            f"is ready to run, but {who} {is_or_are} reserved, paused, silent or about to end",
            True,
        )
    if short := _too_short(state, task, fitting):
        return f"is ready to run, but {who} {short}", True
    if demand is not None and not any(demand.fits(worker) for worker in fitting):
        if demand.apart:
            who_has = f"{who} {'has' if len(fitting) == 1 else 'have'}"
            return f"is ready to run, but workers have died of it, and {who_has} another such", True
        wanted = amounts(dict(demand.resources))
        return f"is ready to run, but {who} {is_or_are} using {wanted} for other tasks", True
    if any(worker in state.open_workers for worker in fitting):
        return "is about to be given to a worker", False
    ahead = sum(other.state is READY and other.rank < task.rank for other in state.tasks.values())
    busy = _count(sum(worker.load for worker in fitting), "task")
    busy += _withdrawn(sum(worker.blocked for worker in fitting))
    return (
        f"is ready to run, but {who} {is_or_are} busy with {busy}, and {_count(ahead, 'task')} "
        "stand before it in line"
    ), True


def _withdrawn(blocked: int) -> str:
    """Return what is to be said of tasks that were cancelled and run on."""
    return f" ({blocked} of them withdrawn, but not ended)" if blocked else ""


def _reason(state: SchedulerState, workers: Collection[WorkerRecord]) -> str:
    """Return why one of them is paused, or for whom it is reserved."""
    for worker in workers:
        if worker.paused:
            return f"; worker {worker.name}: {worker.paused}"
        reservation = state.reservations.by_job.get(job_of(worker))
        if reservation is not None:
            return f" for {reservation.task.key}, which takes its job as a whole"
    return ""


def _reserved(state: SchedulerState, reservation: Reservation) -> str:
    """Return what a task waits for that takes a whole job and has one."""
    tasks = sum(worker.load for worker in state.reservations.members(reservation.job))
    text = f"is ready to run: job {reservation.job[1]} is reserved for it"
    return f"{text}, which waits for {_count(tasks, 'task')} there to end" if tasks else text


def _too_short(state: SchedulerState, task: Task, workers: Collection[WorkerRecord]) -> str:
    """Return that the jobs of all these workers end too soon, if that is so."""
    timed = task.function
    call = None if task.demand is None else task.demand.calls
    assert timed is not None
    seconds = timed.duration if call is None else call.duration
    longest = max(worker.due for worker in workers) - state.deadlines.now
    if seconds <= longest:
        return ""
    its = "its job ends" if len(workers) == 1 else "their jobs end"
    most = "has" if len(workers) == 1 else "have at most"
    why = f"calls of {task.name} take about {_seconds(seconds)}"
    if isinstance(call, Unended):
        why = f"it took more than {_seconds(seconds)} before and did not end"
        if seconds > (most_of_all := longest_time(workers)):
            why += f"; the longest job has {_seconds(most_of_all)} for tasks"
    return f"{most} {max(0.0, longest):.0f} s left for tasks before {its}, and {why}"


_UNABLE: Final = (
    (PAUSED, "paused, so that nothing new begins there"),
    (SUSPECT, "silent, and perhaps cut off"),
    (SET_ASIDE, "silent, and perhaps cut off"),
    (RETIRING, "about to end"),
    (RESERVED, "reserved"),
)


def _described(workers: Collection[WorkerRecord], demand: Demand) -> str:
    """Return what the connected workers are, or have: whatever a demand is about."""
    if demand.names is not None:
        if all(name.startswith(POOL) for name in demand.names):
            return _pools(workers)
        return _named(workers)
    kinds: dict[str, int] = {}
    for worker in workers:
        has = amounts(worker.resources) or "none"
        kinds[has] = kinds.get(has, 0) + 1
    return ", ".join(f"{_count(number, 'worker')} with {has}" for has, number in kinds.items())


def _pools(workers: Collection[WorkerRecord]) -> str:
    counts: dict[str, int] = {}
    for worker in workers:
        counts[worker.pool] = counts.get(worker.pool, 0) + 1
    return ", ".join(
        f"{_count(number, 'worker')} of {f'pool {pool!r}' if pool else 'no pool'}"
        for pool, number in counts.items()
    )


def amounts(resources: Mapping[str, float]) -> str:
    """Return amounts of resources as users write them."""
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _named(workers: Collection[WorkerRecord]) -> str:
    names = ", ".join(worker.name for worker in islice(workers, SHOWN))
    more = len(workers) - SHOWN
    return f"{names} and {more} more" if more > 0 else names


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.2g} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
