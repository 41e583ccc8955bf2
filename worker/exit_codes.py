"""Why worker processes and job agents ended: exit statuses, and kinds of a job's end."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Why a worker process, or the job agent as a whole, ended.

    Every status that is not listed here means a crash.
    """

    TOLD_TO_END = 0
    """The scheduler, or whoever owns it, told it to end."""

    USAGE = 2
    """The command line could not be understood (argparse's status)."""

    NO_SCHEDULER = 3
    """No scheduler within the death timeout: never reached, gone, or cut off."""

    REFUSED = 4
    """The scheduler refused it: another Python version, bad credentials, ..."""

    CRASHED = 5
    """Agent only: its workers crash again and again, or are not to be restarted; it gave up."""

    RESTART = 6
    """It asks for another in its place: it was told to begin anew, or a task would not end."""

    MEMORY = 7
    """Agent only, of a worker: killed since it took more than its memory limit allows."""

    TERMINATED = 143
    """Asked to end by a signal (128 + SIGTERM, as a shell would report it)."""


class Kind(enum.StrEnum):
    """What the end of a job was, in the words in which batch systems' adapters say it, too."""

    COMPLETED = "completed"
    """In order: it was told to end, or its lifetime was over."""

    WALLTIME = "walltime"
    """It handed over because the batch system would end it."""

    OUT_OF_MEMORY = "out of memory"
    """The kernel, or the agent before it, killed what took too much memory."""

    CRASHED = "crashed"
    """Whatever else went wrong in it; the cause says it."""

    UNKNOWN = ""
    """Only the batch system can know: somebody sent a signal."""
