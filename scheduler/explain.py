"""Why a task is not done, in one or two sentences.

Pure: reads the core's records and changes nothing.
"""

from __future__ import annotations

from jobqueue.scheduler.state import SchedulerState

SHOWN = 5
"""So many inputs, or workers, are named; the others are counted."""


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
        return f"{key} is not known to this scheduler: it was released, or never submitted here"
    return f"{key} {task.state}"
