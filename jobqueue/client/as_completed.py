"""`as_completed`: futures in the order in which their tasks end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from typing import Any

from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in
from jobqueue.client.reasons import EXPLAIN_AFTER, EXPLAIN_AGAIN
from jobqueue.client.states import Countdown, State, pending
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.client.waits import Waits
from jobqueue.errors import ConfigError, WorkersUnavailable
from jobqueue.protocol.running import giving_way, in_breaths


class as_completed:  # noqa: N801 - named as in concurrent.futures
    """Iterate over futures in the order in which their tasks end.

    Iterates in a ``for`` loop, and in an ``async for`` loop if the client is asynchronous. More
    futures may be added while it runs.

    Parameters
    ----------
    futures
        Futures of one client, or collections of them.
    with_results
        Whether to yield pairs of a future and its result.
    raise_errors
        Whether a failed task then raises; otherwise its exception stands in its result's place.
    timeout
        Seconds, from now, for all of it; None for as long as it takes.

    Raises
    ------
    TimeoutError
        While iterating, if the next one has not ended when the time is over.

    Examples
    --------
    >>> for future in as_completed(client.map(abs, range(3))):  # doctest: +SKIP
    ...     print(future.result())
    """

    def __init__(
        self,
        futures: Future | Iterable[Any] | None = None,
        *,
        with_results: bool = False,
        raise_errors: bool = True,
        timeout: Timeout = None,
    ) -> None:
        self._with_results = with_results
        self._raise_errors = raise_errors
        self._timeout = seconds(timeout)
        self._end = None if self._timeout is None else time.monotonic() + self._timeout
        self._waiting: dict[State, deque[Future]] = {}
        self._done: deque[Future] = deque()
        self._changed = threading.Condition()  # its lock is reentrant
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.update(() if futures is None else futures)

    def add(self, future: Future) -> None:
        """Wait for one more future."""
        if not isinstance(future, Future):
            raise ConfigError(f"{future!r:.100} is no future: pass what submit() returned")
        state = future._state
        with self._changed:
            known = state in self._waiting
            self._waiting.setdefault(state, deque()).append(future)
        if not known and not future.client._book.when_done(state, self._ended):
            self._ended(state)

    def update(self, futures: Future | Iterable[Any]) -> None:
        """Wait for more futures."""
        for future in futures_in(futures):
            self.add(future)

    def count(self) -> int:
        """Return how many futures have not been yielded yet."""
        with self._changed:
            return sum(map(len, self._waiting.values())) + len(self._done)

    def is_empty(self) -> bool:
        """Return whether all futures have been yielded."""
        return not self.count()

    def has_ready(self) -> bool:
        """Return whether the next future can be had without waiting."""
        return bool(self._done)

    def clear(self) -> None:
        """Yield none of the futures that are left; new ones may be added."""
        with self._changed:
            waiting, self._waiting = self._waiting, {}
            self._done.clear()
        for state, futures in waiting.items():
            futures[0].client._book.stop_waiting([state], self._ended)

    def next_batch(self, block: bool = True) -> list[Any]:
        """Return the futures that have ended by now.

        Parameters
        ----------
        block
            Whether to wait for one if there is none.
        """
        future, waits = self._next()
        while block and waits is not None:
            self._block(waits)
            future, waits = self._next()
        batch = self._rest_of_batch(future)
        if not self._with_results:
            return batch
        with self._nothing_lost(batch) as results:
            results.extend(self._result(future) for future in batch)
        return list(zip(batch, results, strict=True))

    def batches(self) -> Batches:
        """Iterate over lists of all the futures that have ended since the last one."""
        return Batches(self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        future, waits = self._next()
        while waits is not None:
            self._block(waits)
            future, waits = self._next()
        if future is None:
            raise StopIteration
        return (future, self._result(future)) if self._with_results else future

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        future, waits = self._next()
        while waits is not None:
            await self._sleep(waits)
            future, waits = self._next()
        if future is None:
            raise StopAsyncIteration
        return (future, await self._result_async(future)) if self._with_results else future

    async def next_batch_async(self) -> list[Any]:
        """Return the futures that have ended by now, at least one unless all were yielded."""
        future, waits = self._next()
        while waits is not None:
            await self._sleep(waits)
            future, waits = self._next()
        batch = self._rest_of_batch(future)
        if not self._with_results:
            return batch
        with self._nothing_lost(batch) as results:
            for future in batch:
                results.append(await self._result_async(future))
        return list(zip(batch, results, strict=True))

    def _next(self) -> tuple[Future | None, Waits | None]:
        """Return a future that has ended, or what to wait with for one; neither at the end."""
        with self._changed:
            if self._done:
                return self._done.popleft(), None
            first = next(iter(self._waiting.values()), None)
        return None, None if first is None else first[0].client._waits

    def _rest_of_batch(self, future: Future | None) -> list[Future]:
        batch = []
        while future is not None:
            batch.append(future)
            future, _ = self._next()
        return batch

    @contextmanager
    def _nothing_lost(self, batch: list[Future]) -> Iterator[list[Any]]:
        """Collect results of a batch; if one raises, the others are yielded again."""
        results: list[Any] = []
        try:
            yield results
        except BaseException:
            failed = len(results)
            with self._changed:
                self._done.extendleft(reversed(batch[:failed] + batch[failed + 1 :]))
            raise

    def _result(self, future: Future) -> Any:
        try:
            return future.result()
        except StopIteration as error:
            raise _ended_by_mistake(future, error) from error
        except Exception as error:
            if self._raise_errors or isinstance(error, WorkersUnavailable):
                raise
            return error

    async def _result_async(self, future: Future) -> Any:
        try:
            return await future.client._results.result_async(future)
        except StopAsyncIteration as error:
            raise _ended_by_mistake(future, error) from error
        except Exception as error:
            if self._raise_errors or isinstance(error, WorkersUnavailable):
                raise
            return error

    # -- while waiting -----------------------------------------------------------------------------

    def _ended(self, state: State) -> None:
        """Move a state's futures to those to be yielded; in the event loop, or while adding."""
        with self._changed:
            self._done.extend(self._waiting.pop(state, ()))
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
            sleepers, self._sleepers = self._sleepers, []
        for loop, sleeper in sleepers:
            with suppress(RuntimeError):  # that event loop is closed
                loop.call_soon_threadsafe(sleeper.set)

    def _pending_states(self) -> list[State]:
        with self._changed:
            return list(self._waiting)

    def _stay(self, guard: Countdown) -> bool:
        """Return whether there is nothing to do but to wait."""
        if self._done or not self._waiting:
            return False
        if guard.error is not None:
            raise copy(guard.error)
        return True

    def _block(self, waits: Waits) -> None:
        """Wait in this thread until there may be something to yield."""
        waits.check_thread()
        with giving_way(), waits.guard(self._notify, self._pending_states) as guard, self._changed:
            pause = EXPLAIN_AFTER
            while self._stay(guard):
                left = self._time_left()
                within = pause if left is None else min(pause, left)
                if not in_breaths(self._changed.wait, within):
                    if left is None or left > pause:
                        waits.reasons.log_soon(pending(self._pending_states()))
                    pause = EXPLAIN_AGAIN

    async def _sleep(self, waits: Waits) -> None:
        """Wait in an event loop, the client's or another, until there may be something to yield."""
        loop = asyncio.get_running_loop()
        with giving_way(), waits.guard(self._notify, self._pending_states) as guard:
            while True:
                sleeper = asyncio.Event()
                with self._changed:
                    if not self._stay(guard):
                        return
                    self._sleepers.append((loop, sleeper))
                left = self._time_left()
                with suppress(TimeoutError):  # and look once more
                    await asyncio.wait_for(sleeper.wait(), left)

    def _time_left(self) -> float | None:
        """Return for how long to wait, at most; none is left if the time is over."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self.count()} tasks have not ended within {self._timeout:g} s")
        return left


def _ended_by_mistake(future: Future, error: Exception) -> RuntimeError:
    # As itself it would end the loop over the futures.
    return RuntimeError(f"task {future.key!r} raised {type(error).__name__}")


class Batches:
    """What `as_completed.batches` returns: lists of futures, in a ``for`` or ``async for`` loop."""

    def __init__(self, completed: as_completed) -> None:
        self._completed = completed

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        if not (batch := self._completed.next_batch()):
            raise StopIteration
        return batch

    def __aiter__(self) -> AsyncIterator[list[Any]]:
        return self

    async def __anext__(self) -> list[Any]:
        if not (batch := await self._completed.next_batch_async()):
            raise StopAsyncIteration
        return batch
