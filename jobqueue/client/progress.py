"""`progress`: how far tasks are, as bars in a terminal or a notebook, or as lines in a log.

`Tally` counts; a view (`progress_views.py`) shows what it counted; the rest waits, in a thread or
in a coroutine.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from typing import IO, TYPE_CHECKING, Any, Final

from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in
from jobqueue.client.progress_views import Bars, Lines, Notebook, Row, View
from jobqueue.client.reasons import EXPLAIN_AFTER, EXPLAIN_AGAIN
from jobqueue.client.states import ENDED_BADLY, FINISHED, pending
from jobqueue.errors import ConfigError
from jobqueue.protocol.running import giving_way

if TYPE_CHECKING:
    from jobqueue.client.states import Countdown

INTERVAL: Final = 0.1
"""Seconds between two pictures."""

SHARE: Final = 20
"""Counting takes no more than one part of so many of the time."""

_NUMBER = re.compile(r"(-\d+)?-[0-9a-f]+$")


class Tally:
    """Counts futures by the functions that they are of.

    Parameters
    ----------
    futures
        What to count.
    multi
        Whether to count the functions apart.
    """

    def __init__(self, futures: Sequence[Future], *, multi: bool) -> None:
        self._futures = futures
        self._names = [name_of(future.key) if multi else "tasks" for future in futures]
        self._totals = Counter(self._names)
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since it was made."""
        return time.monotonic() - self._began

    def pending(self) -> list[str]:
        """Return the keys of those that have not ended."""
        return pending(future._state for future in self._futures)

    def rows(self) -> list[Row]:
        """Count now; the functions come in the order in which they were first met."""
        states = [future._state.status for future in self._futures]
        counts = Counter(zip(self._names, states, strict=True))
        return [
            Row(
                name,
                total,
                counts[name, FINISHED],
                sum(counts[name, status] for status in ENDED_BADLY),
            )
            for name, total in self._totals.items()
        ]


def name_of(key: str) -> str:
    """Return the name of the function that a key was made of, as far as it shows it.

    Examples
    --------
    >>> name_of("inc-2f"), name_of("inc-1-2f"), name_of("my result")
    ('inc', 'inc', 'my result')
    """
    return _NUMBER.sub("", key) or key


def progress(
    *futures: Any,
    notebook: bool | None = None,
    multi: bool = True,
    interval: float = INTERVAL,
    file: IO[str] | None = None,
) -> Any:
    """Show how far tasks are.

    In a terminal it returns when all have ended, well or not: what they raised is for whoever asks
    for their results. In a notebook it returns at once, and the picture goes on below the cell.

    Parameters
    ----------
    *futures
        Futures of one client, or collections of them.
    notebook
        Whether this is a notebook; by default found out.
    multi
        Whether each function has a bar of its own.
    interval
        Seconds between two pictures.
    file
        Where to write, instead of standard output. What is no terminal gets plain lines.

    Returns
    -------
    None
        To be awaited if the client is asynchronous (in a notebook, if you like).

    Raises
    ------
    WorkersUnavailable
        No worker will come; the message says why. Not in a notebook.

    Examples
    --------
    >>> futures = client.map(abs, range(100))  # doctest: +SKIP
    >>> progress(futures)  # doctest: +SKIP
    abs ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100/100 done, 2300/s 0:00
    """
    found = [future for each in futures for future in futures_in(each)]
    if interval <= 0:
        raise ConfigError(f"interval={interval!r}: it is more than 0 s")
    if not found:
        raise ConfigError("progress() needs at least one future")
    if any(future.client is not found[0].client for future in found):
        raise ConfigError("these futures belong to several clients: show those of one client")
    here = in_notebook() if notebook is None else notebook
    file = file or sys.stdout

    def make() -> View:
        return Notebook() if here else Bars(file) if file.isatty() else Lines(file)

    showing = _Showing(Tally(found, multi=multi), make, found[0], interval)
    if found[0].client.asynchronous:
        return _go_on(showing.run_async()) if here else showing.run_async()
    if here:
        threading.Thread(target=showing.run_quietly, name="jobqueue-progress", daemon=True).start()
        return None
    return showing.run()


def in_notebook() -> bool:
    """Tell whether this runs in a notebook's kernel; imports nothing to find out."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class _Showing:
    """Shows a tally until all has ended.

    Parameters
    ----------
    tally
        What to show.
    make
        Makes the view.
    future
        Any of the futures.
    interval
        Seconds between two pictures.
    """

    def __init__(
        self, tally: Tally, make: Callable[[], View], future: Future, interval: float
    ) -> None:
        self._tally = tally
        self._make = make
        self._waits = future.client._waits
        self._interval = interval
        self._explain_at = EXPLAIN_AFTER

    def run(self) -> None:
        """Show it, in this thread."""
        self._waits.check_thread()
        wake = threading.Event()
        with ExitStack() as stack:
            stack.enter_context(giving_way())
            view = self._view(stack)
            guard: Countdown | None = None
            while (pause := self._step(view, guard)) is not None:
                if guard is None:  # not before: all may have ended
                    guard = stack.enter_context(self._waits.guard(wake.set))
                wake.wait(pause)

    async def run_async(self) -> None:
        """Show it, in the running event loop."""
        wake = asyncio.Event()
        with ExitStack() as stack:
            view = self._view(stack)
            guard: Countdown | None = None
            while (pause := self._step(view, guard)) is not None:
                if guard is None:
                    guard = stack.enter_context(self._waits.guard(wake.set))
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), pause)

    def run_quietly(self) -> None:
        """Show it, and nothing of what keeps tasks from ending: whoever waits for them hears it."""
        with suppress(Exception):
            self.run()

    def _view(self, stack: ExitStack) -> View:
        view = self._make()
        stack.callback(view.close)
        return view

    def _step(self, view: View, guard: Countdown | None) -> float | None:
        """Show a picture; return the seconds until the next, None after the last."""
        began = time.monotonic()
        rows = self._tally.rows()
        seconds = self._tally.seconds
        view.show(rows, seconds)
        left = sum(row.total - row.done for row in rows)
        if not left:
            return None
        if guard is not None and guard.error is not None:
            raise copy(guard.error)
        if seconds >= self._explain_at:
            self._explain_at = seconds + EXPLAIN_AGAIN
            self._waits.reasons.log_soon(self._tally.pending())
        return max(self._interval, SHARE * (time.monotonic() - began))


_pictures: set[asyncio.Task[None]] = set()
"""Those that go on below cells of notebooks."""


def _go_on(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a coroutine beside the notebook's cell."""
    task = asyncio.create_task(coroutine)
    _pictures.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    _pictures.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waits for the tasks hears it
