"""Decoding: any messages come back as they were, any garbage is refused, nothing else happens."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given

from jobqueue.errors import FrameError
from jobqueue.protocol.decoder import FrameDecoder
from jobqueue.protocol.frames import (
    HANDSHAKE_LIMITS,
    HEAD_INLINE_MAX,
    FrameLimits,
    Message,
)
from jobqueue.protocol.payload import Payload

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=50),
)
payloads = st.builds(
    Payload,
    st.binary(max_size=50) | st.integers(HEAD_INLINE_MAX, HEAD_INLINE_MAX + 1).map(bytes),
    st.lists(
        st.binary(max_size=100) | st.sampled_from([70_000, 300_000]).map(bytearray), max_size=3
    ),
)
fields = st.recursive(
    scalars | payloads,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=10,
)
messages = st.builds(
    lambda name, rest: (name, *rest), st.text(max_size=10), st.lists(fields, max_size=4)
)
batches = st.lists(st.lists(messages, min_size=1, max_size=4), min_size=1, max_size=4)

SMALL = FrameLimits(body=4096, buffers=4, buffer=1 << 20, total=2 << 20, items=64)

LIMITS = FrameLimits(body=1000, buffers=2, buffer=100, total=150, items=10)


def frame_of(body: bytes, buffers: tuple[bytes, ...] = ()) -> bytes:
    lengths = b"".join(struct.pack("!Q", len(b)) for b in buffers)
    return struct.pack("!II", len(body), len(buffers)) + lengths + body + b"".join(buffers)


@given(batches, st.data())
def test_any_messages_in_any_pieces_come_back(
    wire: Any, batch: list[list[Message]], data: st.DataObject
) -> None:
    """However the bytes are cut, each frame gives back its messages, in order."""
    stream = b"".join(wire.as_bytes(frame) for frame in batch)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=10).map(sorted))
    decoder, got = FrameDecoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += wire.decode_all(decoder, stream[start:end])
    assert wire.plain(got) == wire.plain(batch)


@given(st.lists(messages, min_size=1, max_size=3))
def test_byte_by_byte_comes_back(wire: Any, frame: list[Message]) -> None:
    """The smallest pieces a stream can be cut into make no difference."""
    stream = wire.as_bytes(frame)
    if len(stream) > 3000:
        stream, head = stream[-3000:], stream[:-3000]
    else:
        head = b""
    decoder = FrameDecoder()
    assert wire.decode_all(decoder, head) == []
    got = [f for i in range(len(stream)) for f in wire.decode_all(decoder, stream[i : i + 1])]
    assert wire.plain(got) == wire.plain([frame])


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_garbage_is_a_frame_error_or_a_wish_for_more(wire: Any, chunks: list[bytes]) -> None:
    """No bytes whatever raise anything but FrameError."""
    decoder = FrameDecoder(SMALL)
    try:
        for chunk in chunks:
            wire.decode_all(decoder, chunk)
    except FrameError:
        with pytest.raises(FrameError):
            decoder.next_frame()


@given(st.binary(max_size=300), st.lists(st.binary(max_size=20), max_size=3))
def test_a_garbled_body_is_a_frame_error_or_messages(
    wire: Any, body: bytes, buffers: list[bytes]
) -> None:
    """A well-formed frame around garbage gives messages or FrameError."""
    try:
        (frame,) = wire.decode_all(FrameDecoder(SMALL), frame_of(body, tuple(buffers)))
    except FrameError:
        return
    assert all(type(message) is tuple and type(message[0]) is str for message in frame)


@given(batches, st.data())
def test_changed_bytes_raise_nothing_but_frame_errors(
    wire: Any, batch: list[list[Message]], data: st.DataObject
) -> None:
    """A flipped byte in a valid stream is survived."""
    stream = bytearray(b"".join(wire.as_bytes(frame) for frame in batch))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FrameError):
        wire.decode_all(FrameDecoder(SMALL), bytes(stream))


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_a_truncated_frame_is_a_wish_for_more(
    wire: Any, frame: list[Message], data: st.DataObject
) -> None:
    """Without its last bytes a frame is not delivered, and is no error either."""
    stream = wire.as_bytes(frame)
    decoder = FrameDecoder()
    assert wire.decode_all(decoder, stream[: data.draw(st.integers(0, len(stream) - 1))]) == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (struct.pack("!II", 1001, 0), "body has 1001 bytes, the limit is 1000"),
        (struct.pack("!II", 5, 3), "has 3 buffers, the limit is 2"),
        (struct.pack("!IIQ", 5, 1, 101), "buffer has 101 bytes, the limit is 100"),
        (struct.pack("!IIQQ", 5, 2, 100, 51), "have 151 bytes together, the limit is 150"),
        (frame_of(msgpack.packb([["op", list(range(11))]])), "11 exceeds max_array_len"),
        (frame_of(msgpack.packb([["op", dict.fromkeys(range(11))]])), "11 exceeds max_map_len"),
        (frame_of(b"\xdd\xff\xff\xff\xff"), "4294967295 exceeds max_array_len"),
        (frame_of(b""), "not msgpack"),
        (frame_of(b"\x90\x90"), "not msgpack"),
        (frame_of(b"\x91" * 900 + b"\x01"), "not an array that begins with the name"),
        (frame_of(b"\x01"), "not an array of messages"),
        (frame_of(b"\x91\x01"), "not an array that begins with the name"),
        (frame_of(b"\x91\x90"), "not an array that begins with the name"),
        (frame_of(b"\x91\x91\x01"), "not an array that begins with the name"),
        (frame_of(b"\x91\x92\xa1r\xd4\x09x"), "extension type 9 with 1 bytes"),
        (frame_of(b"\x91\x92\xa1r\xd7\x01" + struct.pack("!II", 0, 1)), "buffers 0 to 1 of 0"),
        (frame_of(b"\x91\x92\xa1r\xd7\x02" + struct.pack("!II", 0, 0)), "buffers 0 to 0 of 0"),
        (frame_of(b"\x91\x92\xa1r\xd7\xff" + b"\xff" * 8), "not msgpack"),
    ],
)
def test_each_limit_is_named_with_the_value(wire: Any, data: bytes, text: str) -> None:
    """A refusal says what it is about, the value and the limit; it comes as soon as it can."""
    with pytest.raises(FrameError, match=text):
        wire.decode_all(FrameDecoder(LIMITS), data)


def test_before_the_handshake_nothing_large_is_accepted(wire: Any) -> None:
    """A stranger gets no memory on the word of a header."""
    for data in (struct.pack("!II", 70_000, 0), struct.pack("!IIQ", 10, 1, 1 << 40)):
        with pytest.raises(FrameError, match="limit is"):
            wire.decode_all(FrameDecoder(HANDSHAKE_LIMITS), data)


def test_limits_may_change_between_frames(wire: Any) -> None:
    """Each frame is held to the limits at the time it begins."""
    decoder = FrameDecoder(HANDSHAKE_LIMITS)
    decoder.feed(wire.as_bytes([("hello",)]) + wire.as_bytes([("r", b"x" * 100_000)]))
    assert decoder.next_frame() == (("hello",),)
    decoder.limits = FrameLimits()
    assert decoder.next_frame() == (("r", b"x" * 100_000),)


def test_idle_decoders_are_small_and_busy_ones_read_in_large_pieces(wire: Any) -> None:
    """Ten thousand idle connections cost little; a fast sender gets large reads."""
    decoder = FrameDecoder()
    assert len(decoder.get_buffer()) <= 8 << 10
    wire.decode_all(decoder, wire.as_bytes([("r", b"x" * 60_000)]) * 20)
    assert len(decoder.get_buffer()) >= 128 << 10
