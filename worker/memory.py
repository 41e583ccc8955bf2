"""What a worker does about its memory: spill results to disk, and pause.

Of the memory limit,

====  ==========  =================================================================================
60 %  `target`    results take more: the least recently used ones go to disk, by the threads that
                  store results (`jobqueue.worker.spill`)
70 %  `spill`     the process takes more: results go to disk until it is below `target`, or none is
                  left in memory
80 %  `pause`     the process takes more: no task begins until it is 5 % below
95 %  `terminate` the agent ends the worker (`jobqueue.worker.overuse`)
====  ==========  =================================================================================

`Pressure` decides and is pure; `Monitor` measures, and does what was decided.

Workers that share one process cannot be told apart by what the process takes: each is charged its
part of it, as large as its limit is among those of the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import math
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from jobqueue.worker.limits import Fractions, percent, resident_bytes, show_bytes
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.spill import SpillingStore
from jobqueue.worker.spill_folder import SpillFolder
from jobqueue.worker.store import Store

logger = logging.getLogger("jobqueue.worker")

INTERVAL: Final = 0.2
"""Seconds between two looks at what the process takes."""

RELIEF: Final = 0.05
"""So much of the limit below `pause` a paused worker goes on, and spills between two looks."""

COLLECT: Final = 10.0
"""Seconds between two searches for garbage that refers to itself."""

HOPELESS: Final = 10.0
"""Seconds that a worker may be paused with nothing that runs, by what are not results."""


class Pressure:
    """Decides for one worker.

    Parameters
    ----------
    limit
        The worker's memory limit in bytes.
    fractions
        Of the limit, see the top of the file.

    Examples
    --------
    >>> pressure = Pressure(1000)
    >>> pressure.spills(690), pressure.spills(750), pressure.surplus(750)
    (False, True, 150.0)
    >>> pressure.look(810), pressure.look(760), pressure.look(740)
    (True, True, False)
    """

    def __init__(self, limit: int, fractions: Fractions | None = None) -> None:
        fractions = fractions or Fractions()
        self.limit = limit
        self.paused = False
        self._spill = _part(limit, fractions.spill)
        self._pause = _part(limit, fractions.pause)
        self._resume = self._pause - RELIEF * limit
        self._goal = min(_part(limit, fractions.target), self._spill, self._resume)

    @property
    def may_spill(self) -> bool:
        """Whether there is anything at which it spills."""
        return self._spill < math.inf

    def spills(self, taken: int) -> bool:
        """Return whether to begin to spill, if the process takes so many bytes."""
        return taken > self._spill

    def surplus(self, taken: int) -> float:
        """Return how many bytes to spill, once begun; 0 if it is enough."""
        return max(0.0, taken - self._goal)

    def look(self, taken: int) -> bool:
        """Take note of what the process takes; return whether no task may begin."""
        self.paused = taken > self._resume if self.paused else taken > self._pause
        return self.paused


def _part(limit: int, fraction: float | None) -> float:
    return math.inf if fraction is None else limit * fraction


class Monitor:
    """Keeps one worker within its memory limit.

    Parameters
    ----------
    store
        Where the worker keeps results; a `SpillingStore`, or one that spills nothing.
    pressure
        What decides.
    on_change
        Called with the reason in words when the worker has to pause, with None when it is over.
    idle
        Tells whether no task runs.
    on_hopeless
        Called with the reason in words when pausing does not help: nothing runs, and the memory is
        not taken by results. A process that has kept too much can only be started again. Or None.
    resident
        Tells the bytes that the process takes.
    """

    def __init__(
        self,
        store: Store,
        pressure: Pressure,
        *,
        on_change: Callable[[str | None], object],
        idle: Callable[[], bool],
        on_hopeless: Callable[[str], object] | None = None,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self.pressure = pressure
        self._store = store if isinstance(store, SpillingStore) else None
        self._on_change = on_change
        self._idle = idle
        self._on_hopeless = on_hopeless
        self._resident = resident
        self._relieving: asyncio.Task[None] | None = None
        # Nothing is left to spill.
        self._exhausted = self._store is None or not pressure.may_spill
        self._hopeless_since: float | None = None
        self._collected = -math.inf
        self._over = False

    @property
    def taken(self) -> int:
        """Bytes that this worker takes: the process, or its part of it."""
        others = sum(monitor.pressure.limit for monitor in _here if monitor is not self)
        return self._resident() * self.pressure.limit // (self.pressure.limit + others)

    @property
    def reason(self) -> str | None:
        """Why no task begins, in words; None if tasks may."""
        if not self.pressure.paused:
            return None
        taken, limit = self.taken, self.pressure.limit
        text = f"it uses {show_bytes(taken)} of its {show_bytes(limit)} memory limit"
        text += f" ({percent(taken, limit)})"
        if self._exhausted:
            return f"{text}, and has no result left that could be put on disk"
        if self._store is not None and self._store.refused:
            return f"{text}, and its disk takes no results"
        return text

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        _here.append(self)
        if self._store is not None:
            self._store.on_full = self._relieve_soon
        try:
            while True:
                self.look()
                await asyncio.sleep(INTERVAL)
        finally:
            self._over = True
            _here.remove(self)

    def look(self) -> None:
        """Look once."""
        taken, before = self.taken, self.pressure.paused
        if self.pressure.look(taken) != before:
            reason = self.reason
            logger.warning("worker goes on" if reason is None else f"worker pauses: {reason}")
            self._on_change(reason)
        if self.pressure.spills(taken) or (self._store is not None and self._store.pending):
            self._relieve_soon()
        self._look_for_hope()

    def _look_for_hope(self) -> None:
        now = time.monotonic()
        if not (self.pressure.paused and self._is_not_results() and self._idle()):
            self._hopeless_since = None
        elif self._hopeless_since is None:
            self._hopeless_since = now
        elif self._on_hopeless is not None and now >= self._hopeless_since + HOPELESS:
            self._hopeless_since = None
            self._on_hopeless(f"{self.reason}, while nothing runs")

    def _relieve_soon(self) -> None:
        if self._relieving is None and not self._over:
            self._relieving = asyncio.create_task(self._relieve())

    def _is_not_results(self) -> bool:
        """Whether it is something else that takes the memory, which dropping results won't free."""
        results = 0 if self._store is None else self._store.stored.memory
        return (
            self._exhausted and self._store is not None and results < RELIEF * self.pressure.limit
        )

    async def _relieve(self) -> None:
        try:
            await asyncio.to_thread(self.relieve)
        finally:
            self._relieving = None

    def relieve(self) -> None:
        """Spill as much as is wanted and there is; in a thread, since it takes its time."""
        if self._store is not None:
            self._store.shrink()
        if not self.pressure.spills(self.taken):
            return
        step = RELIEF * self.pressure.limit
        while (surplus := self.pressure.surplus(self.taken)) and not self._over:
            spilled = self._store is not None and self._store.release(min(surplus, step))
            if not spilled:
                self._exhausted = self._store is None or not self._store.refused
                self._collect()
                return
            # What was freed is the process's still, until the allocator has given it back.
            trim()
        self._exhausted = False

    def _collect(self) -> None:
        """Look for garbage that refers to itself: the last that can be done."""
        now = time.monotonic()
        if now >= self._collected + COLLECT:
            self._collected = now
            gc.collect()
            trim()


