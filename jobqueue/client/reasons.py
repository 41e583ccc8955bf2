"""Why tasks are waited for: asked of the scheduler once a wait has become long, or was in vain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from jobqueue.client.connection import Connection
from jobqueue.errors import JobQueueError

logger = logging.getLogger("jobqueue.client")

EXPLAIN_AFTER: Final = 10.0
"""Seconds of waiting while nothing runs after which the log says what is waited for."""

EXPLAIN_AGAIN: Final = 60.0
"""Seconds between two such lines."""

WORTH_EXPLAINING: Final = 1.0
"""Whoever waits for less looks again and again, and is not told each time why it was in vain."""

PATIENCE: Final = 1.0
"""Seconds by which a wait that was in vain may grow, to say why."""


class Reasons:
    """What a client's waits say of what they wait for.

    Parameters
    ----------
    connection
        The client's.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def log_soon(self, keys: Sequence[str]) -> None:
        """Begin what `log` does. From any thread."""
        asyncio.run_coroutine_threadsafe(self.log(keys), self._connection.loop)

    async def log(self, keys: Sequence[str]) -> None:
        """Log what these tasks, above all the first, wait for, if nothing is happening."""
        if not keys:
            return
        try:
            situation: Any = await self._connection.ask("situation", keys[0])
        except JobQueueError:
            return
        if not situation["workers"] or not situation["running"]:
            tasks = "1 task" if len(keys) == 1 else f"{len(keys)} tasks"
            logger.warning("waiting for %s: %s", tasks, situation["text"])

    def why_blocking(self, key: str, waited: float | None) -> str:
        """Say why a task was waited for in vain, in this thread; otherwise as `why`."""
        if waited is None or waited < WORTH_EXPLAINING or self._connection.in_thread:
            return ""
        answer = asyncio.run_coroutine_threadsafe(self.why(key, waited), self._connection.loop)
        try:
            return answer.result(PATIENCE)
        except TimeoutError:  # that event loop is stuck
            answer.cancel()
            return ""

    async def why(self, key: str, waited: float | None) -> str:
        """Say why a task was waited for in vain.

        Parameters
        ----------
        key
            The task's.
        waited
            For how many seconds.

        Returns
        -------
        str
            What follows the task's name in a sentence; "" if nobody says it in time.
        """
        if waited is None or waited < WORTH_EXPLAINING:
            return ""
        try:
            async with asyncio.timeout(PATIENCE):
                text: str = await self._connection.ask("explain", key)
        except (JobQueueError, TimeoutError):
            return ""
        return text.removeprefix(key).strip(" .")
