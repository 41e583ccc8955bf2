"""Submissions of which is not known what came of them: looked for by their marks. Pure.

A batch system that hangs may have accepted a job all the same.  One look does not suffice: when it
wakes up it may answer a query before it gets to the submission that came earlier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from jobqueue.batch.answers import JobStatus

WATCHED = 300.0
"""Seconds for which a submission is looked for."""

SETTLING = 5.0
"""Seconds between two answers without a job, after which another may be submitted in its place."""


@dataclasses.dataclass(slots=True)
class Doubt:
    """One submission.

    Parameters
    ----------
    until
        When it is no longer looked for.
    absent_since
        When the batch system first answered without showing it.
    """

    until: float
    absent_since: float = float("inf")


class Doubts:
    """All of one pool, by mark."""

    def __init__(self) -> None:
        self._doubts: dict[str, Doubt] = {}

    def __bool__(self) -> bool:
        return bool(self._doubts)

    def __contains__(self, tag: object) -> bool:
        return tag in self._doubts

    def tags(self) -> frozenset[str]:
        """Return the marks."""
        return frozenset(self._doubts)

    def add(self, tags: Iterable[str], now: float) -> None:
        """Begin to look for submissions."""
        self._doubts |= {tag: Doubt(now + WATCHED) for tag in tags}

    def take(self, answer: Mapping[str, JobStatus], now: float) -> dict[str, tuple[str, ...]]:
        """Learn from an answer about all of the user's jobs.

        Returns
        -------
        dict
            Mark -> ids of its jobs, of submissions that are in doubt no longer; () for one that
            was looked for in vain, long enough.
        """
        resolved: dict[str, tuple[str, ...]] = {}
        for tag, doubt in self._doubts.items():
            ids = tuple(status.job_id for status in answer.values() if status.tag == tag)
            doubt.absent_since = min(doubt.absent_since, now)
            if ids or now > doubt.until:
                resolved[tag] = ids
        for tag in resolved:
            del self._doubts[tag]
        return resolved

    def settled_at(self) -> float:
        """Return when, if no answer shows them until then, others may be submitted in place."""
        since = [doubt.absent_since for doubt in self._doubts.values()]
        return max(since, default=float("-inf")) + SETTLING
