"""What goes wrong with a pool's jobs, counted: how long it waits then, and when it pauses; pure.

Rules:

* Whatever is lost or rejected is replaced, each time after a longer wait (``DELAYS``).
* ``FAILURES_IN_A_ROW`` jobs that ended without one connected worker, or as many rejected
  submissions, pause the pool: no more submissions until ``forget``.  An error that a second try
  cannot mend (no such command, no space for the script) pauses it at once; silence never does while
  there are jobs.  Jobs that turn out to be accepted end a pause for rejections.
* Losses of jobs that had worked never pause it.
"""

from __future__ import annotations

import dataclasses

from jobqueue.cluster.jobs import JobRecord
from jobqueue.errors import BatchSystemError, CommandNotFound

FAILURES_IN_A_ROW = 3
"""So many failed starts, or rejected submissions, in a row pause a pool."""

DELAYS = (0.0, 1.0, 5.0, 20.0, 60.0, 300.0)
"""Seconds before the replacement after the first, second, ... setback in a row."""

QUIET = 600.0
"""Seconds without a loss after which the next one is the first again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Why a pool has stopped submitting: the last failed job, or the last rejection."""

    failures: int
    job: JobRecord | None = None
    error: Exception | None = None


class Setbacks:
    """Those of one pool.

    Attributes
    ----------
    failed_starts, rejections, losses
        Jobs that ended without a worker, submissions that failed, moments at which jobs that had
        worked were lost: those in a row.
    last_job
        The last of those jobs.
    last_error
        Why the last submission failed, until one is accepted.
    pause
        Why nothing is submitted any more; None while it is.
    not_before
        When the next submission may be.
    """

    def __init__(self) -> None:
        self.failed_starts = 0
        self.rejections = 0
        self.losses = 0
        self.last_job: JobRecord | None = None
        self.last_error: Exception | None = None
        self.pause: Pause | None = None
        self.not_before = float("-inf")
        self._last_loss = float("-inf")

    def forget(self) -> None:
        """Begin anew: submit again as soon as jobs are missing."""
        self.pause = None
        self.failed_starts = self.rejections = self.losses = 0
        self.not_before = float("-inf")

    def failed_start(self, job: JobRecord, now: float) -> None:
        """Count a job that ended and never had a worker."""
        self.failed_starts += 1
        self.last_job = job
        self._delay(self.failed_starts, now)
        if self.failed_starts >= FAILURES_IN_A_ROW:
            self.pause = Pause(self.failed_starts, job=job.copy())

    def connected(self) -> None:
        """Note that a worker came: jobs do start."""
        self.failed_starts = 0

    def loss(self, now: float) -> None:
        """Count a job that had worked, or was not to blame; those of one moment count as one."""
        if now - self._last_loss > QUIET:
            self.losses = 0
        if now > self._last_loss and now >= self.not_before:
            self._delay(self.losses, now)
            self.losses += 1
        self._last_loss = now

    def rejection(self, error: Exception, now: float, *, outage: bool) -> None:
        """Count a submission that failed.

        Parameters
        ----------
        error
            Why.
        now
            The time.
        outage
            Whether the batch system said nothing, and there are jobs all the same.
        """
        hopeless = not isinstance(error, BatchSystemError) or isinstance(error, CommandNotFound)
        self.rejections += 1
        self.last_error = error
        self._delay(self.rejections, now)
        if hopeless or (self.rejections >= FAILURES_IN_A_ROW and not outage):
            self.pause = Pause(self.rejections, error=error)

    def accepted(self) -> None:
        """Note that the batch system has taken jobs."""
        self.rejections, self.last_error = 0, None
        if self.pause is not None and self.pause.job is None:
            self.pause = None

    def _delay(self, step: int, now: float) -> None:
        self.not_before = max(self.not_before, now + DELAYS[min(step, len(DELAYS) - 1)])
