"""What users hold of something that runs in an event loop, with and without ``await``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Self, TypeVar

from jobqueue.comm.loop import LoopThread
from jobqueue.errors import ConfigError

T = TypeVar("T")


class Handle:
    """A handle: it starts what runs, ends it, and makes the hop to where that lives.

    Parameters
    ----------
    asynchronous
        Whether that is the running event loop; else a thread that the synchronous schedulers,
        clusters and clients of this process share.
    """

    def __init__(self, *, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self._loop = None if asynchronous else LoopThread.shared()

    @property
    def loop(self) -> LoopThread | None:
        """The thread it runs on, shared by all; None in the running event loop."""
        return self._loop

    async def _begin(self) -> None:
        """Start it, unless that was done; if it failed, raise the same error again."""
        raise NotImplementedError

    def close(self) -> Any:
        """End it; to be awaited if it is asynchronous."""
        raise NotImplementedError

    def __await__(self) -> Generator[Any, None, Self]:
        """Start it, if it is asynchronous; may be repeated."""
        return self._started().__await__()

    async def _started(self) -> Self:
        if self.asynchronous:
            await self._begin()
        return self

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
        await self.close()

    def _call(self, function: Callable[[], T]) -> T:
        """Call a function where everything lives, and return what it returns."""
        if self._loop is None or self._loop.inside:
            return function()
        return self._loop.ask(function)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T | Coroutine[Any, Any, T]:
        """Run a coroutine to its end; what is asynchronous hands it to the caller."""
        return coroutine if self._loop is None else self._loop.run(coroutine)
