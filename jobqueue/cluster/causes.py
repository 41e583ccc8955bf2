"""Why a job ended: what the batch system says, what its agent wrote, what its log shows, as one.

Each of the three knows something that the others do not, and each may be silent:

* The batch system alone knows walltime, preemption and dead nodes, when it was what ended the job.
  It may have forgotten the job, keep no accounts, or know an exit status and nothing more.
* The agent alone knows why it ended a job itself: its time was nearly over, its workers crashed
  again and again, or nobody was there to work for. Of a signal it does not know the reason, and
  killed outright it says nothing.
* Batch systems write into the log of a job that they kill. That stays when they have forgotten it.

`judge` puts them together; its rules stand in the order in which they are tried.  All of it pure.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from jobqueue.batch.answers import EndCause

COMPLETED, CRASHED, WALLTIME = (
    EndCause.COMPLETED.value,
    EndCause.CRASHED.value,
    EndCause.WALLTIME.value,
)
OUT_OF_MEMORY, PREEMPTED = EndCause.OUT_OF_MEMORY.value, EndCause.PREEMPTED.value
NODE_FAILED, CANCELLED = EndCause.NODE_FAILED.value, EndCause.CANCELLED.value
UNKNOWN = "unknown"

NOBODYS_FAULT = frozenset({COMPLETED, WALLTIME, PREEMPTED})
"""Causes after which a replacement need not wait: nothing was wrong with job or node."""

ENDED_FROM_OUTSIDE = frozenset({WALLTIME, PREEMPTED, NODE_FAILED})
"""Causes of which the agent sees a signal at the most: the batch system is believed."""

WORST_FIRST = (OUT_OF_MEMORY, CRASHED, NODE_FAILED, PREEMPTED, CANCELLED, WALLTIME, "", COMPLETED)
"""Of the agents of one job, the first of these that one of them tells is the job's."""

LOG_LINES: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern), cause)
    for pattern, cause in (
        # Slurm: *** JOB 5 ON n1 CANCELLED AT 2026-11-20T12:00:00 DUE TO TIME LIMIT ***
        (r"slurmstepd[\w.-]*: error: \*\*\* .* DUE TO TIME LIMIT", WALLTIME),
        (r"slurmstepd[\w.-]*: error: \*\*\* .* DUE TO PREEMPTION", PREEMPTED),
        (r"slurmstepd[\w.-]*: error: \*\*\* .* DUE TO NODE FAILURE", NODE_FAILED),
        # control groups, in two spellings; and the accounting plugin that polls a job's memory
        (r"slurmstepd[\w.-]*: error: Detected \d+ oom.kill event", OUT_OF_MEMORY),
        (r"slurmstepd[\w.-]*: error: .*exceeded .*memory limit", OUT_OF_MEMORY),
        (r"slurmstepd[\w.-]*: error: \*\*\* JOB .* CANCELLED AT", CANCELLED),
        # PBS and TORQUE: =>> PBS: job killed: walltime 21 exceeded limit 10
        (r"=>> PBS: job killed: walltime ", WALLTIME),
        (r"=>> PBS: job killed: (mem|vmem|pmem|pvmem) ", OUT_OF_MEMORY),
        # LSF's report at the end of a job's output
        (r"TERM_RUNLIMIT: ", WALLTIME),
        (r"TERM_MEMLIMIT: ", OUT_OF_MEMORY),
        (r"TERM_(PREEMPT|RC_RECLAIM): ", PREEMPTED),
        (r"TERM_REMOVE_HUNG_JOB: ", NODE_FAILED),
        (r"TERM_(OWNER|ADMIN): ", CANCELLED),
    )
)
"""What batch systems write into the log of a job that they end, anywhere in a line."""

BEGUN = re.compile(r"jobqueue agent: started (?!.* rank=[1-9])")
"""What the agent of a job's first node writes first. What stands before that is of an earlier run:
a job that was requeued goes on in the log that tells of its preemption."""

SIGNALLED = 128
"""Exit statuses above this are of agents that a signal has ended: it may come from anybody."""

FIRST_TO_GO = re.compile(r"srun: error: \S+ tasks? [\d,-]+: (?!Terminated|.* code 143)")
"""What srun says of the agent for whose sake it ended the others, of a job of several nodes."""


