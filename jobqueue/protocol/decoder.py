"""The receiving half of `jobqueue.protocol.frames`, whose first lines hold the layout.

The rules of this file:

- No I/O, no clock. A `FrameDecoder` says where the next bytes belong (`get_buffer`), is told how
  many came (`buffer_updated`) and gives back whole frames (`next_frame`).
- Nothing is believed before it is checked against `FrameLimits`. Whatever bytes come in, the
  outcome is messages, the wish for more bytes, or `FrameError`; after a `FrameError` a decoder
  gives nothing else.
- Memory is allocated piece by piece as the bytes of a frame arrive, never for a whole frame on the
  word of its header.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Callable, Sequence
from functools import partial

import msgpack  # type: ignore[import-untyped]

from jobqueue.errors import FrameError
from jobqueue.protocol.frames import (
    DEFAULT_LIMITS,
    HEAD_BESIDE,
    HEAD_INSIDE,
    HEADER,
    RUN,
    FrameLimits,
    Message,
)
from jobqueue.protocol.payload import Buffer, Payload

_CHUNK_MIN = 8 << 10
_CHUNK_MAX = 256 << 10
_MMAP_MIN = 1 << 20
_HUGEPAGE_MIN = 4 << 20


class FrameDecoder:
    r"""Bytes in, frames out, for one direction of one connection.

    Parameters
    ----------
    limits
        What a frame may hold. The attribute may be changed between two frames.

    Examples
    --------
    >>> decoder = FrameDecoder()
    >>> decoder.feed(b"\x00\x00\x00\t\x00\x00\x00\x00\x91\x92\xa5hello\x01")
    >>> decoder.next_frame()
    (('hello', 1),)

    The loop of a caller that reads from a socket::

        count = sock.recv_into(decoder.get_buffer())
        decoder.buffer_updated(count)
        while (messages := decoder.next_frame()) is not None:
            handle(messages)
    """

    __slots__ = (
        "_body",
        "_body_length",
        "_buffers",
        "_chunk",
        "_end",
        "_error",
        "_filled",
        "_inside",
        "_lengths",
        "_own",
        "_stage",
        "_start",
        "_view",
        "_want",
        "limits",
    )

    def __init__(self, limits: FrameLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        # Bytes that have come and are not decoded yet stand at [start:end] of the chunk. It is
        # small at first: ten thousand idle connections should cost little.
        self._chunk = bytearray(_CHUNK_MIN)
        self._view = memoryview(self._chunk)
        self._start = self._end = 0
        # The piece that comes next, and what to do with it when all of it is here.
        self._want = HEADER.size
        self._stage: Callable[[memoryview], tuple[Message, ...] | None] = self._on_header
        # Memory of its own for a large piece, and how much of it is filled.
        self._own: memoryview | None = None
        self._filled = 0
        self._inside = False  # whether a frame's header was taken, and its end was not
        self._body_length = 0
        self._lengths: tuple[int, ...] = ()
        self._body: Buffer = b""
        self._buffers: list[Buffer] = []
        self._error: FrameError | None = None

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Return the memory that the next bytes belong in, never empty.

        Write there what arrives, then call `buffer_updated`.
        """
        if self._own is not None and self._filled < len(self._own):
            return self._own[self._filled :]
        start, end, size = self._start, self._end, len(self._chunk)
        if start == end:
            self._start = self._end = 0
        elif size - start < max(self._want, _CHUNK_MIN) or end == size:
            self._move_to_front()
        return self._view[self._end :]

    def _move_to_front(self) -> None:
        """Make room behind the bytes that wait, in a larger chunk if they fill half of this one."""
        unread = self._view[self._start : self._end]
        if len(unread) * 2 >= len(self._chunk):
            self._replace_chunk(len(self._chunk) * 2, unread)
        else:
            self._view[: len(unread)] = unread
        self._start, self._end = 0, len(unread)

    def _replace_chunk(self, size: int, unread: memoryview) -> None:
        self._chunk = bytearray(size)
        self._view = memoryview(self._chunk)
        self._view[: len(unread)] = unread

    def buffer_updated(self, nbytes: int) -> None:
        """Take note that `nbytes` were written into what `get_buffer` returned.

        Call `next_frame` until it returns None, before or after more bytes come.
        """
        if self._own is not None and self._filled < len(self._own):
            self._filled += nbytes
            return
        self._end += nbytes
        if self._end == len(self._chunk) < _CHUNK_MAX:
            # The sender is faster than the chunk is large: fewer, larger reads from now on.
            unread = self._view[self._start : self._end]
            self._replace_chunk(len(self._chunk) * 4, unread)
            self._start, self._end = 0, len(unread)

    def feed(self, data: Buffer) -> None:
        """Take bytes that were received elsewhere; the same as writing them into `get_buffer`."""
        view = memoryview(data)
        while view:
            room = self.get_buffer()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.buffer_updated(count)
            view = view[count:]

    def next_frame(self) -> tuple[Message, ...] | None:
        """Return the messages of the next frame, or None if more bytes are needed.

        Raises
        ------
        FrameError
            The bytes are no frame, or exceed a limit; the connection is of no further use.
        """
        if self._error is not None:
            raise self._error
        try:
            if not self._inside and (messages := self._small_frame()) is not None:
                return messages
            while (piece := self._take()) is not None:
                frame = self._stage(piece)
                if frame is not None:
                    return frame
        except FrameError as error:
            self._error = error
            raise
        return None

    def _small_frame(self) -> tuple[Message, ...] | None:
        """Return a frame that is here as a whole and has no buffers: most are, so this is short."""
        body = self._start + HEADER.size
        if body > self._end:
            return None
        length, count = HEADER.unpack_from(self._chunk, self._start)
        end = body + length
        if count or end > self._end or length > self.limits.body:
            return None
        self._start = end
        return _decode(self._view[body:end], (), self.limits)

    def _take(self) -> memoryview | None:
        """Return the piece that is wanted if all of it has come."""
        want, own = self._want, self._own
        if own is not None:
            if self._filled < want:
                return None
            self._own, self._filled = None, 0
            return own
        start, available = self._start, self._end - self._start
        if available >= want:
            self._start = start + want
            return self._view[start : start + want]
        if want > _CHUNK_MAX // 4:
            # Of a large piece, what has come moves to its final place, and the rest is received
            # there directly.
            self._own, self._filled = _allocate(want), available
            self._own[:available] = self._view[start : self._end]
            self._start = self._end = 0
        return None

    def _expect(self, want: int, stage: Callable[[memoryview], tuple[Message, ...] | None]) -> None:
        self._want, self._stage = want, stage

    def _expect_header(self) -> None:
        self._inside = False
        self._expect(HEADER.size, self._on_header)

    def _on_header(self, piece: memoryview) -> None:
        body, count = HEADER.unpack(piece)
        if body > self.limits.body:
            # Who reads this in a log recognizes an HTTP request or a TLS greeting.
            raise FrameError(
                f"a frame's body has {body} bytes, the limit is {self.limits.body}; "
                f"the frame begins with {bytes(piece)!r}"
            )
        if count > self.limits.buffers:
            raise FrameError(f"a frame has {count} buffers, the limit is {self.limits.buffers}")
        self._inside = True
        self._body_length, self._lengths = body, ()
        if count:
            self._expect(count * 8, self._on_lengths)
        else:
            self._expect(body, self._on_body)

    def _on_lengths(self, piece: memoryview) -> None:
        lengths = struct.unpack(f"!{len(piece) // 8}Q", piece)
        largest, total = max(lengths), sum(lengths)
        if largest > self.limits.buffer:
            raise FrameError(f"a buffer has {largest} bytes, the limit is {self.limits.buffer}")
        if total > self.limits.total:
            raise FrameError(
                f"a frame's buffers have {total} bytes together, the limit is {self.limits.total}"
            )
        self._lengths = lengths
        self._expect(self._body_length, self._on_body)

    def _on_body(self, piece: memoryview) -> tuple[Message, ...] | None:
        if self._lengths:
            # The chunk is used again before the buffers are complete.
            self._body = bytes(piece) if piece.obj is self._chunk else piece
            self._buffers = []
            self._expect(self._lengths[0], self._on_buffer)
            return None
        self._expect_header()
        return _decode(piece, (), self.limits)

    def _on_buffer(self, piece: memoryview) -> tuple[Message, ...] | None:
        buffers = self._buffers
        buffers.append(bytearray(piece) if piece.obj is self._chunk else piece)
        if len(buffers) < len(self._lengths):
            self._expect(self._lengths[len(buffers)], self._on_buffer)
            return None
        body, self._body, self._buffers = self._body, b"", []
        self._expect_header()
        return _decode(body, buffers, self.limits)


