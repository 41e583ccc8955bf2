"""When the job that takes another's place is submitted: early enough to be there in time. Pure.

A job whose time is nearly over stops to count as one of the jobs wanted, so that another is
submitted. That is so long before its end:

    what jobs of this pool took lately from their submission until they worked (the median),
    but no more than half of the job's time: where the queue is slower than that, jobs would
    be submitted in place of those that have hardly begun
  + the margin, in which it hands over and takes no more tasks

Jobs that came together end together: with the first of them those go that would follow soon, so
that what takes their place is one submission.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobqueue.cluster.jobs import JobRecord
from jobqueue.worker.deadline import default_margin
from jobqueue.worker.orders import WARNED_AHEAD

TOGETHER = 0.05
"""The part of its time by which a job may be replaced early, together with others."""

REMEMBERED = 9
"""So many of the last jobs tell how long the next will take to come."""


class Renewal:
    """What is remembered of jobs that came, and what follows for those that will go.

    Parameters
    ----------
    margin
        Seconds before their end in which jobs hand over; None for the usual.

    Examples
    --------
    >>> renewal = Renewal()
    >>> job = JobRecord("1", "default", 0.0, started_at=5.0, joined_at=8.0, expires_at=65.0)
    >>> renewal.came(job)
    >>> renewal.due(job)  # 8 s to come, 10 s to hand over
    47.0
    """

    def __init__(self, margin: float | None = None) -> None:
        self._margin = margin
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._to_come = 0.0

    def came(self, job: JobRecord) -> None:
        """Take note that a job's first worker has connected."""
        if job.joined_at is not None and not job.restarts:
            self._took.append(job.joined_at - job.submitted_at)
            # The median, of two the longer; the statistics module would bring fractions and more.
            self._to_come = sorted(self._took)[len(self._took) // 2]

    def due(self, job: JobRecord) -> float | None:
        """Return when the job in its place is to be submitted; None if it has no known end."""
        if job.expires_at is None:
            return None
        total = _total(job)
        margin = default_margin(total) if self._margin is None else self._margin
        return job.expires_at - min(self._to_come, total / 2) - margin

    def over(self, jobs: Iterable[JobRecord], now: float) -> list[JobRecord]:
        """Return those of some jobs whose time is nearly over: others are to be submitted now."""
        dues = [(job, due) for job in jobs if (due := self.due(job)) is not None]
        if all(due > now for _, due in dues):
            return []
        return [job for job, due in dues if due <= now + TOGETHER * _total(job)]

    def ends_soon(self, job: JobRecord, now: float) -> bool:
        """Return whether a job that hands over now may do so because its time is nearly over."""
        due = self.due(job)
        return due is not None and now >= due - WARNED_AHEAD


def _total(job: JobRecord) -> float:
    """Return how long a job may run in all, from when it was seen to have begun."""
    if job.expires_at is None or job.started_at is None:
        return 0.0
    return max(0.0, job.expires_at - job.started_at)
