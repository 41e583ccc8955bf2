"""What goes over a connection in memory, where nothing is copied on the way.

An array that a task changes, its argument or a result of long ago, would change for everybody else
who has got it. So workers copy what they say and hear there; over sockets all have copies anyway.
"""

from __future__ import annotations

from typing import Any

from jobqueue.comm import Comm
from jobqueue.protocol.payload import Payload


def in_memory(comm: Comm) -> bool:
    """Return whether both ends of a connection see the same objects."""
    return comm.peer_address.startswith("memory:")


def own(value: Any) -> Any:
    """Return a message, or anything in one, with buffers of its own.

    Examples
    --------
    >>> array = bytearray(b"1")
    >>> said = own(("data", 7, Payload(b"head", [array])))
    >>> array[:] = b"2"
    >>> said[2].buffers
    [bytearray(b'1')]
    """
    kind = type(value)
    if kind is Payload:
        return value.copy()
    if kind is tuple or kind is list:
        return kind(map(own, value))
    return value
