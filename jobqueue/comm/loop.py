"""The event loop that a synchronous program's clusters and clients share: one daemon thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from jobqueue.errors import JobQueueError
from jobqueue.protocol.running import in_breaths

logger = logging.getLogger("jobqueue.comm")

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own.

    Examples
    --------
    >>> async def answer():
    ...     return 42
    >>> LoopThread.shared().run(answer())
    42
    """

    _shared: ClassVar[LoopThread | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._main, name="jobqueue-loop", daemon=True)
        self._thread.start()

    @classmethod
    def shared(cls) -> LoopThread:
        """Return the one that all clusters and clients of this process use; start it if needed."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    @classmethod
    def _forget_shared(cls) -> None:
        cls._lock = threading.Lock()
        cls._shared = None

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            try:
                self.loop.run_forever()
                return
            except (SystemExit, KeyboardInterrupt):
                # asyncio lets these out, wherever a user's code has raised them. What ran is over;
                # all that this loop is for goes on.
                logger.exception("code in the event loop raised what ends programs")

    @property
    def inside(self) -> bool:
        """Whether the calling thread is the loop's own."""
        return threading.current_thread() is self._thread

    def _check(self) -> None:
        """See that somebody else can run something in the loop."""
        if self.inside:
            raise JobQueueError("this would wait for itself: use the asynchronous interface here")
        if self._process != os.getpid():  # no thread but the forking one comes along
            raise JobQueueError(
                "this belongs to the process that was forked: make a cluster or client of this "
                "process's own"
            )
        if not self._thread.is_alive():
            raise JobQueueError(
                "the event loop of this program's clusters and clients was stopped: start the "
                "program again, and stop no event loop that it has not made"
            )

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine in the loop and return its result in this thread.

        Parameters
        ----------
        coroutine
            What to run. It is cancelled if the wait ends early, by Ctrl-C for instance.
        timeout
            Seconds to wait, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            After `timeout`.
        JobQueueError
            If called from the loop's own thread, where it could never end.
        """
        try:
            self._check()
        except JobQueueError:
            coroutine.close()
            raise
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(None if ended_within(future, timeout) else 0)
        except concurrent.futures.TimeoutError:
            if not future.done():
                future.cancel()
            raise
        except BaseException:
            future.cancel()
            raise

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function in the loop, and return what it returns; errors as for `run`.

        No coroutine is made for it: a signal may come between its making and its start.
        """
        self._check()
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)

        self.loop.call_soon_threadsafe(call)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function in the loop, soon; does not wait."""
        self.loop.call_soon_threadsafe(function, *arguments)


def ended_within(future: concurrent.futures.Future[Any], timeout: float | None) -> bool:
    """Wait for a future in this thread, as `jobqueue.protocol.running.in_breaths`."""

    def wait(within: float) -> bool:
        return not concurrent.futures.wait([future], within).not_done

    return future.done() or in_breaths(wait, timeout)


os.register_at_fork(after_in_child=LoopThread._forget_shared)
