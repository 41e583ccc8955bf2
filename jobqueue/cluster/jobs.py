"""One job as the cluster knows it: its states, and what moves it from one to the next.

Rules of this file:

* Everything that may happen to a job's state stands in ``TRANSITIONS``.  A pair that is not there
  is a mistake of ours: ``advance`` raises and leaves the job as it was.
* ``ENDED`` is final.  Whatever arrives later about that job changes nothing.
* Two sources speak about a job: the batch system (slowly, by a query now and then) and the workers
  that connect from it (at once).  An answer of the batch system may be older than what a worker
  has told since, so a connected job is never moved back by "pending" or "running".
"""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Iterable


class JobState(enum.StrEnum):
    """Where a job is on its way."""

    SUBMITTED = "submitted"
    PENDING = "pending"
    RUNNING = "running"
    CONNECTED = "connected"
    DRAINING = "draining"
    ENDED = "ended"


class Happening(enum.StrEnum):
    """What can be learnt about a job."""

    QUEUED = "queued"  # the batch system says: it waits
    REQUEUED = "requeued"  # the same of a job that has run, and of which no worker is left
    STARTED = "started"  # the batch system says: it runs
    JOINED = "joined"  # a worker of it connected
    DESERTED = "deserted"  # the last of its workers left
    DRAIN = "drain"  # it is to finish what it runs, and then to end
    GONE = "gone"  # the batch system says: it ended, or knows it no more


TRANSITIONS: dict[tuple[JobState, Happening], JobState] = {
    # the batch system holds it back; the reason is in the record
    (JobState.SUBMITTED, Happening.QUEUED): JobState.PENDING,
    # it started before we asked for the first time
    (JobState.SUBMITTED, Happening.STARTED): JobState.RUNNING,
    # its workers were faster than our first query
    (JobState.SUBMITTED, Happening.JOINED): JobState.CONNECTED,
    # it ended, or was cancelled, before we asked for the first time
    (JobState.SUBMITTED, Happening.GONE): JobState.ENDED,
    # it waits on; the reason may be another one
    (JobState.PENDING, Happening.QUEUED): JobState.PENDING,
    # it got its node
    (JobState.PENDING, Happening.STARTED): JobState.RUNNING,
    # its workers connected between two queries
    (JobState.PENDING, Happening.JOINED): JobState.CONNECTED,
    # cancelled while it waited, or started and ended between two queries
    (JobState.PENDING, Happening.GONE): JobState.ENDED,
    # preempted, or its node is lost, and requeued: the same job waits again under the same id
    (JobState.RUNNING, Happening.REQUEUED): JobState.PENDING,
    # it runs on and no worker has connected yet
    (JobState.RUNNING, Happening.STARTED): JobState.RUNNING,
    # the first worker is there
    (JobState.RUNNING, Happening.JOINED): JobState.CONNECTED,
    # it died on the way to us, or after its workers had left
    (JobState.RUNNING, Happening.GONE): JobState.ENDED,
    # an answer older than the worker's connection; a requeued job deserts us first
    (JobState.CONNECTED, Happening.QUEUED): JobState.CONNECTED,
    # what we knew already
    (JobState.CONNECTED, Happening.STARTED): JobState.CONNECTED,
    # another of its workers
    (JobState.CONNECTED, Happening.JOINED): JobState.CONNECTED,
    # all its workers are gone; whether the job is, the batch system will tell
    (JobState.CONNECTED, Happening.DESERTED): JobState.RUNNING,
    # the pool shrinks and this one has work or results; or its time is nearly over
    (JobState.CONNECTED, Happening.DRAIN): JobState.DRAINING,
    # killed: the batch system knew before the connections broke
    (JobState.CONNECTED, Happening.GONE): JobState.ENDED,
    # it was about to use up its time, and was preempted and requeued before that
    (JobState.DRAINING, Happening.REQUEUED): JobState.PENDING,
    # older answers of the batch system
    (JobState.DRAINING, Happening.QUEUED): JobState.DRAINING,
    (JobState.DRAINING, Happening.STARTED): JobState.DRAINING,
    # the agent restarted a worker that had crashed; it is retired as well
    (JobState.DRAINING, Happening.JOINED): JobState.DRAINING,
    # its workers have handed everything over and left
    (JobState.DRAINING, Happening.DESERTED): JobState.DRAINING,
    # the job agent ended after its workers, or we cancelled the job
    (JobState.DRAINING, Happening.GONE): JobState.ENDED,
    # news about a job that is over
    (JobState.ENDED, Happening.QUEUED): JobState.ENDED,
    (JobState.ENDED, Happening.REQUEUED): JobState.ENDED,
    (JobState.ENDED, Happening.STARTED): JobState.ENDED,
    (JobState.ENDED, Happening.JOINED): JobState.ENDED,
    (JobState.ENDED, Happening.DESERTED): JobState.ENDED,
    (JobState.ENDED, Happening.GONE): JobState.ENDED,
}

