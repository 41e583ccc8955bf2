"""What asks an agent to end, what its supervisor has it do, and how patient it is: tables, words.

The decisions themselves are in `jobqueue.worker.supervise`.
"""

from __future__ import annotations

import signal
from typing import NamedTuple

from jobqueue.worker.exit_codes import ExitCode, Kind


class Policy(NamedTuple):
    """The agent's patience; all times in seconds.

    Parameters
    ----------
    grace
        From an order to end until the workers are killed. Slurm gives 30 s, PBS and HTCondor 10 s.
    drain
        The same after an announcement (lifetime, SIGUSR1), when the job itself goes on for a while.
        Grid Engine announces its end 60 s ahead.
    ahead
        Before the job's own end, its workers are gone so long.
    last_wait
        From killing the workers until the agent ends without having seen them end: a process that
        hangs in the kernel, say on a dead file server, cannot be killed.
    settled
        A worker that ran this long was well: its crash is the first one of a new row.
    restart_delays
        Delay before each restart in a row of crashes, and the last for all that follow. One crash
        more, and the slot is given up, if the worker never got as far as to work; with no delays,
        at the first, and in any case.
        Even the first is no shorter than batch systems take to signal all processes of a job,
        lest a worker be started again in the middle of the job's end.
    prompt
        Crashes in a row of a worker that was running tasks before these delays begin: until then
        it is started again at once, or after the first of them if it was killed from outside.
        Nothing is wrong with the worker, and the other tasks wait for it; a bad one costs them
        three workers, say, before it has failed.
    patience
        Restarts in a row of crashes of workers that did get to work. They are more, as the worker
        is well and its tasks are at fault: each bad task kills three workers, or however many the
        scheduler allows, before it has failed.
    """

    grace: float = 8.0
    drain: float = 50.0
    ahead: float = 1.0
    last_wait: float = 10.0
    settled: float = 30.0
    restart_delays: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    prompt: int = 9
    patience: int = 30


WARNED_AHEAD = 60.0
"""Seconds by which batch systems may warn earlier than they were asked to, as Slurm does."""


class Request(NamedTuple):
    """Why the agent should end before its workers do.

    Parameters
    ----------
    cause
        One phrase for people.
    exit_code
        The agent's exit status.
    urgent
        Whether there is `Policy.grace` or, being only announced, `Policy.drain`.
    kind
        What the job's end is then; `Kind.UNKNOWN` if only the batch system knows whose order it is.
    early
        Whether it may come up to a minute too early: Slurm's warnings do.
    """

    cause: str
    exit_code: int
    urgent: bool
    kind: Kind = Kind.UNKNOWN
    early: bool = False


# SIGUSR1 and SIGUSR2 are what batch systems send ahead of the end (`sbatch --signal`, Grid Engine's
# -notify and s_rt, LSF's run limit): a job that ends in order on them has not failed.
SIGNAL_REQUESTS = {
    signal.SIGTERM: Request("asked to end by SIGTERM", ExitCode.TERMINATED, True),
    signal.SIGINT: Request("asked to end by SIGINT", 128 + signal.SIGINT, True),
    signal.SIGHUP: Request("asked to end by SIGHUP", 128 + signal.SIGHUP, True),
    signal.SIGUSR1: Request(
        "warned of the job's end by SIGUSR1", ExitCode.TOLD_TO_END, False, early=True
    ),
    signal.SIGUSR2: Request("warned of the job's end by SIGUSR2", ExitCode.TOLD_TO_END, False),
}

# What a worker's exit status means for its slot. Whatever is missing here is a crash.
FINAL_STATUSES = {
    ExitCode.TOLD_TO_END: "all workers were told to end",
    ExitCode.NO_SCHEDULER: "no scheduler within the death timeout",
    ExitCode.REFUSED: "the scheduler refused the workers",
}

# When workers ended for different reasons, the first of these that occurs is the agent's.
PRECEDENCE = (
    ExitCode.CRASHED,
    ExitCode.REFUSED,
    ExitCode.NO_SCHEDULER,
    ExitCode.TOLD_TO_END,
)


class Spawn(NamedTuple):
    """Start a worker process in this slot. If that fails, report `exited` with status None."""

    slot: int


class Drain(NamedTuple):
    """Tell the worker in this slot to hand over and end, and how many seconds that may take."""

    slot: int
    seconds: float
    cause: str


class Kill(NamedTuple):
    """Kill the worker process in this slot."""

    slot: int


class Postpone(NamedTuple):
    """For the log: the worker in this slot will be started again, after its n-th crash in a row."""

    slot: int
    delay: float
    crashes: int


class GiveUp(NamedTuple):
    """For the log: the worker in this slot crashed once too often."""

    slot: int
    crashes: int


class End(NamedTuple):
    """End the agent."""

    exit_code: int
    cause: str
    kind: Kind = Kind.UNKNOWN


Action = Spawn | Drain | Kill | Postpone | GiveUp | End
