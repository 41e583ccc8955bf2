"""What a worker says to its scheduler, whether or not one is connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from jobqueue.comm import Comm
from jobqueue.comm.base import OnClosed, OnMessages
from jobqueue.errors import CommError
from jobqueue.protocol.messages import Message
from jobqueue.worker.owning import in_memory, own


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

    def attach(self, comm: Comm, on_messages: OnMessages, on_closed: OnClosed) -> None:
        """Begin to talk over a connection, see `Comm.start`."""
        self.comm = comm
        if in_memory(comm):
            comm.start(lambda messages: on_messages(own(messages)), on_closed)
        else:
            comm.start(on_messages, on_closed)

    def say(self, message: Message) -> None:
        """Say something, together with all else of this turn of the loop."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def send(self, messages: Sequence[Message]) -> None:
        """Say these at once."""
        if self.comm is not None and messages:
            self.comm.send(own(messages) if in_memory(self.comm) else messages)

    async def drain(self) -> None:
        """Wait until so much of what was said has been taken that it is reasonable to say more."""
        await asyncio.sleep(0)  # until it has left the outbox
        if self.comm is not None:
            with contextlib.suppress(CommError):
                await self.comm.drain()

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
