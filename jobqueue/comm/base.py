"""What every connection and every listener can do, whatever carries the bytes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jobqueue.errors import CommError
from jobqueue.protocol.frames import Message

Hello = Mapping[str, Any]
"""What a side says of itself in the handshake: at least its `role`, see `handshake.ROLES`."""

OnMessages = Callable[[tuple[Message, ...]], None]
"""Called with the messages of one frame, in the event loop."""

OnClosed = Callable[[CommError], None]
"""Called once, with the reason why the connection ended."""


class Comm(ABC):
    """One connection to a peer that has proved itself.

    Everything happens in the event loop that made the connection; no method may be called from
    another thread. Nothing is delivered before `start`.

    Attributes
    ----------
    local_address, peer_address
        Where the two ends are, for messages to people.
    peer
        What the peer said of itself in the handshake.
    """

    local_address: str
    peer_address: str
    peer: Hello

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the connection has ended, or is being ended by this side."""

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
            Called for every frame, in order. If it raises, the connection ends.
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

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the peer has taken so much that it is reasonable to send more.

        Raises
        ------
        CommError
            The connection has ended.
        """

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

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until the connection has ended and its resources are free."""

    def __repr__(self) -> str:
        role = self.peer.get("role", "?")
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} to {role} at {self.peer_address}, {state}>"


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
