"""What every connection and every listener can do, whatever carries the bytes."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from jobqueue.errors import CommClosed, CommError
from jobqueue.protocol.frames import Message

logger = logging.getLogger("jobqueue.comm")

Hello = Mapping[str, Any]
"""What a side says of itself in the handshake: at least its `role`, see `handshake.ROLES`."""

OnMessages = Callable[[tuple[Message, ...]], None]
"""Called with the messages of one frame, in the event loop."""

OnClosed = Callable[[CommError], None]
"""Called once, with the reason why the connection ended."""


class Comm(ABC):
    """One connection to a peer that has proved itself.

    Everything happens in the event loop that made the connection; no method but `send_now` may be
    called from another thread. Nothing is delivered before `start`.

    Attributes
    ----------
    local_address, peer_address
        Where the two ends are, for messages to people.
    peer
        What the peer said of itself in the handshake.
    received
        Bytes that have come so far over a stream: while it grows, a large message is on its way.
    HIGH_WATER, LOW_WATER
        What may be pending before `drain` waits, and what still is when it goes on.
    """

    received: int = 0
    local_address: str
    peer_address: str
    peer: Hello
    HIGH_WATER: ClassVar[int]
    LOW_WATER: ClassVar[int]

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_messages: OnMessages | None = None
        self._on_closed: OnClosed | None = None
        self._paused = False
        # Set once, when the connection begins to end.
        self._reason: CommError | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._drained: set[asyncio.Future[None]] = set()

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, or is being ended by this side."""
        return self._reason is not None

    @property
    @abstractmethod
    def pending_bytes(self) -> int:
        """Bytes that were sent here and have not been taken yet (messages, if in memory)."""

    @abstractmethod
    def start(self, on_messages: OnMessages, on_closed: OnClosed) -> None:
        """Begin to deliver.

        Parameters
        ----------
        on_messages
            Called for every frame, in order, and never from inside another method of this object.
            If it raises, the connection ends.
        on_closed
            Called exactly once, after the last message, also if this side ends the connection,
            and never from inside another method of this object.
        """

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> None:
        """Send messages, in order, behind all that was sent before; never blocks.

        After the end of the connection messages are dropped silently: `on_closed` tells of it.
        Buffers of payloads are not copied, so their memory must not change afterwards.

        Raises
        ------
        FrameError
            One of the messages is larger than a frame may be; nothing was sent.
        SerializationError
            One of the messages holds something that cannot travel; nothing was sent.
        """

    def send_now(self, messages: Sequence[Message]) -> bool:
        """Send small messages from any thread, without waking the event loop.

        Returns
        -------
        bool
            False if that cannot be done now, or ever with this transport: then nothing was sent,
            and `send` in the event loop is the way.

        Raises
        ------
        FrameError, SerializationError
            As for `send`.
        """
        return False

    async def drain(self) -> None:
        """Wait until the peer has taken so much that it is reasonable to send more.

        Raises
        ------
        CommError
            The connection has ended.
        """
        if self._reason is None and self.pending_bytes > self.HIGH_WATER:
            waiter = self._loop.create_future()
            self._drained.add(waiter)
            try:
                await waiter
            finally:
                self._drained.discard(waiter)
        if self._reason is not None:
            raise self._reason

    @abstractmethod
    def pause(self) -> None:
        """Stop delivering, so that the peer's `drain` waits once the buffers between are full."""

    @abstractmethod
    def resume(self) -> None:
        """Go on delivering after `pause`."""

    @abstractmethod
    def close(self) -> None:
        """End the connection when everything sent has been taken; what still comes is dropped."""

    @abstractmethod
    def abort(self, reason: CommError | None = None) -> None:
        """End the connection at once.

        Parameters
        ----------
        reason
            What `on_closed` is told; by default, that this side closed the connection.
        """

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and its resources are free."""
        await asyncio.shield(self._ended)

    def __repr__(self) -> str:
        role = self.peer.get("role", "?")
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} to {role} at {self.peer_address}, {state}>"

    # For the transports.

    def _hand_over(self, messages: tuple[Message, ...]) -> None:
        """Deliver the messages of one frame."""
        assert self._on_messages is not None
        try:
            self._on_messages(messages)
        except Exception as error:
            logger.exception("event=callback-failed peer=%s", self.peer_address)
            self.abort(CommClosed(f"this side failed to handle a message: {error!r}"))

    def _tell_end(self) -> None:
        """Deliver the reason of the end, unless that was done."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            assert self._reason is not None
            try:
                on_closed(self._reason)
            except Exception:
                logger.exception("event=callback-failed peer=%s", self.peer_address)


class Listener(ABC):
    """A place where peers can connect to.

    Attributes
    ----------
    address
        The address with the real port, as it was listened on: perhaps `tcp://0.0.0.0:40001`.
    """

    address: str

    @abstractmethod
    def close(self) -> None:
        """Accept no more connections; those that are made live on."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until the resources of a closed listener are free."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"


def wake(waiters: Iterable[asyncio.Future[None]]) -> None:
    """Let those who wait go on, but for those who have given up."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