def _allocate(nbytes: int) -> memoryview:
    """Memory for a large piece, zeroed by the kernel only as bytes arrive in it.

    A `bytearray` would be zeroed twice before it is written: with huge pages this is five times
    as fast for 100 MB.
    """
    try:
        if nbytes < _MMAP_MIN:
            return memoryview(bytearray(nbytes))
        memory = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (MemoryError, OSError) as error:
        raise FrameError(f"no memory for the {nbytes} bytes of a buffer: {error}") from error
    if nbytes >= _HUGEPAGE_MIN and hasattr(mmap, "MADV_HUGEPAGE"):
        # A kernel without huge pages refuses the advice; the memory is as good.
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def _decode(body: Buffer, buffers: Sequence[Buffer], limits: FrameLimits) -> tuple[Message, ...]:
    """Unpack a body whose buffers are complete."""
    try:
        messages = msgpack.unpackb(
            body,
            use_list=False,
            strict_map_key=False,
            unicode_errors="surrogatepass",
            ext_hook=partial(_unpack_payload, buffers),
            max_array_len=limits.items,
            max_map_len=limits.items,
        )
    except FrameError:
        raise
    except Exception as error:
        # msgpack reports garbage by half a dozen kinds of exception, some of them its own.
        raise FrameError(
            f"a frame's body is not msgpack: {error or type(error).__name__}"
        ) from error
    _check_messages(messages)
    return messages  # type: ignore[no-any-return]


def _unpack_payload(buffers: Sequence[Buffer], code: int, data: bytes) -> Payload:
    if code not in (HEAD_INSIDE, HEAD_BESIDE) or len(data) < RUN.size:
        raise FrameError(f"extension type {code} with {len(data)} bytes is none of ours")
    first, count = RUN.unpack_from(data)
    beside = code == HEAD_BESIDE
    if first + count > len(buffers) or first < beside:
        raise FrameError(
            f"a payload refers to buffers {first} to {first + count} of {len(buffers)}"
        )
    head = buffers[first - 1] if beside else data[RUN.size :]
    return Payload(head, buffers[first : first + count])


def _check_messages(messages: object) -> None:
    if type(messages) is not tuple:
        raise FrameError("a frame's body is not an array of messages")
    for message in messages:
        if type(message) is not tuple or not message or type(message[0]) is not str:
            raise FrameError("a message is not an array that begins with the name of an operation")
