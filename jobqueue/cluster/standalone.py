"""What `jobqueue.Scheduler` and `jobqueue.Worker` share: handles that own what runs behind them."""

from __future__ import annotations

import weakref
from typing import Any, Protocol

from jobqueue.cluster.handle import Handle
from jobqueue.cluster.ownership import Ownership, Running


class Startable(Running, Protocol):
    """What runs behind such a handle, and does not know it."""

    async def start(self) -> None:
        """Begin."""
        ...


class Standalone(Handle):
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
        super().__init__(asynchronous=asynchronous)
        self._running = core
        self._failure: BaseException | None = None
        if self._loop is not None:
            self._loop.run(self._begin())

    async def _begin(self) -> None:
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

    @property
    def status(self) -> str:
        """``created``, ``starting``, ``running``, ``closing``, ``closed`` or ``failed``."""
        return self._running.status

    def close(self) -> Any:
        """End it; to be awaited if it is asynchronous."""
        if self._loop is not None and self.status in ("closed", "failed"):
            return None
        return self._run(self._running.close())
