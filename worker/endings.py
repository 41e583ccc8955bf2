"""How a worker process ended: what its agent concludes from what it saw.

An exit status alone says little, since tasks can call `os._exit`. So a worker signs off before it
ends in order (`jobqueue.worker.launch.sign_off`); one that has found a scheduler and ends without
that was ended by its tasks, by the kernel, or by somebody else.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.exit_record import describe_status

OUT_OF_MEMORY = "killed by the kernel for lack of memory"


class Seen(NamedTuple):
    """What the agent saw of a worker's end.

    Parameters
    ----------
    status
        Its exit status, -n if signal n killed it.
    worked
        Whether it had found a scheduler.
    signed_off
        With which status it said it would end, None if it did not say.
    verdict
        With which meaning, and why, the agent has killed it; None if it has not.
    ending
        Why the agent itself ends, and has told it so; None if it does not.
    out_of_memory
        Whether the kernel has just killed somebody for lack of memory.
    """

    status: int
    worked: bool = False
    signed_off: int | None = None
    verdict: tuple[ExitCode, str] | None = None
    ending: str | None = None
    out_of_memory: bool = False


class Ending(NamedTuple):
    """What the agent concludes.

    Parameters
    ----------
    status
        The `ExitCode` that counts for what becomes of its slot, or the status itself: a crash.
    cause
        In words.
    report
        Whether the scheduler does not know, and may want to. It may have accepted the worker, and
        given it tasks, before the worker could show that to its agent.
    blame
        Whether the tasks that ran may be at fault.
    """

    status: int
    cause: str
    report: bool
    blame: bool


def judge(seen: Seen, *, death_timeout: float) -> Ending:
    """Conclude how a worker ended.

    Parameters
    ----------
    seen
        What was seen.
    death_timeout
        The seconds it waited for a scheduler.

    Examples
    --------
    >>> judge(Seen(-11, worked=True), death_timeout=60.0)
    Ending(status=-11, cause='killed by signal 11 (SIGSEGV)', report=True, blame=True)
    >>> judge(Seen(0, worked=True), death_timeout=60.0).cause
    'exit 0, by no order: a task has ended the process'
    """
    status = seen.status
    if seen.verdict is not None:
        meaning, why = seen.verdict
        if meaning == ExitCode.MEMORY:
            return Ending(meaning, why, True, True)
        return Ending(meaning, describe_status(meaning, death_timeout=death_timeout), False, False)
    if seen.signed_off is not None:  # what went wrong after that is of no interest
        status = seen.signed_off
        return Ending(status, describe_status(status, death_timeout=death_timeout), False, False)
    if status == -signal.SIGKILL and seen.out_of_memory:
        return Ending(status, OUT_OF_MEMORY, True, True)
    cause = describe_status(status, death_timeout=death_timeout)
    if seen.ending is not None and status == -signal.SIGKILL:
        return Ending(status, f"{cause}; its job ended: {seen.ending}", True, False)
    if status not in _ORDERLY:
        return Ending(status, cause, True, status != -signal.SIGTERM)
    if not seen.worked:  # no task can have done that
        return Ending(status, cause, False, False)
    cause = f"exit {status}, by no order: a task has ended the process"
    return Ending(ExitCode.CRASHED, cause, True, True)


def last_lines(seen: Seen, ending: Ending, said: list[str]) -> list[str]:
    """Return the lines that explain best how a worker ended; none if it ended in order.

    Parameters
    ----------
    seen, ending
        What was seen of that, and what was concluded.
    said
        The last lines that it wrote.
    """
    if seen.verdict is not None and ending.status == ExitCode.NO_SCHEDULER:
        return [seen.verdict[1]]  # it could not say so itself
    return [] if ending.status in _UNREMARKABLE else said


_UNREMARKABLE = (
    ExitCode.TOLD_TO_END,
    ExitCode.RESTART,
    ExitCode.TERMINATED,
    -signal.SIGTERM,
)
"""Ends after which nobody asks for a worker's last words."""

_ORDERLY = {
    ExitCode.TOLD_TO_END,
    ExitCode.NO_SCHEDULER,
    ExitCode.REFUSED,
    ExitCode.RESTART,
    ExitCode.MEMORY,
}
