"""Who ends what runs and nobody has closed: garbage collection, or the interpreter's exit.

That is clusters, and schedulers and workers that users made as objects.

A child of a fork owns nothing of its parent's.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from typing import Any, Protocol

from jobqueue.comm.loop import LoopThread

logger = logging.getLogger("jobqueue.cluster")


class Running(Protocol):
    """What has to be ended: all that runs behind a handle."""

    @property
    def title(self) -> str:
        """What it is, for the log."""
        ...

    @property
    def status(self) -> str:
        """``closed`` and ``failed`` mean that there is nothing to end."""
        ...

    async def close(self) -> Any:
        """End it in order."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind, when its event loop is gone."""
        ...


class Ownership:
    """Sees to it that what runs does not outlive its handle, or the interpreter.

    Parameters
    ----------
    core
        What runs.
    loop
        The thread it runs on; None for the event loop that is running now.
    """

    _all: set[Ownership] = set()  # noqa: RUF012 - one for the process

    def __init__(self, core: Running, loop: LoopThread | None) -> None:
        self._core = core
        self._loop = loop
        self._event_loop = asyncio.get_running_loop()
        self._all.add(self)

    def release(self) -> None:
        """Begin to close, without waiting: the handle was collected, in whatever thread."""
        if self not in self._all:  # a forked child owns nothing of its parent's
            return
        if self._core.status in ("closed", "failed"):
            self._all.discard(self)
            return
        logger.info("%s closes: its handle was collected", self._core.title)
        try:
            self._event_loop.call_soon_threadsafe(self._close_soon)
        except RuntimeError:  # the event loop is closed
            self._core.abandon()
            self._all.discard(self)

    def _close_soon(self) -> None:
        task = self._event_loop.create_task(self._core.close())
        task.add_done_callback(self._close_ended)

    def _close_ended(self, task: asyncio.Task[None]) -> None:
        # The end of `asyncio.run` cancels it; then there is work left for the interpreter's end.
        if self._core.status == "closed":
            self._all.discard(self)

    def finish(self) -> None:
        """Close now, and wait for it: the interpreter ends."""
        if self._core.status in ("closed", "failed"):
            return
        try:
            if self._loop is not None:
                self._loop.run(self._core.close())
            else:
                self._core.abandon()
        except Exception as error:
            logger.error("%s was not closed: %s", self._core.title, error)

    @classmethod
    def finish_all(cls) -> None:
        """Close whatever is left."""
        for ownership in list(cls._all):
            ownership.finish()


atexit.register(Ownership.finish_all)
os.register_at_fork(after_in_child=Ownership._all.clear)
