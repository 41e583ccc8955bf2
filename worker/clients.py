"""What tasks have opened on their worker: one client, as a rule, which all of them share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any, Final

from jobqueue.worker.calls import start_thread
from jobqueue.worker.link import Link

logger = logging.getLogger("jobqueue.worker")

CLOSE: Final = 2.0
"""Seconds for them to close."""


class TaskClients(dict[str, Any]):
    """By name, each with a method `close`. Filled by tasks, closed by the worker's event loop.

    Parameters
    ----------
    link
        The worker's.
    """

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._closing: set[asyncio.Task[None]] = set()

    def close_soon(self) -> None:
        """Close all there are, without waiting for it."""
        closing = asyncio.create_task(self.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all there are, in a thread: it may block, or need this event loop."""
        clients = list(self.values())
        self.clear()
        if clients:
            closed = asyncio.Event()
            start_thread("jobqueue-close", self._close_each, clients, closed)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closed.wait(), CLOSE)

    def _close_each(self, clients: Iterable[Any], closed: asyncio.Event) -> None:
        for client in clients:
            try:
                client.close()
            except Exception as error:
                logger.warning("not closed client=%r error=%r", client, error)
        self._link.in_loop(closed.set)
