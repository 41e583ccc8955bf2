"""A serialized value: what pickle made of an object, as it travels.

A value is either plain `bytes` (a pickle stream with everything in it: the usual, small case) or a
`Payload`: the pickle stream and the buffers that protocol 5 left beside it, which are sent from and
received into their own memory without being copied.
"""

from __future__ import annotations

from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview
"""Anything that holds contiguous bytes and can be written to a socket."""


class Payload:
    """A pickle stream with out-of-band buffers.

    Parameters
    ----------
    head
        The pickle stream (protocol 5).
    buffers
        The buffers it refers to, in the order `pickle.loads(head, buffers=...)` wants them.

    Examples
    --------
    >>> Payload(b"...", [bytearray(10)]).nbytes
    13
    """

    __slots__ = ("buffers", "head")

    def __init__(self, head: Buffer, buffers: Sequence[Buffer]) -> None:
        self.head = head
        self.buffers = buffers

    @property
    def nbytes(self) -> int:
        """Bytes on the wire, framing apart."""
        return len(self.head) + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def copy(self) -> Payload:
        """Return one with buffers of its own: what is unpickled from it may be written to."""
        return Payload(self.head, [bytearray(buffer) for buffer in self.buffers])

    def __repr__(self) -> str:
        return f"<Payload {self.nbytes} bytes, {len(self.buffers)} buffers>"


Serialized = bytes | Payload
"""What a message carries for a value."""


def nbytes(serialized: Serialized) -> int:
    """Size of a serialized value in bytes."""
    return len(serialized) if isinstance(serialized, bytes) else serialized.nbytes