_here: list[Monitor] = []


def make_store(options: WorkerOptions, data: MutableMapping[str, Any] | None) -> Store:
    """Return what a worker keeps results in.

    Parameters
    ----------
    options
        The worker's.
    data
        The user's own mapping, which is used as it is, or None.
    """
    limit, fractions = options.memory_limit, options.memory_fractions
    if data is not None:
        return Store(data)
    if limit is None or (fractions.target is None and fractions.spill is None):
        return Store({})
    parent = options.local_directory
    if parent is None:  # no agent has chosen one
        import tempfile

        parent = tempfile.gettempdir()
    return SpillingStore(SpillFolder(parent), _part(limit, fractions.target))


class Usage:
    """What a worker says of itself in its heartbeats.

    Parameters
    ----------
    store
        Where it keeps results.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last = time.monotonic(), time.process_time()

    def numbers(self) -> dict[str, float]:
        """Return how many results there are, the bytes in memory and on disk, and CPU percents."""
        (then, used), self._last = self._last, (time.monotonic(), time.process_time())
        now, using = self._last
        store = self._store
        return {
            "results": len(store),
            "memory": resident_bytes(),
            "spilled": store.stored.spilled if isinstance(store, SpillingStore) else 0,
            "cpu": round(100 * (using - used) / max(now - then, 0.001), 1),
        }


def trim() -> None:
    """Have the allocator give back to the system what it holds and nobody uses."""
    with contextlib.suppress(AttributeError, OSError):  # no glibc
        _libc().malloc_trim(0)


@functools.cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)
