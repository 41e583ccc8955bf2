"""What the tests of both halves of the frames need."""

from __future__ import annotations

import pytest

from jobqueue.protocol.decoder import FrameDecoder
from jobqueue.protocol.frames import Message, encode
from jobqueue.protocol.payload import Payload


class Wire:
    """Messages to bytes and back, as a sender and a receiver do it."""

    @staticmethod
    def plain(value: object) -> object:
        """Payloads as tuples and buffers as bytes, so that values can be compared."""
        if isinstance(value, Payload):
            return ("payload", bytes(value.head), tuple(bytes(b) for b in value.buffers))
        if isinstance(value, tuple | list):
            return tuple(map(Wire.plain, value))
        if isinstance(value, dict):
            return {key: Wire.plain(item) for key, item in value.items()}
        return value

    @staticmethod
    def as_bytes(frame: list[Message]) -> bytes:
        """The bytes of one frame."""
        return b"".join(encode(frame))

    @staticmethod
    def decode_all(decoder: FrameDecoder, data: bytes) -> list[tuple[Message, ...]]:
        """Feed bytes; return all frames that are complete."""
        decoder.feed(data)
        frames = []
        while (frame := decoder.next_frame()) is not None:
            frames.append(frame)
        return frames


@pytest.fixture(scope="session")
def wire() -> Wire:
    """Both ends of a connection without sockets."""
    return Wire()
