"""What waits to be sent, with a transport that notes down what it is given."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jobqueue.comm.outgoing import _WAKE_SLICE, SLICE, Outgoing


class Transport:
    """Holds what it is given until it is told to let go."""

    def __init__(self, sock: socket.socket, *, tls: bool) -> None:
        self.extra = {"socket": sock, "sslcontext": object() if tls else None}
        self.given: list[bytes] = []
        self.closing = False
        self.outgoing: Outgoing

    def get_extra_info(self, name: str) -> Any:
        return self.extra[name]

    def set_write_buffer_limits(self, high: int, low: int = 0) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.given))

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: Any) -> None:
        self.given.append(bytes(data))
        if self.get_write_buffer_size() > self.high:
            self.outgoing.hold()

    def let_go(self) -> bytes:
        """Everything leaves: there is room for more."""
        data = b"".join(self.given)
        self.given.clear()
        self.outgoing.go_on(room=True)
        return data


Made = tuple[Outgoing, Transport, socket.socket]


@contextmanager
def made(*, tls: bool = False) -> Iterator[Made]:
    """What is tested, its transport, and the socket's other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        transport = Transport(ours, tls=tls)
        outgoing = transport.outgoing = Outgoing(transport, lambda: None)  # type: ignore[arg-type]
        yield outgoing, transport, theirs


def run(check: Callable[[], None]) -> None:
    """Run something where there is an event loop."""

    async def main() -> None:
        check()

    asyncio.run(main())


def fill(outgoing: Outgoing) -> int:
    """Write until the socket takes no more; return how many bytes it took."""
    taken = 0
    while outgoing.write_now(bytes(4096)):
        taken += 4096
    return taken


def received(sock: socket.socket) -> bytes:
    """What has come."""
    parts = []
    with suppress(BlockingIOError):
        while part := sock.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


def test_what_the_socket_takes_goes_past_the_transport() -> None:
    """It would be one more layer, and a copy of what is large."""

    def check() -> None:
        with made() as (outgoing, transport, theirs):
            outgoing.write([b"one ", b"frame "])
            assert outgoing.write_now(b"another")
            assert received(theirs) == b"one frame another"
            assert transport.given == []
            assert outgoing.pending_bytes == 0

    run(check)


def test_a_full_socket_leaves_the_transport_little() -> None:
    """It copies what it holds, and only has to find out when there is room again."""

    def check() -> None:
        with made() as (outgoing, transport, theirs):
            data = bytes(range(256)) * (8 << 12)
            outgoing.write([b"head", data])
            assert len(transport.given) == 1
            assert len(transport.given[0]) <= _WAKE_SLICE
            came = received(theirs)
            assert outgoing.pending_bytes + len(came) == 4 + len(data)
            assert not outgoing.write_now(b"never before the rest")
            while outgoing.pending_bytes:
                came += transport.let_go() + received(theirs)
            assert came == b"head" + data

    run(check)


def test_small_frames_that_wait_leave_together() -> None:
    """A thousand frames for a slow peer are a slice for the transport and one system call."""

    def check() -> None:
        with made() as (outgoing, transport, theirs):
            fill(outgoing)
            frames = [b"%06d" % number for number in range(1000)]
            for frame in frames:
                outgoing.write([frame])
            received(theirs)
            transport.given.clear()
            outgoing.go_on(room=True)
            assert transport.given == []
            came = received(theirs)
            assert b"".join(frames).endswith(came)
            assert len(came) > 4000

    run(check)


def test_over_tls_the_transport_gets_everything_in_slices() -> None:
    """Nobody else may encrypt; and a large buffer given whole would be copied whole."""

    def check() -> None:
        with made(tls=True) as (outgoing, transport, theirs):
            assert not outgoing.write_now(b"past the encryption")
            outgoing.write([b"head", bytes(3 * SLICE), b"tail"])
            assert all(len(piece) <= SLICE for piece in transport.given)
            came = b""
            while outgoing.pending_bytes:
                came += transport.let_go()
            assert came == b"head" + bytes(3 * SLICE) + b"tail"
            assert received(theirs) == b""

    run(check)


def test_after_the_end_nothing_touches_the_socket() -> None:
    """Its number may be another file's by then."""

    def check() -> None:
        with made() as (outgoing, transport, theirs):
            fill(outgoing)
            outgoing.write([b"waits"])
            outgoing.end()
            transport.given.clear()
            received(theirs)
            assert not outgoing.write_now(b"late")
            transport.closing = True
            outgoing.write([b"later"])
            assert received(theirs) == b""
            assert transport.given == []

    run(check)


def test_a_peer_that_is_gone_is_the_transports_affair() -> None:
    """It meets the same error, and ends the connection."""

    def check() -> None:
        with made() as (outgoing, transport, theirs):
            theirs.close()
            assert not outgoing.write_now(b"lost")
            outgoing.write([b"lost"])
            assert transport.given == [b"lost"]

    run(check)
