"""What a batch system says, and what that means: in the same words for all of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass

from jobqueue.errors import BatchSystemError

Argv = tuple[str, ...]
"""A command and its arguments."""


class BatchState(enum.Enum):
    """What a job is doing, in every batch system alike."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


class EndCause(enum.Enum):
    """Why a job ended, as far as the batch system tells."""

    COMPLETED = "completed"
    CRASHED = "crashed"
    WALLTIME = "walltime"
    OUT_OF_MEMORY = "out of memory"
    PREEMPTED = "preempted"
    NODE_FAILED = "node failed"
    CANCELLED = "cancelled"


Meaning = tuple[BatchState, EndCause | None]
"""What one raw state of a batch system stands for."""

PENDING: Meaning = (BatchState.PENDING, None)
RUNNING: Meaning = (BatchState.RUNNING, None)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One job, as its batch system describes it.

    Parameters
    ----------
    job_id
        Its id, as it was given at submission.
    state, cause
        What it is doing; why it ended, if it has and the batch system says so.
    raw_state
        The batch system's own word for the state.
    reason
        Why it is pending, or ended, in the batch system's own words; "" if there is none.
    node
        The node or nodes it runs on, "" before it does.
    exit_code, signal
        How its script ended, where the batch system knows.
    estimated_start
        When the batch system means to start a pending job, or when it did start the running one,
        as the batch system writes it; "" where it does not say.
    held
        Whether it waits until somebody releases it, however much is free.
    tag
        The mark given at submission (`submit_argv`), where the batch system keeps one.
    """

    job_id: str
    state: BatchState
    raw_state: str
    reason: str = ""
    node: str = ""
    cause: EndCause | None = None
    exit_code: int | None = None
    signal: int | None = None
    estimated_start: str = ""
    held: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran to its end, and what it said."""

    argv: Argv
    returncode: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """What the command said, in its own words: errors first; "" if it said nothing."""
        return "\n".join(part for part in (self.stderr.strip(), self.stdout.strip()) if part)


@dataclass(frozen=True, slots=True)
class Query:
    """A question to the batch system: what to run, and how to read the answer.

    `parse` returns the jobs the answer mentions, by id, and raises `BatchSystemError` when the
    command failed.
    """

    argv: Argv
    parse: Callable[[Completed], dict[str, JobStatus]]


def problem_but(completed: Completed, harmless: re.Pattern[str]) -> str:
    """Return what went wrong with a command for many jobs, "" if nothing did.

    Parameters
    ----------
    completed
        The command.
    harmless
        Whole lines that are no problem, such as those about jobs that are gone.
    """
    lines = [line.strip() for line in completed.words.splitlines() if line.strip()]
    bad = [line for line in lines if not harmless.fullmatch(line)]
    if completed.returncode == 0 or (lines and not bad):
        return ""
    return "; ".join(bad) or f"exit status {completed.returncode}"


def failed(completed: Completed) -> BatchSystemError:
    """Return the error for a query that the batch system did not answer."""
    return BatchSystemError(
        f"{completed.argv[0]} failed (exit status {completed.returncode}): "
        f"{completed.words or 'it said nothing'}",
        argv=completed.argv,
        returncode=completed.returncode,
        output=completed.words,
    )


def unreadable(completed: Completed, form: str, error: Exception) -> BatchSystemError:
    """Return the error for an answer that is not in the form that was asked for, such as JSON."""
    return BatchSystemError(
        f"{completed.argv[0]} printed broken {form}: {error}",
        argv=completed.argv,
        output=completed.words,
    )
