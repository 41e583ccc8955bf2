"""A pool's jobs, and what becomes of them as things happen: no clock, no processes, no sockets.

``PoolState`` is told what happened (``report``, ``worker_joined``, ``submitted`` ...). What is to
be done about it is decided in reconcile.py.

Rules:

* A job is over when the batch system says so, or when it has stopped to know a job it knew and no
  worker of that job is connected.  Workers that leave are never reason enough: a loss is counted,
  and replaced, once.
* Whatever is lost or rejected is replaced, each time after a longer wait (setbacks.py).  A job that
  used up its time, or had to make room for another's, is no loss, unless it had hardly begun.
* A requeued job is the same job.  It counts as one of those wanted while it waits: whoever it had
  to make room for has its nodes, and a job submitted in its place would wait behind it.  One whose
  node failed, or that broke off without a word, is replaced: another may find a node at once.  So
  is one that is held, for nobody knows until when: see ``lost_run``.
* A job that was given up because no answer shows it may exist all the same, where nobody looks: it
  is cancelled, and not forgotten before the batch system has taken that: see ``unaccounted``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from jobqueue.cluster.causes import (
    CANCELLED,
    COMPLETED,
    NOBODYS_FAULT,
    NODE_FAILED,
    PREEMPTED,
    UNKNOWN,
    WALLTIME,
)
from jobqueue.cluster.jobs import WAITING, Happening, JobRecord, JobReport, JobState, Phase
from jobqueue.cluster.limits import UNLIMITED, Limits, Quota
from jobqueue.cluster.renewal import Renewal
from jobqueue.cluster.setbacks import Setbacks

NOT_YET_VISIBLE = 30.0
"""Seconds in which a batch system may not yet show a job that it has accepted."""

HARDLY_BEGUN = 20.0
"""Seconds that a job has to work for its end to be as good as expected, whatever the cause."""

MISSES = 2
"""Answers in a row without a job the batch system used to show, before it is taken for ended."""

KEPT = 1000
"""Ended jobs that are remembered for ``cluster.jobs``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Submission:
    """What came of a submission: the jobs that exist now, and what went wrong, if something did."""

    job_ids: tuple[str, ...] = ()
    error: Exception | None = None
    in_doubt: bool = False  # the batch system gave no answer: it may know of more jobs


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
    margin
        Seconds before the end of their time in which its jobs hand over; None for the usual.
    """

    def __init__(
        self,
        name: str = "default",
        limits: Limits = UNLIMITED,
        *,
        shared: Quota | None = None,
        margin: float | None = None,
    ) -> None:
        self.name = name
        self.quotas: tuple[Quota, ...] = (Quota(limits), *(() if shared is None else (shared,)))
        for quota in self.quotas:
            quota.join(self)
        self.renewal = Renewal(margin)
        self.wanted = 0
        self.mode = ""  # how `wanted` comes about, for people, if not by `scale`
        self.submitting = 0
        self.jobs: dict[str, JobRecord] = {}
        self.setbacks = Setbacks()
        self.closing = False

    def __repr__(self) -> str:
        """``<PoolState default: 2/4 jobs, connected=2, submitting 2, paused>``."""
        counts: dict[str, int] = {}
        for job in self.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        parts = [f"{len(self.live())}/{self.wanted} jobs"]
        parts += [f"{state}={n}" for state, n in sorted(counts.items())]
        parts += [f"submitting {self.submitting}"] if self.submitting else []
        parts += ["paused"] if self.setbacks.pause else []
        return f"<PoolState {self.name}: {', '.join(parts)}>"

    def live(self) -> list[JobRecord]:
        """Jobs that count towards ``wanted``."""
        return [job for job in self.jobs.values() if job.live]

    def standing_in(self) -> list[JobRecord]:
        """Jobs near the end of their time, or waiting after a loss: others are wanted instead."""
        return [job for job in self.jobs.values() if job.stands_in]

    def uncertain(self) -> list[JobRecord]:
        """Jobs that were given up, and that nobody has said to be over."""
        return [job for job in self.jobs.values() if job.unaccounted]

    def unended(self) -> list[JobRecord]:
        """Jobs that may still exist in the batch system."""
        return [job for job in self.jobs.values() if job.state is not JobState.ENDED]

    def snapshot(self, now: float) -> list[JobRecord]:
        """All jobs as they stand, ended ones included, oldest first; they stay as they are."""
        return [job.copy(now) for job in self.jobs.values()]

    # --- what the user wants -------------------------------------------------------------

    def scale(self, wanted: int) -> None:
        """Set the number of jobs wanted, and go on if the pool was paused."""
        self.wanted = wanted
        self.setbacks.forget()

    @property
    def goal(self) -> int:
        """Jobs that there are to be: as many as are wanted, or may be."""
        most = [quota.limits.max_jobs for quota in self.quotas]
        return min([self.wanted, *(limit for limit in most if limit is not None)])

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
            outage = result.in_doubt and bool(self.live())
            self.setbacks.rejection(result.error, now, outage=outage)

    def adopt(self, job_ids: Iterable[str], now: float) -> None:
        """Take jobs as ours: just submitted, or found after a submission of unknown outcome."""
        for job_id in job_ids:
            self.setbacks.accepted()
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
        if report.phase is Phase.RUNNING:
            job.started_at = now if job.started_at is None else job.started_at
            job.advance(Happening.STARTED)
        else:
            self._waits(job, report, now)
        return before != (job.state, job.reason)

    def worker_joined(
        self, job_id: str, worker: str, now: float, expires_at: float | None = None, node: str = ""
    ) -> bool:
        """Take in that a worker connected; return whether its job is one of ours.

        Parameters
        ----------
        job_id, worker, node
            Who came, and from where.
        now
            The time.
        expires_at
            When the job's time is over, if the worker knows.
        """
        job = self.jobs.get(job_id)
        if job is None:
            return False
        job.advance(Happening.JOINED)
        job.workers |= {worker}
        job.ever_connected = True
        job.node = job.node or node
        job.reason = job.estimated_start = ""  # it waits no more
        self.setbacks.connected()
        job.started_at = now if job.started_at is None else job.started_at
        if expires_at is not None:
            job.expires_at = expires_at
        if job.joined_at is None:
            job.joined_at = now
            self.renewal.came(job)
        return True

    def worker_drains(
        self, job_id: str, reason: str, now: float, expires_at: float | None = None
    ) -> bool:
        """Take in that a worker hands over, not by our wish; return whether its job is ours.

        If its time is nearly over, that is why. Otherwise the batch system will tell what comes of
        it: a job that has to make room may come back.
        """
        job = self.jobs.get(job_id)
        if job is None:
            return False
        if job.state is JobState.CONNECTED:
            job.leaves = reason
            if WALLTIME in reason or self.renewal.ends_soon(job, now):
                job.expires_at = expires_at if job.expires_at is None else job.expires_at
                job.expiring = True
                job.advance(Happening.DRAIN)
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
            job.unwanted, job.unaccounted = job.state is not JobState.ENDED, False
            self.report(JobReport(job_id, Phase.ENDED, cause=CANCELLED), now)

    # --- limits --------------------------------------------------------------------------

    def allowed(self, missing: int) -> int:
        """Return how many of the missing jobs the limits leave room for."""
        return min(quota.allowed(missing) for quota in self.quotas)

    @property
    def next_submission(self) -> float:
        """When the next submission may be: after failures, and after many others."""
        return max(self.setbacks.not_before, *(quota.next_submission for quota in self.quotas))

    def submits(self, jobs: int, now: float) -> None:
        """Note that a submission is under way."""
        self.submitting += jobs
        for quota in self.quotas:
            quota.submits(now)

    # --- consequences --------------------------------------------------------------------

    def _waits(self, job: JobRecord, report: JobReport, now: float) -> None:
        """Take in that the batch system says so, perhaps of a job that has run."""
        lost = job.lost_run
        if job.was_requeued:
            known = report.cause if report.cause in (PREEMPTED, NODE_FAILED) else ""
            job.begin_anew(known, lost=known == NODE_FAILED)
        else:
            job.advance(Happening.QUEUED)
        if job.state is not JobState.PENDING:
            return  # that was so before its workers came
        job.held = report.held
        job.lost_run = job.lost_run or (job.held and job.restarts > 0)
        if job.lost_run and not lost and not job.unwanted:
            if job.ever_connected:
                self.setbacks.loss(now)
            else:
                self.setbacks.failed_start(job, now)

    def made_sure(self, job_ids: Iterable[str]) -> list[str]:
        """Take in that a cancellation was accepted; return those that were unaccounted for."""
        found = [self.jobs[i] for i in job_ids if i in self.jobs and self.jobs[i].unaccounted]
        for job in found:
            job.unaccounted, job.cancelled_at = False, None
        return [job.job_id for job in found]

    def _missing(self, job: JobRecord, report: JobReport, now: float) -> bool:
        """Believe that a job is over when the batch system does not show it?"""
        if job.workers:  # silence of the batch system against a living connection
            return False
        if report.cause and job.state is not JobState.PENDING:
            # It has left word of its end: that settles it. Of one that waits, that may be of an
            # earlier run.
            self._ended(job, report, now)
            return True
        if not (job.seen or job.ever_connected) and now - job.submitted_at < NOT_YET_VISIBLE:
            return False
        job.missed += 1
        if job.missed < MISSES and job.cancelled_at is None:
            return True
        cause = report.cause or (CANCELLED if job.unwanted else UNKNOWN)
        unaccounted = not report.cause and job.cancelled_at is None
        self._ended(job, dataclasses.replace(report, cause=cause), now)
        job.unaccounted = unaccounted
        return True

    def _ended(self, job: JobRecord, report: JobReport, now: float) -> None:
        counted = job.lost_run  # when its run was lost, by whoever ended it since
        job.advance(Happening.GONE)
        job.workers = frozenset()
        job.reason, job.estimated_start = report.reason, ""
        job.exit_code, job.cause = report.exit_code, _cause_of(job, report.cause)
        job.node = report.node or job.node
        job.log_path, job.log_tail = report.log_path or job.log_path, report.log_tail
        if not (job.unwanted or counted):
            self._lost(job, now)
        job.unwanted = job.expiring = False
        job.cancelled_at = None
        self._forget_oldest()

    def _lost(self, job: JobRecord, now: float) -> None:
        """Note that a job ended that nobody had asked to end."""
        worked = job.joined_at is not None and now - job.joined_at >= HARDLY_BEGUN
        if worked and job.cause in NOBODYS_FAULT:
            return
        if job.ever_connected or job.cause in (PREEMPTED, NODE_FAILED):
            self.setbacks.loss(now)
        else:
            self.setbacks.failed_start(job, now)

    def _forget_oldest(self) -> None:
        ended = [job for job in self.jobs.values() if job.state is JobState.ENDED]
        for job in ended[: max(0, len(ended) - KEPT)]:
            if not (job.workers or job.unaccounted):
                del self.jobs[job.job_id]

    def validate(self) -> None:
        """Check every invariant; AssertionError if one is broken."""
        assert self.wanted >= 0
        assert self.submitting >= 0
        for job_id, job in self.jobs.items():
            assert job.job_id == job_id
            assert (job.state is JobState.CONNECTED) <= bool(job.workers), job
            assert (job.state in WAITING) <= (not job.workers), job
            assert (job.state is JobState.DRAINING) <= (job.unwanted or job.expiring), job
            assert (job.state is JobState.ENDED) <= (not (job.unwanted or job.expiring)), job
            assert job.expiring <= (job.state not in WAITING), job
            assert (job.lost_run or job.held) <= (job.state is JobState.PENDING), job
            assert job.unaccounted <= (job.state is JobState.ENDED), job


def _cause_of(job: JobRecord, cause: str) -> str:
    """Return why a job ended, of which we know that its time was nearly over.

    An agent that was told to end, for another job had come in place of its own, has seen no more
    than that.
    """
    by_us = cause == CANCELLED and job.cancelled_at is not None
    return WALLTIME if job.expiring and (by_us or cause in (COMPLETED, UNKNOWN)) else cause