WAITING = frozenset({JobState.SUBMITTED, JobState.PENDING})
"""States in which a job costs nobody anything yet."""


class Phase(enum.StrEnum):
    """What a launcher can say of a job it was asked about."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    MISSING = "missing"  # the batch system does not know it (yet, or any more)


@dataclasses.dataclass(frozen=True, slots=True)
class JobReport:
    """What a launcher says of one job at one moment.

    Parameters
    ----------
    job_id
        The batch system's name of the job; ``12_3`` is an element of a job array.
    phase
        Where it is.
    reason
        Why it is there, in the batch system's words; once it has ended, more about the cause.
    estimated_start
        When the batch system expects to start it, in its words; "" if it does not say.
    node
        Where it runs.
    exit_code
        Its exit status, once it ended.
    cause
        Why it ended: walltime, out of memory, preempted, node failed, cancelled, crashed, ...; of
        a job that was requeued, why its last run did.
    held
        Whether it waits until somebody releases it, however much is free.
    log_path, log_tail
        Where its output lies, and the last lines of it (filled in for ended and missing jobs).
    """

    job_id: str
    phase: Phase
    reason: str = ""
    estimated_start: str = ""
    node: str = ""
    exit_code: int | None = None
    cause: str = ""
    held: bool = False
    log_path: str = ""
    log_tail: str = ""


JobKey = tuple[str, str]
"""A job's pool and its id: pools in different batch systems may have jobs of the same id."""


