"""What one end of a stream has to say, until the socket takes it.

Small frames go straight to the socket. What it does not take waits here, as views of the messages'
own memory; the transport only ever gets the next slice, to be told when the socket has room again:
a transport that got a large buffer whole would copy it.

The rules of this file:

- `write_now` may be called from any thread; all else belongs to the event loop.
- Whoever touches socket, transport or queue holds the lock.
- Over TLS only the transport writes: its cipher state is the event loop's alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

from jobqueue.protocol.payload import Buffer

SLICE = 256 << 10
"""Bytes handed to a TLS transport at a time, which encrypts them into memory of its own."""

_WAKE_SLICE = 16 << 10
"""Bytes handed to another transport while its socket is full: it copies them, and no more."""

_VECTOR = 1024
"""Chunks written by one system call; Linux takes no more (IOV_MAX)."""


class Outgoing:
    """Writes chunks of bytes in order.

    Parameters
    ----------
    transport
        Whose socket takes them.
    on_taken
        Called in the event loop when some of what waited has been taken.

    Attributes
    ----------
    waiting
        Bytes that wait here, beside what the transport holds.
    """

    def __init__(self, transport: asyncio.Transport, on_taken: Callable[[], object]) -> None:
        self.waiting = 0
        self._transport = transport
        self._on_taken = on_taken
        self._loop = asyncio.get_running_loop()
        # Reentrant because a transport may tell of room from inside its `write`.
        self._lock = threading.RLock()
        self._chunks: deque[Buffer] = deque()
        self._full = False  # whether the transport wants no more
        self._fd = -1  # where bytes may go past the transport
        if transport.get_extra_info("sslcontext") is None:
            self._fd = transport.get_extra_info("socket").fileno()
            # It says that it is full whenever it holds anything at all: as long as it does, none
            # may go past it.
            transport.set_write_buffer_limits(high=0)
        else:
            transport.set_write_buffer_limits(high=SLICE, low=0)

    @property
    def pending_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self.waiting + self._transport.get_write_buffer_size()

    @property
    def free(self) -> bool:
        """Whether `write_now` would most likely succeed."""
        return self._fd >= 0 and not self._full and not self._chunks

    def write(self, chunks: Sequence[Buffer]) -> None:
        """Write behind all that was written before."""
        if len(chunks) == 1 and self.write_now(chunks[0]):
            return
        with self._lock:
            self._queue(chunks)
        self.go_on()

    def write_now(self, chunk: Buffer) -> bool:
        """Write from any thread, if the socket takes it at once; else return False."""
        with self._lock:
            if not self.free:
                return False
            sent = self._to_socket([chunk])
            if not sent:
                return False
            if sent < len(chunk):
                self._queue([memoryview(chunk)[sent:]])
                with suppress(RuntimeError):  # the loop is closed: the process ends
                    self._loop.call_soon_threadsafe(self.go_on)
            return True

    def hold(self) -> None:
        """Take note that the transport wants no more."""
        self._full = True

    def go_on(self, *, room: bool = False) -> None:
        """Give socket and transport as much as they take.

        Parameters
        ----------
        room
            The transport wants more again.
        """
        with self._lock:
            self._full = self._full and not room
            while self._chunks and not self._full and not self._transport.is_closing():
                if self._fd < 0 or not self._past_transport():
                    self._transport.write(self._next_slice())
        self._on_taken()

    def drop(self) -> None:
        """Forget what waits."""
        with self._lock:
            self._chunks.clear()
            self.waiting = 0

    def end(self) -> None:
        """Touch the socket no more: it is about to be closed, and its number used for another."""
        with self._lock:
            self._fd = -1
            self.drop()

    def _queue(self, chunks: Sequence[Buffer]) -> None:
        self._chunks.extend(chunks)
        self.waiting += sum(map(len, chunks))

    def _past_transport(self) -> bool:
        """Write what waits to the socket; return whether it took any."""
        sent = self._to_socket(list(islice(self._chunks, _VECTOR)))
        self.waiting -= sent
        left = sent
        while left:
            chunk = self._chunks.popleft()
            if left < len(chunk):
                self._chunks.appendleft(memoryview(chunk)[left:])
            left -= min(left, len(chunk))
        return sent > 0

    def _to_socket(self, chunks: Sequence[Buffer]) -> int:
        try:
            return os.writev(self._fd, chunks)
        except OSError:  # it is full, or at its end: the transport finds out which
            return 0

    def _next_slice(self) -> Buffer:
        """Take what the transport gets next: a slice of a large chunk, or small ones joined."""
        size = SLICE if self._fd < 0 else _WAKE_SLICE
        chunk = self._chunks.popleft()
        if len(chunk) > size:
            view = memoryview(chunk)
            self._chunks.appendleft(view[size:])
            chunk = view[:size]
        taken, length = [chunk], len(chunk)
        while self._chunks and length + len(self._chunks[0]) <= size:
            length += len(self._chunks[0])
            taken.append(self._chunks.popleft())
        self.waiting -= length
        return chunk if len(taken) == 1 else b"".join(taken)
