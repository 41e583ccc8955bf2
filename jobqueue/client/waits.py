"""How a client waits: in a thread or in a coroutine, for tasks to end and values to come.

Every wait ends by itself if what it waits for cannot come (no workers, the client is closed), and
one that takes long says what it waits for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from jobqueue.client.connection import Connection
from jobqueue.client.states import Book, Countdown, State
from jobqueue.errors import JobQueueError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized

logger = logging.getLogger("jobqueue.client")

EXPLAIN_AFTER: Final = 10.0
"""Seconds of waiting without any worker after which the log says what is waited for."""

EXPLAIN_AGAIN: Final = 60.0
"""Seconds between two such lines."""


class Waits:
    """All waits of a client.

    Parameters
    ----------
    connection
        The client's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._book: Book = connection.book
        self._running: set[Countdown] = set()
        self.outage: JobQueueError | None = None

    def set_outage(self, error: JobQueueError | None) -> None:
        """End all waits with an error, and those that begin later, until it is None again."""
        with self._book.lock:
            self.outage = error
            if error is not None:
                for countdown in list(self._running):
                    countdown.abort(error)

    # -- in a thread -------------------------------------------------------------------------------

    def block(self, states: Sequence[State], timeout: float | None, enough: int = 0) -> bool:
        """Wait in this thread until tasks have ended.

        Parameters
        ----------
        states
            The tasks.
        timeout
            Seconds, or None.
        enough
            How many of the pending ones have to end; 0 for all.

        Returns
        -------
        bool
            False if the time ran out.

        Raises
        ------
        JobQueueError
            What is waited for cannot come.
        """
        done = threading.Event()
        countdown = Countdown(done.set)
        if not self._begin(countdown, states, enough):
            return True
        try:
            finished = self._wait_in_thread(done, timeout, len(states))
        finally:
            self._end(countdown, states)
        if countdown.error is not None:
            raise countdown.error
        return finished

    def _wait_in_thread(self, done: threading.Event, timeout: float | None, count: int) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        pause = EXPLAIN_AFTER
        while True:
            left = pause if end is None else min(pause, end - time.monotonic())
            if left <= 0 and not done.is_set():
                return False
            if done.wait(max(left, 0)):
                return True
            if end is None or time.monotonic() < end:
                pause = EXPLAIN_AGAIN
                self.explain(count)

    def fetch_blocking(self, keys: Sequence[str]) -> dict[str, Serialized | Failure]:
        """Get values that did not come along, in this thread."""
        done = threading.Event()
        values: dict[str, Serialized | Failure] = {}
        self._connection.loop.call_soon_threadsafe(self._fetch, keys, values, done.set)
        while not done.wait(EXPLAIN_AGAIN):
            logger.warning("still waiting for the values of %d tasks", len(keys) - len(values))
        return values

    # -- in a coroutine ----------------------------------------------------------------------------

    async def wait(self, states: Sequence[State], timeout: float | None, enough: int = 0) -> bool:  # noqa: ASYNC109
        """Wait in the event loop; otherwise as `block`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        countdown = Countdown(lambda: _set(done))
        if not self._begin(countdown, states, enough):
            return True
        explaining = loop.call_later(
            EXPLAIN_AFTER, lambda: asyncio.ensure_future(self._explain(len(states)))
        )
        try:
            await asyncio.wait_for(done, timeout)
        except TimeoutError:
            return False
        finally:
            explaining.cancel()
            self._end(countdown, states)
        if countdown.error is not None:
            raise countdown.error
        return True

    async def fetch(self, keys: Sequence[str]) -> dict[str, Serialized | Failure]:
        """Get values that did not come along."""
        values: dict[str, Serialized | Failure] = {}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fetch(keys, values, lambda: _set(done))
        await done
        return values

    # -- while iterating ---------------------------------------------------------------------------

    @contextmanager
    def guard(self, on_abort: Callable[[], object]) -> Iterator[Countdown]:
        """Have `on_abort` called, once, if a wait that somebody else manages cannot end well.

        Yields
        ------
        Countdown
            Its `error` says why.

        Raises
        ------
        JobQueueError
            What is waited for cannot come.
        """
        countdown = Countdown(on_abort)
        countdown.left = 1
        with self._book.lock:
            if self.outage is not None:
                raise self.outage
            self._running.add(countdown)
        try:
            yield countdown
        finally:
            with self._book.lock:
                self._running.discard(countdown)

    def explain(self, count: int) -> None:
        """Log, soon, what is waited for, if nothing is happening. From any thread."""
        asyncio.run_coroutine_threadsafe(self._explain(count), self._connection.loop)

    # -- both --------------------------------------------------------------------------------------

    def _begin(self, countdown: Countdown, states: Sequence[State], enough: int) -> bool:
        with self._book.lock:
            pending = self._book.count_pending(countdown, states)
            if not pending or (enough and len(states) - pending >= enough):
                self._book.stop_waiting(states, countdown)
                return False
            if self.outage is not None:
                self._book.stop_waiting(states, countdown)
                raise self.outage
            if enough:
                countdown.left = enough - (len(states) - pending)
            self._running.add(countdown)
            return True

    def _end(self, countdown: Countdown, states: Sequence[State]) -> None:
        with self._book.lock:
            self._running.discard(countdown)
            if countdown.left != 0 or countdown.error is not None:
                self._book.stop_waiting(states, countdown)

    def _fetch(
        self,
        keys: Sequence[str],
        values: dict[str, Serialized | Failure],
        callback: Callable[[], object],
    ) -> None:
        wanted = set(keys)

        def arrived(key: str, value: Serialized | Failure) -> None:
            values[key] = value
            if len(values) == len(wanted):
                callback()

        for key in wanted:
            self._connection.fetch(key, lambda value, key=key: arrived(key, value))  # type: ignore[misc]

    async def _explain(self, count: int) -> None:
        try:
            situation: Any = await self._connection.ask("situation")
        except JobQueueError:
            return
        if not situation["workers"] or not situation["running"]:
            logger.warning("waiting for %d tasks: %s", count, situation["text"])


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