@dataclasses.dataclass(slots=True, repr=False)
class JobRecord:
    """One row of ``cluster.jobs``.

    Parameters
    ----------
    job_id
        The batch system's name of the job.
    pool
        The pool it belongs to.
    submitted_at, started_at, expires_at
        When it was submitted, when it was first seen to run, and when its time is over, on the
        clock of the cluster's loop, in seconds; None where that is not known.  A job that was
        requeued begins anew.
    cause
        Once it has ended: one of `jobqueue.batch.answers.EndCause`'s words, or "unknown".
    reason
        Why it is where it is, in the batch system's words; once it has ended, more of the cause.
    """

    job_id: str
    pool: str
    submitted_at: float
    state: JobState = JobState.SUBMITTED
    started_at: float | None = None
    joined_at: float | None = None  # when its first worker connected
    expires_at: float | None = None
    reason: str = ""
    estimated_start: str = ""
    node: str = ""
    workers: frozenset[str] = frozenset()
    exit_code: int | None = None
    cause: str = ""
    log_path: str = ""
    log_tail: str = ""
    ever_connected: bool = False
    seen: bool = False  # the batch system has shown it at least once
    missed: int = 0  # answers in a row that did not show it
    restarts: int = 0  # how often it was requeued
    came_back: str = ""  # that it was, and why, as long as it waits again
    held: bool = False  # it waits until somebody releases it
    expiring: bool = False  # its time is nearly over: another is wanted in its place
    leaves: str = ""  # why it hands over, if not by our wish
    lost_run: bool = False  # it waits again after a loss, or for good: another is wanted
    unaccounted: bool = False  # given up since no answer showed it: it may exist all the same
    attempts: int = 0  # how often it was cancelled after that, to be sure
    unwanted: bool = False  # we asked for its end
    cancelled_at: float | None = None  # when we last asked the batch system to end it
    retired: frozenset[str] = frozenset()  # workers that were asked to hand everything over
    drained_at: float | None = None  # when its workers had handed everything over

    @property
    def key(self) -> JobKey:
        """What tells it from the cluster's other jobs."""
        return self.pool, self.job_id

    @property
    def live(self) -> bool:
        """Whether it counts towards the number of jobs wanted."""
        gone = self.unwanted or self.state is JobState.ENDED
        return not (gone or self.expiring or self.lost_run)

    @property
    def stands_in(self) -> bool:
        """Whether it works, or waits, until the job that is wanted in its place has come."""
        gone = self.unwanted or self.state is JobState.ENDED
        return (self.expiring or self.lost_run) and not gone

    def advance(self, happening: Happening) -> None:
        """Move to the state that follows; raises KeyError for a pair that cannot be."""
        self.state = TRANSITIONS[self.state, happening]
        if self.state is not JobState.PENDING:
            self.lost_run = self.held = False
            self.came_back = ""

    @property
    def was_requeued(self) -> bool:
        """Whether it must have been, if the batch system says that it waits."""
        running = self.state is JobState.RUNNING
        return running or (self.state is JobState.DRAINING and not (self.workers or self.unwanted))

    def begin_anew(self, cause: str = "", *, lost: bool = False) -> None:
        """Forget what was so of its last run only: it was requeued.

        Who has to make room is asked to end, and hands over; a node that fails says nothing.

        Parameters
        ----------
        cause
            Why its last run ended, for people, if that is known.
        lost
            Whether it is known to have been lost, whatever its workers said.
        """
        broke_off = self.joined_at is not None and not (self.leaves or self.expiring)
        self.advance(Happening.REQUEUED)
        self.lost_run = broke_off or lost
        self.came_back = ", ".join(filter(None, ("requeued", cause)))
        self.started_at = self.joined_at = self.expires_at = None
        self.expiring, self.leaves, self.node = False, "", ""
        self.restarts += 1

    @property
    def why(self) -> str:
        """Why it is where it is, and that it was there before."""
        return ", ".join(filter(None, (self.reason, self.came_back)))

    def copy(self, now: float | None = None) -> JobRecord:
        """Return a snapshot that stays as it is.

        Parameters
        ----------
        now
            The time: then the reason tells how far the end is of a job whose time is nearly over.
        """
        copy = dataclasses.replace(self, reason=self.why, came_back="")
        if self.state in (JobState.CONNECTED, JobState.DRAINING):
            if self.expiring and self.expires_at is not None and now is not None:
                copy.reason = f"walltime in {span(self.expires_at - now)}"
            else:
                copy.reason = self.leaves or self.reason or "no longer wanted" * self.unwanted
        return copy

    def __repr__(self) -> str:
        """``<JobRecord 12345 PENDING (Resources), estimated start 14:05>``."""
        return f"<JobRecord {self}>"

    def __str__(self) -> str:
        """``12345 PENDING (Resources), estimated start 14:05``; ``5 ENDED (crashed: why), …``."""
        text = f"{self.job_id} {self.state.upper()}"
        told = (self.cause, self.reason) if self.state is JobState.ENDED else (self.why,)
        if detail := ": ".join(filter(None, told)):
            text += f" ({detail})"
        if self.state is JobState.ENDED and self.exit_code is not None:
            text += f", exit code {self.exit_code}"
        if self.state in WAITING and self.estimated_start:
            text += f", estimated start {self.estimated_start}"
        return text


def by_name(jobs: Iterable[JobRecord]) -> dict[str, JobRecord]:
    """Return jobs by their ids; by pool and id, `gpu 7`, where two batch systems gave the same.

    Examples
    --------
    >>> rows = [JobRecord("7", "cpu", 0.0), JobRecord("7", "gpu", 0.0), JobRecord("8", "gpu", 0.0)]
    >>> list(by_name(rows))
    ['cpu 7', 'gpu 7', '8']
    """
    rows = list(jobs)
    times = Counter(job.job_id for job in rows)
    return {
        job.job_id if times[job.job_id] == 1 else f"{job.pool} {job.job_id}": job for job in rows
    }


def span(seconds: float) -> str:
    """Return a span of time as people say it.

    Examples
    --------
    >>> span(40.2), span(840.0), span(10_800.0)
    ('40 s', '14 min', '3 h')
    """
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
