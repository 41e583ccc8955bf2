"""A pool's jobs, and what becomes of them as things happen: no clock, no processes, no sockets.

``PoolState`` is told what happened (``report``, ``worker_joined``, ``submitted`` ...). What is to
be done about it is decided in reconcile.py.

Rules:

* A job is over when the batch system says so, or when it has stopped to know a job it knew and no
  worker of that job is connected.  Workers that leave are never reason enough: a loss is counted,
  and replaced, once.
* Whatever is lost or rejected is replaced, each time after a longer pause (``DELAYS``).
* ``FAILURES_IN_A_ROW`` jobs that ended without one connected worker, or as many rejected
  submissions, pause the pool: no more submissions until ``resume`` or ``scale``.  An error that a
  second try cannot mend (no such command, no space for the script) pauses it at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from jobqueue.cluster.jobs import (
    WAITING,
    Happening,
    JobRecord,
    JobReport,
    JobState,
    Phase,
)
from jobqueue.cluster.limits import UNLIMITED, Limits, Quota
from jobqueue.errors import BatchSystemError, CommandNotFound

FAILURES_IN_A_ROW = 3
"""So many failed starts, or rejected submissions, in a row pause a pool."""

DELAYS = (0.0, 1.0, 5.0, 20.0, 60.0, 300.0)
"""Seconds before the replacement after the first, second, ... setback in a row."""

QUIET = 600.0
"""Seconds without a loss after which the next one is the first again."""

NOT_YET_VISIBLE = 30.0
"""Seconds in which a batch system may not yet show a job that it has accepted."""

MISSES = 2
"""Answers in a row without a job the batch system used to show, before it is taken for ended."""

KEPT = 1000
"""Ended jobs that are remembered for ``cluster.jobs``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Submission:
    """What came of a submission: the jobs that exist now, and what went wrong, if something did."""

    job_ids: tuple[str, ...] = ()
    error: Exception | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Why a pool has stopped submitting: the last failed job, or the last rejection."""

    failures: int
    job: JobRecord | None = None
    error: Exception | None = None


class PoolState:
    """The jobs of one pool, and what is known about them.

    Parameters
    ----------
    name
        The pool's name.
    limits
        What it asks of the batch system at the most.
    shared
        What it and other pools together ask at the most.
    """

    def __init__(
        self, name: str = "default", limits: Limits = UNLIMITED, *, shared: Quota | None = None
    ) -> None:
        self.name = name
        self.limits = limits
        self.quotas = (Quota(limits), *(() if shared is None else (shared,)))
        for quota in self.quotas:
            quota.join(self)
        self.wanted = 0
        self.mode = ""  # how `wanted` comes about, for people, if not by `scale`
        self.submitting = 0
        self.jobs: dict[str, JobRecord] = {}
        self.failed_starts = 0
        self.rejections = 0
        self.losses = 0
        self.last_error: Exception | None = None
        self.pause: Pause | None = None
        self.closing = False
        self.not_before = float("-inf")
        self._last_loss = float("-inf")

    def __repr__(self) -> str:
        """``<PoolState default: 2/4 jobs, connected=2, submitting 2, paused>``."""
        counts: dict[str, int] = {}
        for job in self.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        parts = [f"{len(self.live())}/{self.wanted} jobs"]
        parts += [f"{state}={n}" for state, n in sorted(counts.items())]
        parts += [f"submitting {self.submitting}"] if self.submitting else []
        parts += ["paused"] if self.pause else []
        return f"<PoolState {self.name}: {', '.join(parts)}>"

    def live(self) -> list[JobRecord]:
        """Jobs that count towards ``wanted``."""
        return [job for job in self.jobs.values() if job.live]

    def unended(self) -> list[JobRecord]:
        """Jobs that may still exist in the batch system."""
        return [job for job in self.jobs.values() if job.state is not JobState.ENDED]

    # --- what the user wants -------------------------------------------------------------

    def scale(self, wanted: int) -> None:
        """Set the number of jobs wanted, and go on if the pool was paused."""
        self.wanted = wanted
        self.resume()

    @property
    def goal(self) -> int:
        """Jobs that there are to be: as many as are wanted, or may be."""
        most = [quota.limits.max_jobs for quota in self.quotas]
        return min([self.wanted, *(limit for limit in most if limit is not None)])

    def resume(self) -> None:
        """Forget earlier failures: submit again as soon as jobs are missing."""
        self.pause = None
        self.failed_starts = self.rejections = self.losses = 0
        self.not_before = float("-inf")

    def close(self) -> None:
        """Want nothing any more; jobs are cancelled without being drained."""
        self.wanted = 0
        self.closing = True

    # --- what happened -------------------------------------------------------------------

    def submitted(self, result: Submission, now: float) -> None:
        """A submission came to its end."""
        self.submitting = 0
        self.adopt(result.job_ids, now)
        if result.error is not None:
            self._rejected(result.error, now)

    def adopt(self, job_ids: Iterable[str], now: float) -> None:
        """Take jobs as ours: just submitted, or found after a submission of unknown outcome."""
        for job_id in job_ids:
            self.rejections, self.last_error = 0, None
            if job_id not in self.jobs:
                self.jobs[job_id] = JobRecord(job_id, self.name, now)

    def report(self, report: JobReport, now: float) -> bool:
        """Take in what the batch system says of a job; return whether that is news."""
        job = self.jobs.get(report.job_id)
        if job is None or job.state is JobState.ENDED:
            return False
        if report.phase is Phase.ENDED:
            self._ended(job, report, now)
            return True
        if report.phase is Phase.MISSING:
            return self._missing(job, report, now)
        before = (job.state, job.reason)
        job.seen, job.missed = True, 0
        job.reason, job.estimated_start = report.reason, report.estimated_start
        job.node = report.node or job.node
        job.log_path = report.log_path or job.log_path
        pending = report.phase is Phase.PENDING
        job.advance(Happening.QUEUED if pending else Happening.STARTED)
        return before != (job.state, job.reason)

    def worker_joined(self, job_id: str, worker: str) -> bool:
        """Take in that a worker connected; return whether its job is one of ours."""
        job = self.jobs.get(job_id)
        if job is None:
            return False
        job.advance(Happening.JOINED)
        job.workers |= {worker}
        job.ever_connected = True
        self.failed_starts = 0
        return True

    def worker_left(self, job_id: str, worker: str) -> bool:
        """Take in that a worker left; return whether its job is one of ours."""
        job = self.jobs.get(job_id)
        if job is None or worker not in job.workers:
            return job is not None
        job.workers -= {worker}
        if not job.workers:
            job.advance(Happening.DESERTED)
        return True

    def drained(self, job_id: str, now: float) -> None:
        """Note that a draining job's workers have handed everything over."""
        job = self.jobs.get(job_id)
        if job is not None and job.workers <= job.retired:
            job.drained_at = now

    def cancelled(self, job_ids: Iterable[str], now: float) -> None:
        """Take cancelled jobs for ended, at the end of a pool: nobody will ask about them again."""
        for job_id in job_ids:
            job = self.jobs[job_id]
            job.unwanted = job.state is not JobState.ENDED
            self.report(JobReport(job_id, Phase.ENDED, cause="cancelled"), now)

    # --- limits --------------------------------------------------------------------------

    def allowed(self, missing: int) -> int:
        """Return how many of the missing jobs the limits leave room for."""
        return min(quota.allowed(missing) for quota in self.quotas)

    @property
    def next_submission(self) -> float:
        """When the next submission may be: after failures, and after many others."""
        return max(self.not_before, *(quota.next_submission for quota in self.quotas))

    def submits(self, jobs: int, now: float) -> None:
        """Note that a submission is under way."""
        self.submitting += jobs
        for quota in self.quotas:
            quota.submits(now)

    # --- consequences --------------------------------------------------------------------

    def _missing(self, job: JobRecord, report: JobReport, now: float) -> bool:
        """Believe that a job is over when the batch system does not show it?"""
        if report.cause:  # its agent left an exit record: that settles it
            self._ended(job, report, now)
            return True
        if job.workers:  # silence of the batch system against a living connection
            return False
        if not (job.seen or job.ever_connected) and now - job.submitted_at < NOT_YET_VISIBLE:
            return False
        job.missed += 1
        if job.missed < MISSES and job.cancelled_at is None:
            return True
        gone = dataclasses.replace(report, cause="cancelled" if job.unwanted else "unknown")
        self._ended(job, gone, now)
        return True

    def _ended(self, job: JobRecord, report: JobReport, now: float) -> None:
        job.advance(Happening.GONE)
        job.workers = frozenset()
        job.reason, job.estimated_start = report.reason, ""
        job.exit_code, job.cause = report.exit_code, report.cause
        job.node = report.node or job.node
        job.log_path, job.log_tail = report.log_path or job.log_path, report.log_tail
        if not job.unwanted:
            self._lost(job, now)
        job.unwanted = False
        job.cancelled_at = None
        self._forget_oldest()

    def _lost(self, job: JobRecord, now: float) -> None:
        """Note that a job ended that nobody had asked to end."""
        if job.ever_connected:
            if job.cause != "walltime":
                self._setback(now)
            return
        self.failed_starts += 1
        self._delay(self.failed_starts, now)
        if self.failed_starts >= FAILURES_IN_A_ROW:
            self.pause = Pause(self.failed_starts, job=job.copy())

    def _setback(self, now: float) -> None:
        """Slow down if losses follow each other; losses of one moment count as one."""
        if now - self._last_loss > QUIET:
            self.losses = 0
        if now > self._last_loss and now >= self.not_before:
            self._delay(self.losses, now)
            self.losses += 1
        self._last_loss = now

    def _rejected(self, error: Exception, now: float) -> None:
        retrying_may_help = isinstance(error, BatchSystemError) and not isinstance(
            error, CommandNotFound
        )
        self.rejections += 1
        self.last_error = error
        self._delay(self.rejections, now)
        if self.rejections >= FAILURES_IN_A_ROW or not retrying_may_help:
            self.pause = Pause(self.rejections, error=error)

    def _delay(self, step: int, now: float) -> None:
        self.not_before = max(self.not_before, now + DELAYS[min(step, len(DELAYS) - 1)])

    def _forget_oldest(self) -> None:
        ended = [job for job in self.jobs.values() if job.state is JobState.ENDED]
        for job in ended[: max(0, len(ended) - KEPT)]:
            if not job.workers:
                del self.jobs[job.job_id]

    def validate(self) -> None:
        """Check every invariant; AssertionError if one is broken."""
        assert self.wanted >= 0
        assert self.submitting >= 0
        for job_id, job in self.jobs.items():
            assert job.job_id == job_id
            assert (job.state is JobState.CONNECTED) <= bool(job.workers), job
            assert (job.state in WAITING) <= (not job.workers), job
            assert (job.state is JobState.DRAINING) <= job.unwanted, job
            assert (job.state is JobState.ENDED) <= (not job.unwanted), job
