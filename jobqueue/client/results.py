"""How the outcome of tasks reaches the user: in a thread, in a coroutine, by callback."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from jobqueue.client.future import Future, read_by
from jobqueue.client.nested import as_collection, futures_in, replace_futures
from jobqueue.client.states import FINISHED, PENDING, State
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.client.waits import Values, Waits
from jobqueue.errors import ClientClosed, ConfigError, SerializationError, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload, Serialized
from jobqueue.protocol.running import giving_way
from jobqueue.protocol.serialize import loads

if TYPE_CHECKING:
    from jobqueue.client.client import Client

logger = logging.getLogger("jobqueue.client")

Callback = Callable[[Future], object]
"""What `Future.add_done_callback` takes."""

_SKIP = object()


class Results:
    """Waits for tasks, fetches what did not come along, unpickles it in the thread that asked.

    Parameters
    ----------
    waits
        The client's.
    asynchronous
        Whether the client lives in the user's event loop: then what waits is to be awaited.
    """

    def __init__(self, waits: Waits, *, asynchronous: bool) -> None:
        self._waits = waits
        self._asynchronous = asynchronous
        self._callbacks: SimpleQueue[tuple[Callback, Future]] | None = None

    def gather(self, client: Client, futures: Any, errors: str) -> Any:
        """See `Client.gather`."""
        if errors not in ("raise", "skip"):
            raise ConfigError(f"errors={errors!r}: it is 'raise' or 'skip'")
        futures = as_collection(futures)
        found = futures_in(futures, nothing_else=False)
        for future in found:
            if future.client is not client:
                if future.client._book.closed is not None:
                    raise ClientClosed(
                        f"the future {future.key!r} belongs to a client that is closed: submit its "
                        "task again"
                    )
                raise ConfigError(
                    f"the future {future.key!r} belongs to another client: gather it there"
                )
        states = [future._state for future in found]
        if self._asynchronous:
            return self._gather_async(client, futures, states, errors)
        self._waits.block(states, None)
        values = self._waits.fetch_blocking(keys) if (keys := _to_fetch(states)) else None
        return _unpack(client, futures, values or {}, errors)

    async def _gather_async(
        self, client: Client, futures: Any, states: list[State], errors: str
    ) -> Any:
        await self._waits.wait(states, None)
        values = await self._waits.fetch(keys) if (keys := _to_fetch(states)) else None
        return _unpack(client, futures, values or {}, errors)

    def result(self, future: Future, timeout: Timeout) -> Any:
        """See `Future.result`."""
        timeout = seconds(timeout)
        if self._asynchronous:
            return self.result_async(future, timeout)
        state = future._state
        end = None if timeout is None else time.monotonic() + timeout
        if state.status is PENDING and not self._waits.block([state], timeout):
            raise self._not_in_time(future, timeout)
        if not (keys := _to_fetch([state])):
            return _result_for(future, {})
        left = None if end is None else end - time.monotonic()
        values = self._waits.fetch_blocking(keys, left)
        if values is None:
            raise self._not_in_time(future, timeout)
        return _result_for(future, values)

    async def result_async(self, future: Future, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return the result of a task in any event loop: what ``await future`` does."""
        if self._asynchronous or self._waits.in_loop_thread:
            return _result_for(future, await self._ready(future, timeout))
        loop = self._waits.loop
        with giving_way():  # a task that is a coroutine
            there = asyncio.run_coroutine_threadsafe(self._ready(future, timeout), loop)
            values = await asyncio.wrap_future(there)
        return _result_for(future, values)

    async def _ready(self, future: Future, timeout: float | None) -> Values:  # noqa: ASYNC109
        """Wait for a task in the client's event loop; return its value, if that is elsewhere."""
        state = future._state
        end = None if timeout is None else time.monotonic() + timeout
        if not await self._waits.wait([state], timeout):
            raise await self._not_in_time_async(future, timeout)
        if not (keys := _to_fetch([state])):
            return {}
        left = None if end is None else end - time.monotonic()
        values = await self._waits.fetch(keys, left)
        if values is None:
            raise await self._not_in_time_async(future, timeout)
        return values

    def exception(self, future: Future, timeout: Timeout) -> Any:
        """See `Future.exception`."""
        return self._once_done(future, timeout, lambda state: state.exception())

    def traceback(self, future: Future, timeout: Timeout) -> Any:
        """See `Future.traceback`."""
        return self._once_done(
            future, timeout, lambda state: state.failure.traceback if state.failure else None
        )

    def _once_done(self, future: Future, limit: Timeout, read: Callable[[State], Any]) -> Any:
        timeout = seconds(limit)

        async def read_async() -> Any:
            if not await self._waits.wait([future._state], timeout):
                raise await self._not_in_time_async(future, timeout)
            return read(future._state)

        if self._asynchronous:
            return read_async()
        if not self._waits.block([future._state], timeout):
            raise self._not_in_time(future, timeout)
        return read(future._state)

    def _not_in_time(self, future: Future, timeout: float | None) -> TimeoutError:
        """Return the error for a task that took too long, with the reason if it has not ended."""
        pending = future.status is PENDING
        why = self._waits.reasons.why_blocking(future.key, timeout) if pending else ""
        return _not_in_time(future, timeout, why)

    async def _not_in_time_async(self, future: Future, timeout: float | None) -> TimeoutError:  # noqa: ASYNC109
        pending = future.status is PENDING
        why = await self._waits.reasons.why(future.key, timeout) if pending else ""
        return _not_in_time(future, timeout, why)

    # -- callbacks ---------------------------------------------------------------------------------

    def call_back(self, future: Future, function: Callback) -> None:
        """See `Future.add_done_callback`."""
        if self._asynchronous:
            loop = self._waits.loop

            def deliver(state: State | None = None) -> None:
                loop.call_soon(_call_back, function, future)
        else:
            deliver = self.deliverer(future, function)

        if not self._waits.book.when_done(future._state, deliver):
            deliver()

    def deliverer(self, future: Future, function: Callback) -> Callable[..., None]:
        """Return what has the thread that calls back call a function with a future; waits not."""
        queue = self._callback_queue()

        def deliver(state: State | None = None) -> None:
            queue.put((function, future))

        return deliver

    def _callback_queue(self) -> SimpleQueue[tuple[Callback, Future]]:
        """Return the queue of a thread that calls back: callbacks may wait, the loop may not."""
        with self._waits.book.lock:
            if self._callbacks is None:
                self._callbacks = SimpleQueue()
                threading.Thread(
                    target=_call_back_forever,
                    args=(self._callbacks,),
                    name="jobqueue-callbacks",
                    daemon=True,
                ).start()
            return self._callbacks

    def disown(self) -> None:
        """Forget the thread that calls back: it did not come along into a fork."""
        self._callbacks = None


