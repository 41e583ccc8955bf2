"""`Client.get_executor`: a client's workers behind the interface of `concurrent.futures.Executor`.

For libraries that take an executor. Its futures are `concurrent.futures.Future`s, so `wait` and
`as_completed` of the standard library, and `asyncio.wrap_future`, work with them. Two things differ
from other executors: whoever cancels a running call gets his wish (nobody waits for it any more),
and `running()` is never true, since nobody here is told when a call begins.
"""

from __future__ import annotations

import concurrent.futures
import functools
import inspect
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from jobqueue.client.future import Future
from jobqueue.comm.loop import ended_within
from jobqueue.errors import ConfigError, JobQueueError
from jobqueue.protocol.running import giving_way

if TYPE_CHECKING:
    from jobqueue.client.client import Client
    from jobqueue.client.states import Countdown

_NOT_OPTIONS = frozenset({"key", "actor"})
"""Options of `Client.submit` that make no sense for all calls of an executor."""


class ClientExecutor(Executor):
    """Runs calls as tasks of a client; see `Client.get_executor`.

    Parameters
    ----------
    client
        Whose workers run them; it stays open at `shutdown`.
    **options
        Of `Client.submit`, for every call: ``priority``, ``retries``, ``resources``, …

    Raises
    ------
    ConfigError
        There is no such option, or the client is asynchronous.
    """

    def __init__(self, client: Client, **options: Any) -> None:
        _check_options(client, options)
        self._client = client
        self._options = options
        self._names = frozenset(inspect.signature(client.submit).parameters)
        self._lock = threading.RLock()  # pickling calls code of the user's
        self._shutdown = False
        self._pending: weakref.WeakSet[CallFuture] = weakref.WeakSet()

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        """Call a function on a worker.

        Parameters
        ----------
        fn
            What to call.
        *args, **kwargs
            Its arguments, all of them.

        Raises
        ------
        RuntimeError
            After `shutdown`; or the client is closed.
        SerializationError
            Function or arguments cannot be pickled.
        """
        with self._lock:
            self._check_open()
            if self._names.isdisjoint(kwargs):
                task = self._client.submit(fn, *args, **kwargs, **self._options)
            else:  # a keyword of the function's that is called like an option of ours
                task = self._client.submit(_call, fn, args, kwargs, **self._options)
            return self._follow(task)

    def map(
        self,
        fn: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Call a function once for each element; return an iterator over the results, in order.

        Parameters
        ----------
        fn
            What to call.
        *iterables
            Read at once; the shortest decides how many calls there are.
        timeout
            Seconds from now in which each result has to come.
        chunksize
            Calls in one task. One is fine down to calls of some 10 µs.

        Raises
        ------
        TimeoutError
            While iterating: a result has not come in time.
        RuntimeError
            After `shutdown`; or the client is closed.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            self._check_open()
            if not iterables:
                return iter(())
            if chunksize > 1:
                calls = _chunks(zip(*iterables, strict=False), chunksize)
                fn, iterables = functools.partial(_call_each, fn), (calls,)
            tasks = self._client.map(fn, *iterables, **self._options)
            futures = [self._follow(task) for task in tasks]
        results = _results_in_order(futures, end)
        return itertools.chain.from_iterable(results) if chunksize > 1 else results

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the client stays open.

        Parameters
        ----------
        wait
            Whether to return only when all calls have ended.
        cancel_futures
            Whether to cancel those that have not.
        """
        with self._lock:
            self._shutdown = True
            pending = [future for future in self._pending if not future.done()]
        if cancel_futures:
            _cancel(pending)
        if wait:
            with giving_way():
                for future in pending:
                    ended_within(future, None)

    def __repr__(self) -> str:
        state = "shut down" if self._shutdown else "open"
        return f"<ClientExecutor of {self._client}, {state}>"

    def _check_open(self) -> None:
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _follow(self, task: Future) -> CallFuture:
        future = CallFuture(task)
        self._pending.add(future)
        future.follow(task)
        return future


class CallFuture(concurrent.futures.Future[Any]):
    """The future of a call, for the standard library.

    Parameters
    ----------
    task
        The future of its task, let go of when the call has ended.
    """

    def __init__(self, task: Future) -> None:
        super().__init__()
        # Whoever takes it from here, and nobody else, says how the call has ended.
        self._task = [task]
        self._watch: Countdown | None = None

    def follow(self, task: Future) -> None:
        """Come to an end when the task does, or when that cannot be any more."""
        client, state = task.client, task._state
        try:
            self._watch = client._waits.watch(
                client._results.deliverer(task, self.fail), lambda: [state]
            )
        except JobQueueError as outage:
            self._end(outage)
            return
        task.add_done_callback(self.settle)

    def fail(self, task: Future) -> None:
        """End with the reason why no worker will come for the task."""
        watch = self._unwatch(task)
        if watch is not None and watch.error is not None:
            self._end(watch.error)

    def _unwatch(self, task: Future) -> Countdown | None:
        watch, self._watch = self._watch, None  # it holds the task
        if watch is not None:
            task.client._waits.unwatch(watch)
        return watch

    def _end(self, outage: JobQueueError) -> None:
        try:
            task = self._task.pop()
        except IndexError:
            return
        with suppress(JobQueueError):
            task.client.cancel(task)
        self.set_exception(copy(outage))

    def cancel(self) -> bool:
        """Have nobody wait for the call; False if it has ended."""
        return _cancel([self]) or self.cancelled()

    def give_up(self) -> Future | None:
        """Become cancelled; return the task that is to be cancelled, None if the call has ended."""
        try:
            task = self._task.pop()
        except IndexError:
            return None
        super().cancel()
        self.set_running_or_notify_cancel()
        return task

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call and return its result; as for `concurrent.futures.Future`."""
        return super().result(self._left(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call and return its exception; as for `concurrent.futures.Future`."""
        return super().exception(self._left(timeout))

    def _left(self, timeout: float | None) -> float | None:
        """Wait for the call; return how long may still be waited."""
        if self.done():
            return timeout
        with giving_way():
            return None if ended_within(self, timeout) else 0

    def settle(self, task: Future) -> None:
        """Take over the outcome of the task, which has ended."""
        self._unwatch(task)
        value = error = None
        try:
            value = task.result()
        except BaseException as raised:
            error = raised.with_traceback(None)  # whose frames would hold the task
        if isinstance(error, concurrent.futures.CancelledError):  # by the client's own means
            self.give_up()
            return
        try:
            self._task.pop()
        except IndexError:  # it was cancelled
            return
        if error is None:
            self.set_result(value)
        else:
            self.set_exception(error)


def _results_in_order(futures: list[CallFuture], end: float | None) -> Iterator[Any]:
    """Yield results; whatever ends this early cancels what is left."""
    futures.reverse()
    try:
        while futures:
            left = None if end is None else end - time.monotonic()
            # It is popped before: its result is not to be held while the next ones are awaited.
            yield futures.pop().result(left)
    finally:
        _cancel(futures)


def _cancel(futures: Iterable[CallFuture]) -> bool:
    """Cancel calls; return whether any of them had not ended."""
    tasks = [task for future in futures if (task := future.give_up()) is not None]
    if tasks:
        with suppress(JobQueueError):  # the client is closed: nothing runs any more
            tasks[0].client.cancel(tasks)
    return bool(tasks)


def _check_options(client: Client, options: dict[str, Any]) -> None:
    if client.asynchronous:
        raise ConfigError(
            "get_executor() of an asynchronous client: an executor blocks; make a synchronous "
            "client for it, or await futures of submit()"
        )
    if "initializer" in options or "initargs" in options:
        raise ConfigError(
            "get_executor(initializer=…): workers are there before the executor is, and serve "
            "others too; call client.run(initializer), or start workers with --preload"
        )
    parameters = inspect.signature(client.submit).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _NOT_OPTIONS]
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(
            f"get_executor({unknown[0]}=…): it is no option of submit() for all calls; there are "
            f"{', '.join(known)}"
        )


def _chunks(calls: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    calls = iter(calls)
    while chunk := list(itertools.islice(calls, size)):
        yield chunk


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def _call_each(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    return [function(*args) for args in calls]
