"""What a worker says to its scheduler, whether or not one is connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from jobqueue.comm import Comm
from jobqueue.protocol.messages import Message


class Link:
    """The way to the scheduler. Lives in the worker's event loop.

    Attributes
    ----------
    comm
        The connection, or None; then what is said is dropped, for nobody has asked for it.
    """

    def __init__(self) -> None:
        self.comm: Comm | None = None
        self._loop = asyncio.get_running_loop()
        self._outbox: list[Message] = []

    def say(self, message: Message) -> None:
        """Say something, together with all else of this turn of the loop."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def send(self, messages: Sequence[Message]) -> None:
        """Say these at once."""
        if self.comm is not None and messages:
            self.comm.send(messages)

    def in_loop(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called in the event loop; from any thread, also after its end."""
        with contextlib.suppress(RuntimeError):  # it is closed, while a task still ran
            self._loop.call_soon_threadsafe(function, *arguments)

    def forget(self) -> None:
        """Drop what was not sent yet."""
        self._outbox.clear()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        self.send(outbox)
