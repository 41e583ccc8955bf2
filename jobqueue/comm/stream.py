"""Connections over a stream of bytes: Unix sockets, TCP and TLS, all by one asyncio protocol.

Reading: the decoder says where the next bytes belong, so that the socket (or TLS) writes them into
their final memory. Writing: see `jobqueue.comm.outgoing`.

The end: a side that closes sends what it has, then an empty frame, and goes on reading (and
dropping) until the peer has closed as well. A socket closed with unread bytes would reset the
connection, and the peer would miss the last words. A stream that ends without an empty frame was
lost: the peer's process died, or the network.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import Sequence
from typing import cast

from jobqueue.comm.base import Comm, Hello, OnClosed, OnMessages, wake
from jobqueue.comm.certificates import role_of
from jobqueue.comm.handshake import LEFT, Handshake
from jobqueue.comm.outgoing import Outgoing
from jobqueue.comm.sockets import UNREACHABLE_AFTER, is_unreachable
from jobqueue.comm.tls import explain
from jobqueue.errors import CommClosed, CommError, FrameError
from jobqueue.protocol.decoder import FrameDecoder
from jobqueue.protocol.frames import HANDSHAKE_LIMITS, FrameLimits, Message, encode
from jobqueue.protocol.payload import Buffer

logger = logging.getLogger("jobqueue.comm")

CLOSE_TIMEOUT = 30.0
"""Seconds that a closed connection may take to flush and to be closed by the peer as well."""

WATCH_INTERVAL = 5.0
"""Seconds between two looks at whether a peer's machine still answers."""

_LAST_FRAME = encode(())

_SINK = memoryview(bytearray(64 << 10))
"""Where bytes of no interest go, of all connections; nobody reads it."""


