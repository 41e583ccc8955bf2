"""Encoding: what a sender's messages become, and what it is told when they cannot travel."""

from __future__ import annotations

import mmap
import threading
from typing import Any

import pytest

from jobqueue.errors import FrameError, SerializationError
from jobqueue.protocol.decoder import FrameDecoder
from jobqueue.protocol.frames import FrameLimits, encode
from jobqueue.protocol.payload import Payload

LIMITS = FrameLimits(body=1000, buffers=2, buffer=100, total=150, items=10)


def test_large_buffers_are_neither_copied_nor_moved() -> None:
    """The sender's chunk is the buffer's own memory; the receiver's memory is filled in place."""
    original = bytearray(5 << 20)
    head, chunk = encode([("result", Payload(b"head", [original]))])
    assert isinstance(chunk, memoryview)
    assert chunk.obj is original
    decoder = FrameDecoder()
    decoder.feed(head)
    assert decoder.next_frame() is None
    room = decoder.get_buffer()
    assert len(room) == len(original)
    room[:] = chunk
    decoder.buffer_updated(len(room))
    frame = decoder.next_frame()
    assert frame is not None
    received = frame[0][1].buffers[0]
    assert received.obj is room.obj
    assert isinstance(received.obj, mmap.mmap)
    assert not received.readonly


def test_bytes_in_a_message_stay_inline() -> None:
    """Plain bytes are part of the body, and a small frame is one chunk."""
    (chunk,) = encode([("result", "key", b"x" * 100)])
    assert b"x" * 100 in bytes(chunk)


def test_an_empty_buffer_and_an_empty_head_travel(wire: Any) -> None:
    """Nothing is something: no bytes in a buffer or a head are still a buffer and a head."""
    frame = [("r", Payload(b"", [b"", bytearray(), memoryview(b"")]), Payload(b"", []))]
    assert wire.plain(wire.decode_all(FrameDecoder(), wire.as_bytes(frame))) == wire.plain([frame])


def test_buffers_of_any_shape_travel_if_contiguous(wire: Any) -> None:
    """Item size, dimensions and Fortran order do not matter: the bytes are those in memory."""
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12, dtype="f8").reshape(3, 4)
    for one in (array, numpy.asfortranarray(array)):
        ((message,),) = wire.decode_all(
            FrameDecoder(), wire.as_bytes([("r", Payload(b"", [memoryview(one)]))])
        )
        assert bytes(message[1].buffers[0]) == one.tobytes(order="A")


def test_a_non_contiguous_buffer_is_refused() -> None:
    """It would have to be copied, and which copy is wanted is the sender's to say."""
    with pytest.raises(SerializationError, match=r"strides \(2,\) is not contiguous"):
        encode([("r", Payload(b"", [memoryview(bytearray(10))[::2]]))])


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**64, 1j])
def test_what_cannot_travel_is_refused(wire: Any, value: object) -> None:
    """A message of anything but plain values is the sender's mistake, and the packer survives."""
    with pytest.raises(SerializationError, match="message cannot"):
        encode([("r", value)])
    assert wire.decode_all(FrameDecoder(), wire.as_bytes([("r", 1)])) == [(("r", 1),)]


def test_names_that_are_not_unicode_travel(wire: Any) -> None:
    """A file name with undecodable bytes is text with lone surrogates."""
    frame = [("log", "caf\udce9", Payload(b"x", [b"y"]))]
    assert wire.plain(wire.decode_all(FrameDecoder(), wire.as_bytes(frame))) == wire.plain([frame])


def test_too_deep_nesting_is_refused() -> None:
    """Values nested beyond the limit are named as such, not a crash."""
    value: object = 1
    for _ in range(1100):
        value = (value,)
    with pytest.raises(FrameError, match="nested to 511 levels can"):
        encode([("r", value)])


def test_threads_pack_independently(wire: Any) -> None:
    """Two event loops in two threads may send at the same time."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        frame = [("r", number, Payload(b"%d" % number, [b"%d" % i for i in range(20)]))] * 20
        expected = wire.plain([frame])
        try:
            for _ in range(50):
                assert wire.plain(wire.decode_all(FrameDecoder(), wire.as_bytes(frame))) == expected
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_messages_that_do_not_fit_one_frame_become_several(wire: Any) -> None:
    """A batch over the limits is split, in order; only a single message is ever refused."""
    batch = [("r", number, b"x" * 300) for number in range(10)]
    stream = b"".join(encode(batch, LIMITS))
    frames = wire.decode_all(FrameDecoder(LIMITS), stream)
    assert len(frames) > 1
    assert [message for frame in frames for message in frame] == batch
    batch = [("r", Payload(b"", [b"x" * 90])) for _ in range(5)]
    frames = wire.decode_all(FrameDecoder(LIMITS), b"".join(encode(batch, LIMITS)))
    assert wire.plain([message for frame in frames for message in frame]) == wire.plain(batch)


def test_a_message_over_the_limits_is_refused_by_the_sender() -> None:
    """The sender hears of it, with the name of the message, instead of losing the connection."""
    with pytest.raises(FrameError, match=r"a 'run' message has 20\d\d bytes .* limit .* 1000"):
        encode([("run", b"x" * 2000)], LIMITS)
    with pytest.raises(FrameError, match="the largest of 101 bytes"):
        encode([("run", Payload(b"", [b"x" * 101]))], LIMITS)
