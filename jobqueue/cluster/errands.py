"""What takes long, done beside the loop: of each name, one after another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

logger = logging.getLogger("jobqueue.cluster")


class Errands:
    """What is under way, by name.

    Parameters
    ----------
    on_end
        Called whenever something has ended, well or not.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._under_way

    def run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something after whatever of that name is still under way."""
        before = self._under_way.get(name)
        task = asyncio.get_running_loop().create_task(_after(before, work))
        self._under_way[name] = task
        task.add_done_callback(lambda task: self._ended(name, task))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", name, exc_info=error)
        self._on_end()

    async def wait_for(self, name: str) -> None:
        """Return when nothing of that name is under way."""
        if (task := self._under_way.get(name)) is not None:
            await asyncio.wait([task])

    async def stop(self, *, but: str) -> None:
        """End everything, but wait for what has a name that begins so."""
        for name, task in list(self._under_way.items()):
            if not name.startswith(but):
                task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)


async def _after(before: Awaitable[None] | None, work: Coroutine[Any, Any, None]) -> None:
    try:
        if before is not None:
            await asyncio.wait([asyncio.ensure_future(before)])
    except BaseException:
        work.close()
        raise
    await work