def _call_back_forever(queue: SimpleQueue[tuple[Callback, Future]]) -> None:
    while True:
        function, future = queue.get()
        try:
            _call_back(function, future)
        except BaseException:  # sys.exit(), say: others have yet to be called in this thread
            logger.exception("a callback raised what ends programs key=%s", future.key)
        del function, future  # or they would live until the next one comes


def _call_back(function: Callback, future: Future) -> None:
    try:
        function(future)
    except Exception:
        logger.exception("a callback raised key=%s", future.key)


def _to_fetch(states: Iterable[State]) -> list[str]:
    """Return the keys of those that have ended well and whose value did not come along."""
    # Those that are pending here were lost a moment ago, and are being computed again.
    return list(
        dict.fromkeys(s.key for s in states if s.value is None and s.status in (FINISHED, PENDING))
    )


def _unpack(
    client: Client, futures: Any, values: dict[str, Serialized | Failure], errors: str
) -> Any:
    unpacked: set[str] = set()

    def result_of(future: Future) -> Any:
        value = values.get(future.key)
        if isinstance(value, Payload):
            if future.key in unpacked:  # each time an object with memory of its own
                values[future.key] = value.copy()
            unpacked.add(future.key)
        try:
            return _result(future, values)
        except Exception:
            if errors == "raise":
                raise
            return _SKIP

    with read_by(client):
        gathered = replace_futures(futures, result_of, _SKIP if errors == "skip" else None)
    return None if gathered is _SKIP else gathered


def _result_for(future: Future, values: Mapping[str, Serialized | Failure]) -> Any:
    with read_by(future.client):
        return _result(future, values)


def _result(future: Future, values: Mapping[str, Serialized | Failure]) -> Any:
    state = future._state
    if (error := state.exception()) is not None:
        raise error
    value = state.value if state.value is not None else values.get(state.key)
    if value is None:
        raise TaskError(f"task {state.key!r} is being run again, at somebody's wish: wait for it")
    if isinstance(value, Failure):
        raise value.to_exception()
    try:
        return loads(value)
    except SerializationError as error:
        text = f"the result of task {state.key!r} cannot be unpickled here: {error}"
        raise SerializationError(text) from error


def _not_in_time(future: Future, timeout: float | None, why: str) -> TimeoutError:
    what = "sent its result" if future.status is FINISHED else "ended"
    why = why and f": it {why}"
    return TimeoutError(f"task {future.key!r} has not {what} within {timeout:g} s{why}")