@dataclasses.dataclass(frozen=True, slots=True)
class LastWords:
    """What the agent of one node of a job wrote at its end.

    Parameters
    ----------
    exit_code
        Its exit status.
    phrase
        Why it ended, for people.
    kind
        The same as one of `EndCause`'s words; "" if only the batch system can know. Of a signal
        near the end of its time that is a guess.
    tried
        If it found no scheduler: each address with what came of it, for people.
    """

    exit_code: int
    phrase: str
    kind: str = ""
    tried: str = ""

    @property
    def signalled(self) -> bool:
        """Whether it was a signal that asked it to end, and not its own clock, say."""
        return self.exit_code > SIGNALLED

    @property
    def words(self) -> str:
        """What it says, with the addresses it has tried in vain."""
        return f"{self.phrase}; tried {self.tried}" if self.tried else self.phrase


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Why a job ended.

    Parameters
    ----------
    cause
        One of `EndCause`'s words; "" if nobody has said anything.
    reason
        More about it, in the words of whoever knows; "" if there is no more.
    """

    cause: str
    reason: str = ""


def judge(
    cause: str, records: Sequence[LastWords] = (), *, reason: str = "", log_tail: str = ""
) -> Verdict:
    """Return why a job ended.

    Parameters
    ----------
    cause
        What the batch system says, as one of `EndCause`'s words; "" if it says nothing.
    records
        What the job's agents wrote, one for each node that came to it.
    reason
        What the batch system says beside the cause.
    log_tail
        The last lines of the job's log.

    Examples
    --------
    >>> judge("crashed", [LastWords(0, "its time is nearly over", "walltime")])
    Verdict(cause='walltime', reason='its time is nearly over')
    >>> judge("node failed", [LastWords(143, "asked to end by SIGTERM")]).cause
    'node failed'
    """
    agent = worst(records)
    last_run = _last_run(log_tail)
    line, told_by_log = _told_by(last_run)
    words = agent.words if agent else ""
    if cause in ENDED_FROM_OUTSIDE:
        return Verdict(cause, _telling(reason) or line)
    if agent and agent.kind == WALLTIME and not (agent.signalled and cause == CANCELLED):
        return Verdict(WALLTIME, words)  # whoever cancelled it after that only hurried it on
    if cause == CANCELLED:
        decisive = told_by_log in ENDED_FROM_OUTSIDE  # some call that cancelled, too
        return Verdict(told_by_log, line) if decisive else Verdict(CANCELLED, _telling(reason))
    if agent and agent.kind == COMPLETED:
        # Slurm says OUT_OF_MEMORY of any job in which something was ever killed for its memory,
        # though it was one worker of several, and started again.
        return Verdict(COMPLETED)
    if cause == OUT_OF_MEMORY:
        return Verdict(cause, words if agent and agent.kind == cause else line)
    if agent and agent.kind:
        return Verdict(agent.kind, words)
    if told_by_log:
        return Verdict(told_by_log, line)
    if cause in ("", CRASHED) and (line := _first_to_go(last_run)):
        return Verdict(CRASHED, line)
    if agent and cause in ("", CRASHED):  # it saw a signal, and nobody says whose
        return Verdict(CANCELLED, words)
    return Verdict(cause, "" if cause == COMPLETED else _telling(reason))


def worst(records: Sequence[LastWords]) -> LastWords | None:
    """Return what counts of what several agents say, None if nobody says anything."""

    def badness(record: LastWords) -> tuple[int, int]:
        kind = record.kind if record.kind in WORST_FIRST else CRASHED
        return WORST_FIRST.index(kind), -abs(record.exit_code)

    return min(records, key=badness, default=None)


def _last_run(log_tail: str) -> list[str]:
    """Return the lines of a log that are of the job's last run."""
    lines = log_tail.splitlines()
    begun = [number for number, line in enumerate(lines) if BEGUN.search(line)]
    return lines[begun[-1] :] if begun else lines


def _told_by(log: Sequence[str]) -> tuple[str, str]:
    """Return the last line by which a batch system says why it ended the job, and the cause."""
    for line in reversed(log):
        for pattern, cause in LOG_LINES:
            if pattern.search(line):
                return line.strip(), cause
    return "", ""


def _first_to_go(log: Sequence[str]) -> str:
    """Return the line about the agent that brought down those of a job's other nodes."""
    return next(filter(FIRST_TO_GO.search, log), "").strip()


def _telling(reason: str) -> str:
    """Return what a batch system adds to a cause.

    One word adds nothing: it is the batch system's own for the cause (NonZeroExitCode, NODE_FAIL),
    or left over from when the job was pending (BeginTime).
    """
    return reason if " " in reason else ""
