"""Why a task is not done, in one or two sentences for whoever waits for it.

Pure: reads the core's records and changes nothing. A task that waits for inputs is explained by
them, and by what the first of them waits for in the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final

from jobqueue.scheduler.info import PAUSED, RETIRING, RUNNING, SET_ASIDE, SUSPECT, status_of
from jobqueue.scheduler.levelling import known_as
from jobqueue.scheduler.records import (
    ASSIGNED,
    CANCELLED,
    FAILED,
    MEMORY,
    READY,
    WAITING,
    Task,
    WorkerRecord,
)
from jobqueue.scheduler.state import SchedulerState

SHOWN: Final = 5
"""So many inputs, or workers, are named; the others are counted."""

DEEPEST: Final = 1000
"""So far a chain of inputs is followed to its beginning."""


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
        return f"is done; its result has {task.nbytes} bytes"
    if task.state is FAILED:
        return f"has failed: {task.failure.summary}" if task.failure is not None else "has failed"
    if task.state is CANCELLED:
        return "was cancelled"
    if task.state is ASSIGNED and task.worker is not None:
        return _at_worker(task, task.worker, now)
    if task.state is READY:
        return _in_line(state, task, supply)
    if task.state is WAITING:
        return (
            f"was on {_count(task.deaths, 'worker')} that died; it fails once it is known of what "
            "the last of them died, unless that shows that it is not to blame"
        )
    return "is not being computed, since nobody needs it"


def _at_worker(task: Task, worker: WorkerRecord, now: float) -> str:
    ahead = list(worker.assigned).index(task) - worker.nthreads + 1
    where = f"worker {worker.name}" + (f" on {worker.facts.host}" if _host(worker) else "")
    if ahead > 0:
        text = f"waits at {where}, behind {_count(ahead, 'task')}"
    else:
        text = f"is running on {where}, or about to"
        if task.function is not None and task.function.seen:
            text += f"; calls of {task.name} have taken about {task.function.duration:.2g} s"
    status = status_of(worker)
    if status == PAUSED:
        return f"{text}; the worker is short of memory and begins nothing new"
    if status in (SUSPECT, SET_ASIDE):
        return f"{text}; nothing was heard of the worker for {now - worker.seen:.0f} s"
    return text


def _host(worker: WorkerRecord) -> str:
    return worker.facts.host if worker.facts is not None else ""


def _in_line(state: SchedulerState, task: Task, supply: str) -> str:
    """Return why a task that could run has no worker."""
    text, short = _no_worker(state, task)
    return f"{text}; {supply}" if short and supply else text


def _no_worker(state: SchedulerState, task: Task) -> tuple[str, bool]:
    """Return why, and whether more workers would help."""
    workers = state.workers.values()
    if not workers:
        return "is ready to run, but no worker is connected", True
    options = task.options or {}
    fitting = [worker for worker in workers if has_resources(worker, options.get("resources"))]
    if not fitting:
        wanted = _amounts(options["resources"])
        return f"needs {wanted}, but no worker has that: {_resources_of(workers)}", True
    names = options.get("workers")
    if names is not None and not options.get("allow_other_workers"):
        fitting = [worker for worker in fitting if known_as(worker, names)]
        if not fitting:
            among = ", ".join(map(str, names))
            return f"may only run on {among}, but connected are {_named(workers)}", True
    statuses = [status_of(worker) for worker in fitting]
    who = "the only worker" if len(fitting) == 1 else f"all {len(fitting)} workers"
    if len(fitting) < len(workers):
        who += " that may run it"
    is_or_are = "is" if len(fitting) == 1 else "are"
    for status, words in _UNABLE:
        if all(each == status for each in statuses):
            return f"is ready to run, but {who} {is_or_are} {words}", True
    if not any(each == RUNNING for each in statuses):
        return f"is ready to run, but {who} {is_or_are} paused, silent or about to end", True
    if any(worker in state.open_workers for worker in fitting):
        return "is about to be given to a worker", False
    ahead = sum(other.state is READY and other.rank < task.rank for other in state.tasks.values())
    busy = sum(len(worker.assigned) for worker in fitting)
    return (
        f"is ready to run, but {who} {is_or_are} busy with {_count(busy, 'task')}, and "
        f"{_count(ahead, 'task')} stand before it in line"
    ), True


_UNABLE: Final = (
    (PAUSED, "short of memory: nothing new begins there"),
    (SUSPECT, "silent, and perhaps cut off"),
    (SET_ASIDE, "silent, and perhaps cut off"),
    (RETIRING, "about to end"),
)


def has_resources(worker: WorkerRecord, wanted: Mapping[str, float] | None) -> bool:
    """Return whether a worker has as much as a task needs while nothing else runs there."""
    if not wanted:
        return True
    has = worker.facts.resources if worker.facts is not None else {}
    return all(has.get(name, 0) >= amount for name, amount in wanted.items())


def _resources_of(workers: Collection[WorkerRecord]) -> str:
    """Return what the connected workers have, each kind of worker once."""
    kinds: dict[str, int] = {}
    for worker in workers:
        has = _amounts(worker.facts.resources if worker.facts is not None else {}) or "none"
        kinds[has] = kinds.get(has, 0) + 1
    return ", ".join(f"{_count(number, 'worker')} with {has}" for has, number in kinds.items())


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _named(workers: Collection[WorkerRecord]) -> str:
    names = ", ".join(worker.name for worker in islice(workers, SHOWN))
    more = len(workers) - SHOWN
    return f"{names} and {more} more" if more > 0 else names


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