class StreamComm(Comm, asyncio.BufferedProtocol):
    """One end of a connection over a stream; an asyncio protocol.

    Parameters
    ----------
    handshake
        This side of the handshake; nothing else is said or believed before it is done.
    limits
        What a frame may hold, in both directions, after the handshake.

    Attributes
    ----------
    ready
        Done when the handshake is, or failed with the reason.
    """

    HIGH_WATER = 4 << 20
    LOW_WATER = 1 << 20

    def __init__(self, handshake: Handshake, limits: FrameLimits | None = None) -> None:
        super().__init__()
        self.local_address = self.peer_address = ""
        self.peer: Hello = {}
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self._handshake = handshake
        self._limits = limits or FrameLimits()
        self._decoder = FrameDecoder(HANDSHAKE_LIMITS)
        self._transport: asyncio.Transport | None = None
        self._outgoing: Outgoing | None = None
        # Whether our last frame is on its way, and whether nothing that comes matters any more.
        self._finished = self._deaf = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._watch_timer: asyncio.TimerHandle | None = None

    # What a user of the connection calls.

    @property
    def connected(self) -> bool:
        """Whether the event loop has made the connection, TLS included."""
        return self._transport is not None

    @property
    def pending_bytes(self) -> int:
        """See `Comm.pending_bytes`."""
        return self._outgoing.pending_bytes if self._outgoing is not None else 0

    def start(self, on_messages: OnMessages, on_closed: OnClosed) -> None:
        """See `Comm.start`."""
        self._on_messages, self._on_closed = on_messages, on_closed
        if self._ended.done():
            self._loop.call_soon(self._tell_end)
        else:
            self._loop.call_soon(self._read_on)

    def send(self, messages: Sequence[Message]) -> None:
        """See `Comm.send`."""
        if self._reason is None and messages:
            self._write(encode(messages, self._limits))

    def send_now(self, messages: Sequence[Message]) -> bool:
        """See `Comm.send_now`."""
        outgoing = self._outgoing
        if self._reason is not None or outgoing is None or not outgoing.free:
            return False
        chunks = encode(messages, self._limits)
        return len(chunks) == 1 and outgoing.write_now(chunks[0])

    def pause(self) -> None:
        """See `Comm.pause`."""
        self._paused = True
        if self._transport is not None and self._reason is None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """See `Comm.resume`."""
        self._paused = False
        self._loop.call_soon(self._read_on)

    def close(self) -> None:
        """See `Comm.close`."""
        if self._reason is None:
            self._end(CommClosed("this side closed the connection"))
            self._on_taken()

    def abort(self, reason: CommError | None = None) -> None:
        """See `Comm.abort`."""
        self._end(reason or CommClosed("this side closed the connection"))
        self._deaf = True
        self._drop_outbox()
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport, self._on_taken)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._handshake.certificate_role = role_of(tls.getpeercert())
        self._watch(transport.get_extra_info("socket"))
        self._say(self._handshake.begin())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Tell where the next bytes belong."""
        if self._deaf:
            return _SINK
        return self._decoder.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Handle the frames that are complete now."""
        if self._deaf:
            return
        self.received += nbytes
        self._decoder.buffer_updated(nbytes)
        if self._handshake.done:
            self._deliver()
        elif self._reason is None:
            self._shake_hands()

    def eof_received(self) -> bool:
        """Nothing more will come; returning False closes the transport."""
        self._end(self._why_lost(None))
        self._deaf = True
        self._drop_outbox()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that this is the end."""
        self._end(self._why_lost(exc))
        for timer in (self._close_timer, self._watch_timer):
            if timer is not None:
                timer.cancel()
        self._deaf = True
        if self._outgoing is not None:
            self._outgoing.end()
        if not self._ended.done():
            self._ended.set_result(None)
        self._tell_end()

    def pause_writing(self) -> None:
        """The transport holds enough."""
        assert self._outgoing is not None
        self._outgoing.hold()

    def resume_writing(self) -> None:
        """The transport has sent what it held."""
        assert self._outgoing is not None
        self._outgoing.go_on(room=True)

    # Reading.

    def _shake_hands(self) -> None:
        try:
            while not self._handshake.done:
                messages = self._decoder.next_frame()
                if messages is None:
                    return
                for message in messages:
                    self._say(self._handshake.receive(message))
        except CommError as error:
            self._refuse(error)
            return
        self.peer = self._handshake.peer
        self._decoder.limits = self._limits
        assert self._transport is not None
        self._transport.pause_reading()
        if not self.ready.done():
            self.ready.set_result(None)

    def _refuse(self, error: CommError) -> None:
        """End a connection whose handshake failed, after telling the peer if it understands us."""
        farewell = self._handshake.farewell(error)
        if farewell:
            self._say(farewell)
            self._end(error)
            self._finish()
        else:
            self.abort(error)

    def _read_on(self) -> None:
        """Deliver what has come already, then let more come."""
        if not self._paused:
            self._deliver()
            if not self._paused and self._transport is not None:
                self._transport.resume_reading()

    def _deliver(self) -> None:
        """Pass on the frames that have come; after the end only the peer's last is looked for."""
        while not self._deaf and (self._reason is not None or not self._paused):
            try:
                messages = self._decoder.next_frame()
            except FrameError as error:
                logger.warning("event=bad-frame peer=%s error=%r", self.peer_address, str(error))
                self.abort(error)
                return
            if messages is None:
                return
            if not messages:
                self._on_last_frame()
            elif self._reason is None:
                self._hand_over(messages)

    def _on_last_frame(self) -> None:
        """The peer has said everything, and drops whatever it is still sent."""
        self._end(CommClosed(f"{self._peer_name()} closed the connection"))
        self._deaf = True
        self._drop_outbox()
        assert self._transport is not None
        self._transport.close()

    # Writing.

    def _say(self, messages: list[Message]) -> None:
        if messages:
            self._write(encode(messages, HANDSHAKE_LIMITS))

    def _write(self, chunks: list[Buffer]) -> None:
        assert self._outgoing is not None
        self._outgoing.write(chunks)

    def _on_taken(self) -> None:
        """Let those go on who wait for room, or end a closed connection that is flushed."""
        waiting = self._outgoing.waiting if self._outgoing is not None else 0
        if waiting <= self.LOW_WATER and self._drained:
            wake(self._drained)
        if self._reason is not None and not waiting:
            self._finish()

    def _drop_outbox(self) -> None:
        if self._outgoing is not None:
            self._outgoing.drop()

    def _watch(self, sock: TransportSocket) -> None:
        """See from time to time whether a TCP peer's machine still answers."""
        if sock.family == socket.AF_UNIX or self._deaf:
            return
        if is_unreachable(sock, UNREACHABLE_AFTER):
            self.abort(
                CommClosed(
                    f"the connection to {self._peer_name()} was lost: its machine has not "
                    f"answered for {UNREACHABLE_AFTER:g} s"
                )
            )
        else:
            self._watch_timer = self._loop.call_later(WATCH_INTERVAL, self._watch, sock)

    # The end.

    def _end(self, reason: CommError) -> None:
        """From now on nothing is accepted for sending, and messages that come are dropped."""
        if self._reason is not None:
            return
        self._reason = reason
        wake(self._drained)
        if not self.ready.done():
            self.ready.set_exception(reason)
            self.ready.exception()  # whoever waits for it gets it; nobody may be waiting
        if self._transport is not None:
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self._transport.abort)
            self._transport.resume_reading()

    def _finish(self) -> None:
        """Everything is flushed: say so, once, and wait for the peer to close as well."""
        if not self._deaf and not self._finished:
            self._finished = True
            self._write(_LAST_FRAME)

    def _why_lost(self, exc: Exception | None) -> CommError:
        peer, detail = self._peer_name(), f" ({exc})" if exc is not None else ""
        if self._handshake.done:
            return CommClosed(f"the connection to {peer} was lost, without a farewell{detail}")
        if isinstance(exc, ssl.SSLError):
            return explain(exc)
        return CommClosed(f"{peer} {LEFT}{detail}")

    def _peer_name(self) -> str:
        return f"{self.peer.get('role', 'the peer')} at {self.peer_address}"
