"""Why a task has no result, in words: what its clients raise."""

from __future__ import annotations

from collections.abc import Sequence

from jobqueue.errors import DataLost, KilledWorker, TaskCancelled, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import CANCELLED


def unknown_input(task: Task, key: str) -> Failure:
    """Return the failure of a task with an input that is not known."""
    text = (
        f"task {task.key!r} needs {key!r}, which this scheduler does not know: it was released, "
        "or belongs to another scheduler"
    )
    return Failure.of(TaskError(text))


def dangling_future(task: Task) -> Failure:
    """Return the failure of a task whose result holds futures of tasks that are not there."""
    text = (
        f"the result of task {task.key!r} holds a future whose task this scheduler does not know: "
        "it was released, or belongs to another scheduler; return its value, or keep the future"
    )
    return Failure.of(TaskError(text))


def own_input(task: Task) -> Failure:
    """Return the failure of a task that is to be computed from itself."""
    text = (
        f"task {task.key!r} is among its own inputs: a task cannot wait for itself; "
        "give it a key of its own"
    )
    return Failure.of(TaskError(text))


def key_in_use(key: str) -> Failure:
    """Return why a key cannot be used for other work than it is used for."""
    text = (
        f"the key {key!r} is used already, for a call of another function or with other arguments: "
        "choose another key, or first drop all futures of the earlier one"
    )
    return Failure.of(TaskError(text))


def killed_worker(task: Task, worker: str, cause: str, lines: Sequence[str] = ()) -> Failure:
    """Return the failure of a task under which too many workers have died, this one last."""
    if task.deaths == 1:
        text = f"task {task.key!r} was running on worker {worker}, which died: {cause}"
    else:
        text = (
            f"task {task.key!r} was running on {task.deaths} workers that died, the last of them "
            f"{worker}: {cause}"
        )
    tail = "\n".join(lines)
    if tail:
        text += f"\nThe last that {worker} wrote to standard error:\n{tail}"
    error = KilledWorker(text, worker=worker, cause=cause, log_tail=tail)
    return Failure.of(error)._replace(task=task.key)


def data_lost(task: Task) -> Failure:
    """Return the failure of a value or an actor whose workers are gone."""
    if task.function is None:
        what, remedy = "scattered value", "scatter it again"
    else:
        what, remedy = "actor", "make another one"
    text = f"the {what} {task.key!r} was only on workers that are gone: {remedy}"
    return Failure.of(DataLost(text))


def unknown_key(key: str) -> Failure:
    """Return why a key cannot be fetched that is not known."""
    return Failure.of(TaskError(f"{key!r} is not known to this scheduler: it was released"))


def no_value(task: Task) -> Failure:
    """Return why a task that will not have a value has none."""
    if task.failure is not None:
        return task.failure
    if task.state is CANCELLED:
        return Failure.of(TaskCancelled(f"task {task.key!r} was cancelled"))
    return Failure.of(TaskError(f"{task.key!r} was released"))
