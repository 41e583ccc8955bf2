"""What `jobqueue.Scheduler` and `jobqueue.Worker` share: handles of something that runs in an event
loop, to be used with and without ``await``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, Self, TypeVar

from jobqueue.cluster.ownership import Ownership, Running
from jobqueue.comm.loop import LoopThread
from jobqueue.errors import ConfigError

T = TypeVar("T")


class Startable(Running, Protocol):
    """What runs behind such a handle, and does not know it."""

    async def start(self) -> None:
        """Begin."""
        ...


class Standalone:
    """A handle; it ends what runs behind it when it is closed, collected, or the interpreter exits.

    Parameters
    ----------
    core
        What runs.
    asynchronous
        Whether to live in the running event loop; else on a thread that the synchronous schedulers,
        clusters and clients of this process share.
    """

    def __init__(self, core: Startable, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self._running = core
        self._failure: BaseException | None = None
        self._loop = None if asynchronous else LoopThread.shared()
        if self._loop is not None:
            self._loop.run(self._begin())

    async def _begin(self) -> Self:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._running.status == "created":
            try:
                await self._running.start()
            except BaseException as error:
                self._failure = error
                raise
            owner = Ownership(self._running, self._loop)
            weakref.finalize(self, owner.release).atexit = False  # at exit, `owner` waits instead
        return self

    @property
    def status(self) -> str:
        """``created``, ``starting``, ``running``, ``closing``, ``closed`` or ``failed``."""
        return self._running.status

    @property
    def loop(self) -> LoopThread | None:
        """The thread it runs on, shared by all; None in the running event loop."""
        return self._loop

    def close(self) -> Any:
        """End it; to be awaited if it is asynchronous."""
        if self._loop is not None and self.status in ("closed", "failed"):
            return None
        return self._run(self._running.close())

    def __await__(self) -> Generator[Any, None, Self]:
        """Start it, if it is asynchronous and was not started yet."""
        return self._started().__await__()

    async def _started(self) -> Self:
        return await self._begin() if self.asynchronous else self

    def __enter__(self) -> Self:
        if self.asynchronous:
            raise ConfigError(f"an asynchronous {type(self).__name__} is used with `async with`")
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        if not self.asynchronous:
            raise ConfigError(
                f"a {type(self).__name__} for `async with` is made with asynchronous=True"
            )
        return await self

    async def __aexit__(self, *exception: object) -> None:
        await self._running.close()

    def _call(self, function: Callable[[], T]) -> T:
        """Call a function where everything lives, and return what it returns."""
        if self._loop is None or self._loop.inside:
            return function()

        async def call() -> T:
            return function()

        return self._loop.run(call())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T | Coroutine[Any, Any, T]:
        """Run a coroutine to its end; what is asynchronous hands it to the caller."""
        return coroutine if self._loop is None else self._loop.run(coroutine)
