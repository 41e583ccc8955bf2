"""Frames: several messages, and the raw buffers they refer to, as bytes.

The layout of one frame, all numbers big-endian::

    u32 body length | u32 number of buffers | u64 length of each buffer | body | the buffers

The body is one msgpack array of messages; a message is an array whose first item names it. A
`Payload` anywhere inside is an extension type that holds its head and names a run of the frame's
buffers. The buffers lie beside the body so that neither side copies them: the sender hands out
views of the original memory, the receiver lets the socket write into their final memory.

A frame without messages says that its sender has said everything.

No I/O: `encode` turns messages into chunks to be written; the receiving half is
`jobqueue.protocol.decoder`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from pickle import PickleBuffer
from typing import Any, NamedTuple, NoReturn

import msgpack  # type: ignore[import-untyped]

from jobqueue.errors import FrameError, SerializationError
from jobqueue.protocol.payload import Buffer, Payload

Message = tuple[Any, ...]
"""An operation's name, then its fields: `("free", key, ...)`."""

HEADER = struct.Struct("!II")
"""Body length and number of buffers."""

RUN = struct.Struct("!II")
"""Of a payload: its first buffer, and how many are its own."""

HEAD_INSIDE = 1
"""Extension type of a payload: first buffer, number of buffers, then the head's bytes."""

HEAD_BESIDE = 2
"""The same for a large head, which is itself the buffer before the first one."""

HEAD_INLINE_MAX = 64 << 10
"""A payload's head up to this many bytes is copied into the body; a larger one is a buffer."""

NESTING_MAX = 511
"""How deep values may be nested with every version of msgpack; some go to 1024."""

_JOIN_MAX = 64 << 10
"""A body up to this many bytes is joined with its header; a larger one is a chunk of its own."""


class FrameLimits(NamedTuple):
    """What a frame may hold; anything above is a `FrameError`.

    Parameters
    ----------
    body
        Bytes of the packed messages.
    buffers
        Number of buffers.
    buffer
        Bytes of one buffer.
    total
        Bytes of all buffers of a frame.
    items
        Items of one array or map inside the body. Unpacking an array allocates 8 bytes per item
        it claims to have, before they are seen.
    """

    body: int = 256 << 20
    buffers: int = 1 << 16
    buffer: int = 1 << 36
    total: int = 1 << 37
    items: int = 1 << 24


HANDSHAKE_LIMITS = FrameLimits(body=64 << 10, buffers=0, buffer=0, total=0, items=256)
"""What a peer may send before it has proved itself: small, and no memory of its own."""


def encode(messages: Sequence[Message], limits: FrameLimits | None = None) -> list[Buffer]:
    """Turn messages into the bytes of a frame.

    Parameters
    ----------
    messages
        What is to be said, in order.
    limits
        What the receiver accepts. Messages that fit only one by one become several frames.

    Returns
    -------
    list
        Chunks to be written one after the other. The large ones are views of the messages' own
        memory, which must not change before they are written.

    Raises
    ------
    FrameError
        A single message is larger or more deeply nested than the limits.
    SerializationError
        A message holds something that cannot travel, or a buffer that is not contiguous.

    Examples
    --------
    >>> encode([("hello", 1)])
    [b'\\x00\\x00\\x00\\t\\x00\\x00\\x00\\x00\\x91\\x92\\xa5hello\\x01']
    """
    limits = limits or DEFAULT_LIMITS
    body, buffers = _packing.pack(messages)
    if len(body) > limits.body or (buffers and not _buffers_fit(buffers, limits)):
        if len(messages) > 1:
            half = len(messages) // 2
            return [*encode(messages[:half], limits), *encode(messages[half:], limits)]
        _refuse_to_send(messages, body, buffers, limits)
    if not buffers and len(body) <= _JOIN_MAX:
        return [HEADER.pack(len(body), 0) + body]
    head = HEADER.pack(len(body), len(buffers))
    if buffers:
        head += struct.pack(f"!{len(buffers)}Q", *map(len, buffers))
    if len(body) <= _JOIN_MAX:
        return [head + body, *buffers]
    return [head, body, *buffers]


def _buffers_fit(buffers: Sequence[Buffer], limits: FrameLimits) -> bool:
    sizes = [len(buffer) for buffer in buffers]
    return (
        len(sizes) <= limits.buffers and max(sizes) <= limits.buffer and sum(sizes) <= limits.total
    )


def _refuse_to_send(
    messages: Sequence[Message], body: bytes, buffers: Sequence[Buffer], limits: FrameLimits
) -> NoReturn:
    name = repr(messages[0][0]) if messages and messages[0] else "empty"
    if len(body) > limits.body:
        raise FrameError(
            f"a {name} message has {len(body)} bytes besides its buffers, "
            f"the limit of a frame's body is {limits.body}"
        )
    raise FrameError(
        f"a {name} message has {len(buffers)} buffers, the largest of {max(map(len, buffers))} "
        f"bytes, {sum(map(len, buffers))} bytes together; the limits are {limits.buffers} buffers, "
        f"{limits.buffer} bytes each, {limits.total} bytes together"
    )


class _Packing(threading.local):
    """The packer of one thread, reused: making one costs more than packing a small message."""

    def __init__(self) -> None:
        self._buffers: list[Buffer] = []
        self._pack: Callable[[object], bytes] = msgpack.Packer(default=self._pack_payload).pack
        self._pack_any_text: Callable[[object], bytes] = msgpack.Packer(
            default=self._pack_payload, unicode_errors="surrogatepass"
        ).pack

    def pack(self, messages: Sequence[Message]) -> tuple[bytes, list[Buffer]]:
        """Return the body, and the buffers that it refers to."""
        try:
            try:
                return self._pack(messages), self._buffers
            except UnicodeEncodeError:
                # Lone surrogates, as in the name of a file that is not UTF-8. The strict packer
                # comes first because it is the faster one.
                self._buffers = []
                return self._pack_any_text(messages), self._buffers
        except (TypeError, OverflowError) as error:
            raise SerializationError(f"a message cannot be sent: {error}") from error
        except ValueError as error:
            raise FrameError(
                f"a message cannot be sent: {error} (values nested to {NESTING_MAX} levels can)"
            ) from error
        finally:
            self._buffers = []

    def _pack_payload(self, value: object) -> msgpack.ExtType:
        if not isinstance(value, Payload):
            raise SerializationError(
                f"a message cannot carry a {type(value).__qualname__}; "
                "serialize it to bytes or a Payload first"
            )
        buffers = self._buffers
        code, head = HEAD_INSIDE, value.head
        if len(head) > HEAD_INLINE_MAX:
            buffers.append(_flat(head))
            code, head = HEAD_BESIDE, b""
        run = RUN.pack(len(buffers), len(value.buffers))
        buffers.extend(map(_flat, value.buffers))
        return msgpack.ExtType(code, run + head)


_packing = _Packing()
DEFAULT_LIMITS = FrameLimits()


def _flat(buffer: Buffer) -> Buffer:
    """The same memory as a plain run of bytes, whatever its shape and item size."""
    if isinstance(buffer, bytes):
        return buffer
    try:
        return PickleBuffer(buffer).raw()
    except BufferError as error:
        view = memoryview(buffer)
        raise SerializationError(
            f"a buffer of shape {view.shape} and strides {view.strides} is not contiguous; "
            "make a contiguous copy of it first"
        ) from error
