"""What is asked of a batch system at the most: by one pool, and by all pools of a cluster. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from jobqueue.cluster.jobs import WAITING, JobRecord


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a batch system at the most.

    Parameters
    ----------
    max_jobs
        Jobs that exist at the same time, those that are about to end included; None for any number.
    max_pending
        Of these, jobs that wait in the queue; None for any number.
    burst, pace
        Submissions that may follow each other at once, and seconds after which there may be one
        more: in the long run, one each `pace` seconds. A submission is any number of jobs.
    """

    max_jobs: int | None = None
    max_pending: int | None = None
    burst: int = 1
    pace: float = 0.0


UNLIMITED = Limits()


class Counted(Protocol):
    """What a quota reads of a pool."""

    submitting: int

    def unended(self) -> Sequence[JobRecord]:
        """Return the jobs that may still exist."""


class Quota:
    """Limits, and who is held to them together.

    Parameters
    ----------
    limits
        The limits.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pools: list[Counted] = []
        self._paced = float("-inf")  # when all submissions so far would have been, one each `pace`

    def __str__(self) -> str:
        """``max_jobs=10 and max_pending=2``; "" where any number of jobs may be."""
        values = {"max_jobs": self.limits.max_jobs, "max_pending": self.limits.max_pending}
        return " and ".join(f"{name}={n}" for name, n in values.items() if n is not None)

    def join(self, pool: Counted) -> None:
        """Hold a pool to these limits, together with those that joined before."""
        self._pools.append(pool)

    def allowed(self, missing: int) -> int:
        """Return how many of the missing jobs there is room for."""
        submitting = sum(pool.submitting for pool in self._pools)
        limits = self.limits
        if limits.max_jobs is not None:
            existing = sum(len(pool.unended()) for pool in self._pools)
            missing = min(missing, limits.max_jobs - existing - submitting)
        if limits.max_pending is not None:
            jobs = (job for pool in self._pools for job in pool.unended())
            pending = sum(job.state in WAITING for job in jobs)
            missing = min(missing, limits.max_pending - pending - submitting)
        return max(0, missing)

    @property
    def next_submission(self) -> float:
        """When the next submission may be, after many others."""
        return self._paced - (self.limits.burst - 1) * self.limits.pace

    def submits(self, now: float) -> None:
        """Note that a submission is under way."""
        self._paced = max(self._paced, now) + self.limits.pace
