"""Which workers an agent ends because they take too much memory.

A worker's own monitor (`jobqueue.worker.memory`) cannot: a task that allocates in one step, or
holds the interpreter's lock meanwhile, leaves it no time. Without the agent it would be the kernel
that kills somebody, perhaps all of the job. SIGKILL, since at that speed there is no time for less.

No clock in here: `now` comes in with each call, in seconds of any monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from jobqueue.worker.limits import kernel_kills, percent, resident_bytes, show_bytes

INTERVAL = 0.2
"""Seconds between two looks. A process fills 1 GB in about that time."""

RECENT = 2.0
"""Seconds in which a process that the kernel has killed is seen to have ended."""


class Overuse:
    """Decides for one agent.

    Parameters
    ----------
    limit
        The memory limit of each worker in bytes, or None.
    fraction
        Of the limit, above which a worker is ended; None for never.
    resident
        Tells the bytes that a process takes.

    Examples
    --------
    >>> overuse = Overuse(1000 * 2**20, 0.95, resident={1: 900 * 2**20, 2: 960 * 2**20}.get)
    >>> overuse.look([(0, 1), (1, 2)], now=10.0)
    [(1, 'used 960 MiB of its 1000 MiB memory limit (96 %)')]
    >>> overuse.look([(0, 1)], now=10.1), overuse.deadline()
    ([], 10.2)
    """

    def __init__(
        self,
        limit: int | None,
        fraction: float | None,
        *,
        resident: Callable[[int], int | None] = resident_bytes,
    ) -> None:
        self._limit = limit or 0
        self._most = self._limit * fraction if fraction else 0.0
        self._resident = resident
        self._next = 0.0

    def deadline(self) -> float | None:
        """Return when to look next, or None for never."""
        return self._next if self._most else None

    def look(self, workers: Iterable[tuple[int, int]], now: float) -> list[tuple[int, str]]:
        """Look, if it is time to.

        Parameters
        ----------
        workers
            Slots and process ids.
        now
            The time.

        Returns
        -------
        list of tuple
            Slots of the workers to end, and why.
        """
        if not self._most or now < self._next:
            return []
        self._next = now + INTERVAL
        taken = [(slot, self._resident(pid) or 0) for slot, pid in workers]
        return [(slot, self._cause(bytes)) for slot, bytes in taken if bytes > self._most]

    def _cause(self, taken: int) -> str:
        limit = self._limit
        part = percent(taken, limit)
        return f"used {show_bytes(taken)} of its {show_bytes(limit)} memory limit ({part})"


class KernelKills:
    """Whether the kernel has killed somebody for lack of memory a moment ago.

    Whom is not told; a worker that was killed just then is taken to be it.

    Parameters
    ----------
    count
        Tells how many it has killed until now.

    Examples
    --------
    >>> counts = iter([5, 5, 6, 6, 6])
    >>> kills = KernelKills(lambda: next(counts))
    >>> [kills.recent(now) for now in (1.0, 2.0, 3.0, 9.0)]
    [False, True, True, False]
    """

    def __init__(self, count: Callable[[], int] = kernel_kills) -> None:
        self._count = count
        self._seen = count()
        self._until = -math.inf

    def recent(self, now: float) -> bool:
        """Look, and return whether it has."""
        count = self._count()
        if count > self._seen:
            self._seen, self._until = count, now + RECENT
        return now < self._until
