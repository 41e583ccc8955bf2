"""When the batch system is asked: sparsely, and soon after something has happened."""

from __future__ import annotations

from collections.abc import Sequence


class Polling:
    """When to ask next.

    Parameters
    ----------
    intervals
        Seconds between queries while nothing changes; the last one repeats.

    Examples
    --------
    >>> polling = Polling((1.0, 60.0))
    >>> polling.soon(0.0), polling.due
    (None, 1.0)
    >>> polling.asked(1.0, news=False), polling.due
    (None, 61.0)
    """

    def __init__(self, intervals: Sequence[float]) -> None:
        self._intervals = intervals
        self._step = 0
        self.due = float("inf")

    def soon(self, now: float) -> None:
        """Something happened: begin with the shortest interval again."""
        self._step = 0
        self.due = min(self.due, now + self._intervals[0])

    def asked(self, now: float, *, news: bool) -> None:
        """A query was answered: plan the next one."""
        self._step = 0 if news else min(self._step + 1, len(self._intervals) - 1)
        self.due = now + self._intervals[self._step]
