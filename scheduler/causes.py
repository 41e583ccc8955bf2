"""Why a task has no result, in words: what its clients raise."""

from __future__ import annotations

from jobqueue.errors import DataLost, KilledWorker, TaskCancelled, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.records import CANCELLED, Task, WorkerRecord


def unknown_input(task: Task, key: str) -> Failure:
    """Return the failure of a task with an input that is not known."""
    text = (
        f"task {task.key!r} needs {key!r}, which this scheduler does not know: it was released, "
        "or belongs to another scheduler"
    )
    return Failure.of(TaskError(text))


def killed_workers(task: Task, worker: WorkerRecord, cause: str) -> Failure:
    """Return the failure of a task under which too many workers have died, this one last."""
    text = (
        f"task {task.key!r} was running on {task.deaths} workers that died, the last of them "
        f"{worker.name}: {cause}"
    )
    return Failure.of(KilledWorker(text))


def data_lost(task: Task) -> Failure:
    """Return the failure of a scattered value that no worker holds any more."""
    text = f"the scattered value {task.key!r} was only on workers that are gone: scatter it again"
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
