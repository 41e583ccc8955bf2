"""Sending what may be too large for one frame, or cannot travel at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from jobqueue.errors import FrameError, SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message

INDIVISIBLE: Final = frozenset(
    {m.ASK, m.ANSWER, m.CALL, m.CALLED, m.COPIED, m.INPUT_GONE, m.MENTIONS, m.WORKER_ENDED}
)
"""Messages that say one thing, though they may end in a list. All others that end in a list of
tasks or keys say the same of each of them, and may be said in several parts."""


class Sends(Protocol):
    """What is needed of a connection."""

    def send(self, messages: Sequence[Message], /) -> None:
        """See `jobqueue.comm.Comm.send`."""


def send(
    comm: Sends,
    messages: Sequence[Message],
    refuse: Callable[[Message, FrameError | SerializationError], object],
) -> None:
    """Send messages in order, as one frame, or as several where one would be too large.

    Parameters
    ----------
    comm
        Where to.
    messages
        What is to be said.
    refuse
        Called with each message that cannot be sent, cut down to a single item, and why: whoever
        waits for what it would have led to is to be told. The others are sent all the same.

    Examples
    --------
    >>> class Narrow:
    ...     def send(self, messages):
    ...         if sum(len(keys) for _, keys in messages) > 2:
    ...             raise FrameError("too large")
    ...         print(*messages)
    >>> send(Narrow(), [("free", ["a", "b", "c"]), ("cancel", ["d"])], print)
    ('free', ['a'])
    ('free', ['b', 'c'])
    ('cancel', ['d'])
    """
    try:
        comm.send(messages)
    except (FrameError, SerializationError) as error:
        parts = _halves(messages)
        for part in parts:
            send(comm, part, refuse)
        if not parts:
            refuse(messages[0], error)


def _halves(messages: Sequence[Message]) -> list[list[Message]]:
    """Return the same in two parts; nothing if it can't be divided."""
    if len(messages) > 1:
        half = len(messages) // 2
        return [list(messages[:half]), list(messages[half:])]
    message = messages[0]
    if _items(message) < 2:
        return []
    *fields, items = message
    half = len(items) // 2
    return [[(*fields, items[:half])], [(*fields, items[half:])]]


def _items(message: Message) -> int:
    """Return how many things a message says that can be said one by one."""
    last = message[-1]
    return len(last) if isinstance(last, list) and message[0] not in INDIVISIBLE else 1
