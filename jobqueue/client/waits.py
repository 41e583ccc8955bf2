"""How a client waits: in a thread or in a coroutine, for tasks to end and values to come.

Every wait ends by itself if what it waits for cannot come (no workers, the client is closed), and
one that takes long says what it waits for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from typing import Any

from jobqueue.client.connection import Connection
from jobqueue.client.reasons import EXPLAIN_AFTER, EXPLAIN_AGAIN, Reasons
from jobqueue.client.states import Book, Countdown, State, pending
from jobqueue.errors import ClientClosed, CommError, ConnectionLost, JobQueueError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.running import giving_way, in_breaths, running

Keys = Callable[[], Sequence[str]]
"""Returns the keys of what is still waited for."""

Values = dict[str, Serialized | Failure]
"""What was fetched, by key."""


class Waits:
    """All waits of a client.

    Parameters
    ----------
    connection
        The client's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.book: Book = connection.book
        self.reasons = Reasons(connection)
        self._running: dict[Countdown, Callable[[], Sequence[State]]] = {}  # what is waited for
        self._loop_tasks: set[asyncio.Future[None]] = set()
        self.outage: JobQueueError | None = None
        self._stranded = False  # some tasks wait in vain, and others do not

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that brings what is waited for."""
        return self._connection.loop

    @property
    def in_loop_thread(self) -> bool:
        """Whether the calling thread is that event loop's."""
        return self._connection.in_thread

    def set_outage(self, error: JobQueueError | None) -> None:
        """End all waits with an error, and those that begin later, until it is None again."""
        with self.book.lock:
            self.outage = error
            if error is not None:
                for countdown in list(self._running):
                    countdown.abort(error)

    def on_outage(self, failure: Sequence[Any] | None) -> None:
        """Take in that no workers will come, or that they may again."""
        error = None if failure is None else Failure(*failure).to_exception()
        self.set_outage(error if isinstance(error, JobQueueError) else None)

    def on_stranded(self, some: bool) -> None:
        """Take in that workers will come for some tasks only, or for all."""
        with self.book.lock:
            self._stranded = some
            waits = list(self._running.items()) if some else []
        for countdown, states in waits:
            self._doubt(countdown, states)

    def on_closed(self, reason: CommError) -> None:
        """Take in that the connection has ended."""
        self.end(ConnectionLost(f"the connection to the scheduler has ended: {reason}"))

    def end(self, error: ClientClosed) -> None:
        """Let nothing wait from now on; the first reason given counts."""
        if self.book.closed is None:
            self.book.close(error)
            self.set_outage(error)

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
        done = _held_lock()
        countdown = Countdown(done.release)
        try:
            if not self._begin(countdown, states, enough):
                return True
            self.check_thread()
            finished = self._wait_in_thread(done, timeout, lambda: pending(states))
        finally:
            self._end(countdown, states)
        if countdown.error is not None:
            raise copy(countdown.error)
        return finished

    def _wait_in_thread(self, done: threading.Lock, timeout: float | None, keys: Keys) -> bool:
        """Wait until a lock is released, as `block`."""
        if running.host is None:
            return self._acquire(done, timeout, keys)
        with giving_way():
            return self._acquire(done, timeout, keys)

    def _acquire(self, done: threading.Lock, timeout: float | None, keys: Keys) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        pause = EXPLAIN_AFTER
        while True:
            left = pause if end is None else max(0.0, min(pause, end - time.monotonic()))
            if in_breaths(partial(done.acquire, True), left):
                return True
            if end is not None and time.monotonic() >= end:
                return False
            pause = EXPLAIN_AGAIN
            self.reasons.log_soon(keys())

    def fetch_blocking(self, keys: Sequence[str], timeout: float | None = None) -> Values | None:
        """Get values that did not come along, in this thread; None if the time runs out."""
        self.check_thread()
        done = _held_lock()
        values: Values = {}
        countdown = self._begin_fetch(done.release, keys)
        try:
            self._connection.loop.call_soon_threadsafe(self._fetch, keys, values, countdown)
            in_time = self._wait_in_thread(done, timeout, lambda: keys)
        finally:
            self._end(countdown, ())
        if countdown.error is not None:
            raise copy(countdown.error)
        return values if in_time else None

    def check_thread(self) -> None:
        """Refuse to block the event loop that is to bring what is waited for.

        Raises
        ------
        JobQueueError
            This thread is that event loop's.
        """
        if self.in_loop_thread:
            raise JobQueueError(
                "waiting here would stop the event loop that brings the result: use 'await', or "
                "'async for'"
            )

    # -- in a coroutine ----------------------------------------------------------------------------

    async def wait(self, states: Sequence[State], timeout: float | None, enough: int = 0) -> bool:  # noqa: ASYNC109
        """Wait in the event loop; otherwise as `block`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        countdown = Countdown(lambda: _set(done))
        if not self._begin(countdown, states, enough):
            return True
        explaining = loop.call_later(
            EXPLAIN_AFTER, lambda: asyncio.ensure_future(self.reasons.log(pending(states)))
        )
        try:
            await asyncio.wait_for(done, timeout)
        except TimeoutError:
            return False
        finally:
            explaining.cancel()
            self._end(countdown, states)
        if countdown.error is not None:
            raise copy(countdown.error)
        return True

    async def fetch(self, keys: Sequence[str], timeout: float | None = None) -> Values | None:  # noqa: ASYNC109
        """Get values that did not come along; None if the time runs out."""
        values: Values = {}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        countdown = self._begin_fetch(lambda: _set(done), keys)
        try:
            self._fetch(keys, values, countdown)
            await asyncio.wait_for(done, timeout)
        except TimeoutError:
            return None
        finally:
            self._end(countdown, ())
        if countdown.error is not None:
            raise copy(countdown.error)
        return values

    # -- while iterating ---------------------------------------------------------------------------

    @contextmanager
    def guard(
        self, on_abort: Callable[[], object], states: Callable[[], Sequence[State]] = tuple
    ) -> Iterator[Countdown]:
        """Have `on_abort` called, once, if a wait that somebody else manages cannot end well.

        Parameters
        ----------
        on_abort
            What to call.
        states
            Returns the tasks, one of which has to end; none if it is not for tasks.

        Yields
        ------
        Countdown
            Its `error` says why.

        Raises
        ------
        JobQueueError
            What is waited for cannot come.
        """
        countdown = self.watch(on_abort, states)
        try:
            yield countdown
        finally:
            self.unwatch(countdown)

    def watch(
        self, on_abort: Callable[[], object], states: Callable[[], Sequence[State]] = tuple
    ) -> Countdown:
        """Begin what `guard` does; `on_abort` is called with the book's lock held."""
        countdown = Countdown(on_abort)
        countdown.left = 1
        with self.book.lock:
            if self.outage is not None:
                raise copy(self.outage)  # one object would pile up the traceback of each wait
            self._add(countdown, states)
        return countdown

    def unwatch(self, countdown: Countdown) -> None:
        """End it."""
        with self.book.lock:
            self._running.pop(countdown, None)

    # -- both --------------------------------------------------------------------------------------

    def _begin(self, countdown: Countdown, states: Sequence[State], enough: int) -> bool:
        with self.book.lock:
            left = self.book.count_pending(countdown, states)
            if not left or (enough and len(states) - left >= enough):
                self.book.stop_waiting(states, countdown)
                return False
            if self.outage is not None:
                self.book.stop_waiting(states, countdown)
                raise copy(self.outage)
            if enough:
                countdown.left = enough - (len(states) - left)
            self._add(countdown, lambda: states)
            return True

    def _add(self, countdown: Countdown, states: Callable[[], Sequence[State]]) -> None:
        self._running[countdown] = states
        if self._stranded:
            self._connection.loop.call_soon_threadsafe(self._doubt, countdown, states)

    def _doubt(self, countdown: Countdown, states: Callable[[], Sequence[State]]) -> None:
        """Find out whether a wait is in vain; in the event loop."""
        self._loop_tasks.add(task := asyncio.ensure_future(self._find_out(countdown, states())))
        task.add_done_callback(self._loop_tasks.discard)

    async def _find_out(self, countdown: Countdown, states: Sequence[State]) -> None:
        if not (keys := pending(states)):
            return
        with suppress(JobQueueError):  # then other news will end the wait
            count, failure = await self._connection.ask("in-vain", keys)
            if failure is None:
                return
            error = Failure(*failure).to_exception()
            left = len(pending(states))
            with self.book.lock:
                if left - count < countdown.left and isinstance(error, JobQueueError):
                    countdown.abort(error)

    def _end(self, countdown: Countdown, states: Sequence[State]) -> None:
        with self.book.lock:
            self._running.pop(countdown, None)
            if countdown.left != 0 or countdown.error is not None:
                self.book.stop_waiting(states, countdown)

    def _begin_fetch(self, callback: Callable[[], object], keys: Sequence[str]) -> Countdown:
        countdown = Countdown(callback)
        countdown.left = len(keys)
        with self.book.lock:
            self._running[countdown] = tuple
        return countdown

    def _fetch(self, keys: Sequence[str], values: Values, countdown: Countdown) -> None:
        def arrived(key: str, value: Serialized | Failure) -> None:
            values[key] = value
            countdown.count()

        for key in keys:
            self._connection.fetch(key, partial(arrived, key))
        if self.outage is not None:
            self._loop_tasks.add(task := asyncio.ensure_future(self._end_fetch(countdown)))
            task.add_done_callback(self._loop_tasks.discard)

    async def _end_fetch(self, countdown: Countdown) -> None:
        """End a fetch during an outage, after what the scheduler itself holds has come."""
        with suppress(JobQueueError):
            await self._connection.ask("situation")
        if self.outage is not None:
            with self.book.lock:
                countdown.abort(self.outage)


def _held_lock() -> threading.Lock:
    """Return a lock that somebody else is to release: half the cost of an event."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
