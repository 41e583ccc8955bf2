"""Ending tasks that run although they were cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from jobqueue.worker.runner import Run, settle

INTERVAL: Final = 0.1
"""Seconds between two interruptions of the same task: it may have caught the first."""

GRACE: Final = 2.0
"""Seconds that a task may take to end of them."""


class Interrupts:
    """Interrupts runs of tasks until they have ended, or do not. Lives in the event loop.

    Parameters
    ----------
    stuck
        Called with the key of a task that has not ended within `GRACE`: in the operating system
        nothing can interrupt it, and a task may catch everything.
    """

    def __init__(self, stuck: Callable[[str], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stuck = stuck
        self._runs: list[tuple[Run, float]] = []  # and until when it may go on
        self._timer: asyncio.TimerHandle | None = None

    def add(self, runs: Iterable[Run]) -> None:
        """Begin to interrupt these."""
        until = self._loop.time() + GRACE
        self._runs.extend((run, until) for run in runs)
        if self._timer is None:
            self._look()

    def clear(self) -> None:
        """Leave all in peace."""
        self._runs.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._runs = [(run, until) for run, until in self._runs if run.interrupt()]
        now = self._loop.time()
        late = [run.item.key for run, until in self._runs if now >= until]
        if late:
            self.clear()
            settle()
            self._stuck(late[0])
        elif self._runs:
            self._timer = self._loop.call_later(INTERVAL, self._look)


async def wait_ended(runs: Iterable[Run]) -> bool:
    """Interrupt runs for `GRACE` at most; return whether all have ended."""
    over = asyncio.get_running_loop().time() + GRACE
    runs = [run for run in runs if run.interrupt()]
    while runs and asyncio.get_running_loop().time() < over:
        await asyncio.sleep(INTERVAL / 5)
        runs = [run for run in runs if run.interrupt()]
    settle()
    return not runs
