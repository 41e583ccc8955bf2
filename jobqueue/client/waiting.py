"""`as_completed` and `wait`: several futures at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final, NamedTuple

from jobqueue.client.future import Future
from jobqueue.client.states import State
from jobqueue.client.waits import EXPLAIN_AFTER, EXPLAIN_AGAIN
from jobqueue.errors import ConfigError

ALL_COMPLETED: Final = "ALL_COMPLETED"
FIRST_COMPLETED: Final = "FIRST_COMPLETED"


class DoneAndNotDone(NamedTuple):
    """What `wait` returns: the futures that have ended, and the others."""

    done: set[Future]
    not_done: set[Future]


def wait(
    futures: Iterable[Future],
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> Any:
    """Wait for several tasks to end.

    Parameters
    ----------
    futures
        All of one client.
    timeout
        Seconds to wait, or None for as long as it takes.
    return_when
        ``"ALL_COMPLETED"`` or ``"FIRST_COMPLETED"``.

    Returns
    -------
    DoneAndNotDone
        Two sets. To be awaited if the client is asynchronous.

    Raises
    ------
    TimeoutError
        They have not ended within `timeout`.

    Examples
    --------
    >>> done, not_done = wait(client.map(abs, range(3)))  # doctest: +SKIP
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise ConfigError(
            f"return_when={return_when!r}: it is {ALL_COMPLETED!r} or {FIRST_COMPLETED!r}"
        )
    wanted = list(futures)
    enough = 1 if return_when == FIRST_COMPLETED else 0
    if not wanted:
        return DoneAndNotDone(set(), set())
    client = wanted[0].client
    states = [future._state for future in wanted]

    def answer(in_time: bool) -> DoneAndNotDone:
        done = {future for future in wanted if future.done()}
        if not in_time:
            raise TimeoutError(
                f"{len(wanted) - len(done)} of {len(wanted)} tasks have not ended within "
                f"{timeout:g} s"
            )
        return DoneAndNotDone(done, set(wanted) - done)

    async def wait_async() -> DoneAndNotDone:
        return answer(await client._waits.wait(states, timeout, enough))

    if client.asynchronous:
        return wait_async()
    return answer(client._waits.block(states, timeout, enough))


class as_completed:  # noqa: N801 - named as in concurrent.futures
    """Iterate over futures in the order in which their tasks end.

    Iterates in a ``for`` loop, and in an ``async for`` loop if the client is asynchronous. More
    futures may be added while it runs.

    Parameters
    ----------
    futures
        All of one client.
    with_results
        Whether to yield pairs of a future and its result; a failed task raises.

    Examples
    --------
    >>> for future in as_completed(client.map(abs, range(3))):  # doctest: +SKIP
    ...     print(future.result())
    """

    def __init__(self, futures: Iterable[Future] = (), *, with_results: bool = False) -> None:
        self._with_results = with_results
        self._waiting: dict[State, deque[Future]] = {}
        self._done: deque[Future] = deque()
        self._changed = threading.Condition()  # its lock is reentrant
        self._async_changed: asyncio.Event | None = None
        self.update(futures)

    def add(self, future: Future) -> None:
        """Wait for one more future."""
        state = future._state
        with self._changed:
            known = state in self._waiting
            self._waiting.setdefault(state, deque()).append(future)
        if not known and not future.client._book.when_done(state, self._ended):
            self._ended(state)

    def update(self, futures: Iterable[Future]) -> None:
        """Wait for more futures."""
        for future in futures:
            self.add(future)

    def count(self) -> int:
        """Return how many futures have not been yielded yet."""
        with self._changed:
            return sum(map(len, self._waiting.values())) + len(self._done)

    def is_empty(self) -> bool:
        """Return whether all futures have been yielded."""
        return not self.count()

    def next_batch(self, block: bool = True) -> list[Any]:
        """Return the futures that have ended by now.

        Parameters
        ----------
        block
            Whether to wait for one if there is none.
        """
        batch = [next(self)] if block and not self.is_empty() else []
        with self._changed:
            count = len(self._done)
        return batch + [self._dress(self._done.popleft()) for _ in range(count)]

    def batches(self) -> Iterator[list[Any]]:
        """Yield lists of all the futures that have ended since the last one."""
        while not self.is_empty():
            yield self.next_batch()

    def _ended(self, state: State) -> None:
        """Move a state's futures to those to be yielded; in the event loop, or while adding."""
        with self._changed:
            self._done.extend(self._waiting.pop(state, ()))
        self._notify()

    def _dress(self, future: Future) -> Any:
        return (future, future.result()) if self._with_results else future

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._done:
            self._block()
        return self._dress(self._done.popleft())

    def _block(self) -> None:
        """Wait in this thread until a future has ended."""
        with self._changed:
            first = next(iter(self._waiting.values()), None)
            if first is None:
                if self._done:
                    return
                raise StopIteration
            waits = first[0].client._waits
        with waits.guard(self._notify) as guard, self._changed:
            pause = EXPLAIN_AFTER
            while not self._done and guard.error is None:
                if not self._changed.wait(pause):
                    pause = EXPLAIN_AGAIN
                    waits.explain(self.count())
            if guard.error is not None and not self._done:
                raise guard.error

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
        if self._async_changed is not None:
            self._async_changed.set()

    def __aiter__(self) -> AsyncIterator[Any]:
        self._async_changed = asyncio.Event()
        return self

    async def __anext__(self) -> Any:
        if not self._done:
            await self._await_change()
        future = self._done.popleft()
        return (future, await future.client._result_async(future)) if self._with_results else future

    async def _await_change(self) -> None:
        event = self._async_changed
        assert event is not None
        first = next(iter(self._waiting.values()), None)
        if first is None:
            raise StopAsyncIteration
        with first[0].client._waits.guard(self._notify) as guard:
            while not self._done and guard.error is None:
                event.clear()
                await event.wait()
            if guard.error is not None and not self._done:
                raise guard.error
