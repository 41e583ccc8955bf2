"""A serialized value with buffers beside it."""

from __future__ import annotations

from array import array

from jobqueue.protocol.payload import Payload, nbytes


def test_sizes_are_bytes():
    """Whatever the items of a buffer are."""
    assert nbytes(b"12345") == 5
    assert nbytes(Payload(b"123", [])) == 3
    assert nbytes(Payload(b"123", [bytearray(10), memoryview(array("d", [1.0, 2.0]))])) == 29


def test_a_copy_has_buffers_of_its_own():
    """Whoever gets it may write to them."""
    payload = Payload(b"head", [bytearray(b"abc")])
    copy = payload.copy()
    copy.buffers[0][0] = 0  # type: ignore[index]
    assert payload.buffers == [b"abc"]
    assert copy.head == b"head"


def test_its_repr_is_short():
    """It stands in messages that are logged."""
    assert repr(Payload(b"head", [bytes(1000)])) == "<Payload 1004 bytes, 1 buffers>"
