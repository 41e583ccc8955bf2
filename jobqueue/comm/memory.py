"""Connections inside one event loop: messages are handed over as objects, without encoding."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence

from jobqueue.comm.base import Comm, Hello, Listener, OnClosed, OnMessages, wake
from jobqueue.comm.handshake import Handshake, Terms, introduce
from jobqueue.errors import CommClosed, CommError
from jobqueue.protocol.frames import Message

_listeners: dict[str, MemoryListener] = {}
_numbers = itertools.count(1)


class MemoryComm(Comm):
    """One end of a connection in memory; made in pairs, by `connect`.

    What is sent is delivered from inside `send`: a turn of the event loop would take longer than
    everything else. Only if the peer is in the middle of something, it has to wait for one.
    """

    # Messages, not bytes.
    HIGH_WATER = 10_000
    LOW_WATER = HIGH_WATER // 4

    def __init__(self, local_address: str, peer_address: str, peer: Hello) -> None:
        super().__init__()
        self.local_address = local_address
        self.peer_address = peer_address
        self.peer = peer
        self.other: MemoryComm = self
        # Frames on their way to this end, and how many messages they hold.
        self._inbox: deque[tuple[Message, ...]] = deque()
        self._waiting = 0
        self._busy = False  # inside of a method, or of a callback
        self._scheduled = False

    @property
    def pending_bytes(self) -> int:
        """See `Comm.pending_bytes`; in memory these are messages."""
        return self.other._waiting

    def start(self, on_messages: OnMessages, on_closed: OnClosed) -> None:
        """See `Comm.start`."""
        self._on_messages, self._on_closed = on_messages, on_closed
        self._schedule()

    def send(self, messages: Sequence[Message]) -> None:
        """See `Comm.send`."""
        if self._reason is not None or not messages:
            return
        other = self.other
        other._inbox.append(tuple(messages))
        other._waiting += len(messages)
        if other._busy:
            other._schedule()
            return
        busy, self._busy = self._busy, True
        try:
            other._deliver()
        finally:
            self._busy = busy

    def pause(self) -> None:
        """See `Comm.pause`."""
        self._paused = True

    def resume(self) -> None:
        """See `Comm.resume`."""
        self._paused = False
        self._schedule()

    def close(self) -> None:
        """See `Comm.close`."""
        if self._reason is None:
            self._end(CommClosed("this side closed the connection"))
            self._discard()
            self.other._end(CommClosed(f"{self.local_address} closed the connection"))

    def abort(self, reason: CommError | None = None) -> None:
        """See `Comm.abort`."""
        self._discard()
        if self._reason is None:
            self.other._discard()
            self._end(reason or CommClosed("this side closed the connection"))
            self.other._end(CommClosed(f"{self.local_address} closed the connection"))

    def _end(self, reason: CommError) -> None:
        """From now on nothing is sent; what stands in the inbox is delivered first."""
        if self._reason is None:
            self._reason = reason
            wake(self._drained)
            self._schedule()

    def _discard(self) -> None:
        self._inbox.clear()
        self._took(self._waiting)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self._deliver()
        if self._reason is not None and not self._inbox:
            if not self._ended.done():
                self._ended.set_result(None)
            self._tell_end()

    def _deliver(self) -> None:
        self._busy = True
        try:
            while self._inbox and self._on_messages is not None and not self._paused:
                messages = self._inbox.popleft()
                self._took(len(messages))
                self._hand_over(messages)
        finally:
            self._busy = False

    def _took(self, count: int) -> None:
        self._waiting -= count
        if self._waiting <= self.LOW_WATER:
            wake(self.other._drained)


class MemoryListener(Listener):
    """A name by which connections in memory can be made."""

    def __init__(self, name: str, terms: Terms, on_comm: Callable[[Comm], None]) -> None:
        self.address = f"memory://{name}"
        self.terms = terms
        self.on_comm = on_comm
        self.loop = asyncio.get_running_loop()
        self._name = name

    def close(self) -> None:
        """See `Listener.close`."""
        if _listeners.get(self._name) is self:
            del _listeners[self._name]

    async def wait_closed(self) -> None:
        """See `Listener.wait_closed`; there is nothing to wait for."""


def listen(name: str, terms: Terms, on_comm: Callable[[Comm], None]) -> MemoryListener:
    """Listen under a name, or under a new one if it is empty.

    Raises
    ------
    CommError
        Somebody listens under this name already.
    """
    name = name or f"{next(_numbers)}"
    if name in _listeners:
        raise CommError(f"memory://{name} is in use; choose another name")
    listener = _listeners[name] = MemoryListener(name, terms, on_comm)
    return listener


def connect(name: str, terms: Terms) -> MemoryComm:
    """Connect to a name.

    Raises
    ------
    CommError
        Nobody listens under this name in this event loop, or one side refused the other.
    """
    listener = _listeners.get(name)
    if listener is None:
        raise CommError(f"memory://{name}: nobody listens under this name in this process")
    if listener.loop is not asyncio.get_running_loop():
        raise CommError(f"memory://{name}: its listener belongs to another event loop")
    client, server = Handshake(terms, server=False), Handshake(listener.terms, server=True)
    introduce(client, server)
    local = f"{listener.address}#{next(_numbers)}"
    ours = MemoryComm(local, listener.address, client.peer)
    theirs = MemoryComm(listener.address, local, server.peer)
    ours.other, theirs.other = theirs, ours
    listener.on_comm(theirs)
    return ours
