"""What comes of tasks, on its way from the threads that ran them to the event loop."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from jobqueue.errors import ConnectionLost, SerializationError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized

Done = tuple[str, Serialized | None, int, float]
"""Key, value or None if it stays here, bytes, seconds."""

Failed = tuple[str, Failure, float]
"""Key, why, seconds."""

Gone = tuple[str, str]
"""Key, and the input without which it could not be run."""

CutOff = tuple[str, Failure]
"""Key, and why, of a task that has failed because its own connection was lost."""

Mention = tuple[str, list[Any]]
"""Key, and the futures that its result holds."""


class Taken(NamedTuple):
    """Outcomes that have come since the last time."""

    done: list[Done]
    failed: list[Failed]
    gone: list[Gone]
    mentions: list[Mention]
    cut_off: list[CutOff]


class Outcomes:
    """Where threads put what came of their items. Appending is safe from any thread."""

    __slots__ = ("cut_off", "done", "failed", "gone", "mentions")

    def __init__(self) -> None:
        self.done: deque[Done] = deque()
        self.failed: deque[Failed] = deque()
        self.gone: deque[Gone] = deque()
        self.mentions: deque[Mention] = deque()
        self.cut_off: deque[CutOff] = deque()

    def raised(self, key: str, error: BaseException, where: str, seconds: float) -> None:
        """Note what a task has raised."""
        failure = failure_of(error, where)._replace(task=key)
        if isinstance(error, ConnectionLost):
            self.cut_off.append((key, failure))
        else:
            self.failed.append((key, failure, seconds))

    def take(self) -> Taken:
        """Return, and forget, what has come since the last call."""
        # A result's mentions come before it, so they are taken after it: none is missing.
        return Taken(
            _drain(self.done),
            _drain(self.failed),
            _drain(self.gone),
            _drain(self.mentions),
            _drain(self.cut_off),
        )


def _drain(source: deque[Any]) -> list[Any]:
    # Only as many as there are now: other threads go on appending.
    return [source.popleft() for _ in range(len(source))]


_NOT_THE_TASKS = (os.path.dirname(__file__) + os.sep, os.path.dirname(asyncio.__file__) + os.sep)
"""Where the frames of a traceback come from that are of no use to a task's author."""


def failure_of(error: BaseException, where: str) -> Failure:
    """Make a failure of what a task raised, whatever that was.

    Parameters
    ----------
    error
        The exception.
    where
        Name of the worker, for the traceback.
    """
    own = error.with_traceback(_own_frames(error.__traceback__))
    return Failure.of_users(own, what="the task", where=f"Traceback on worker {where}:")


def broken(error: BaseException) -> Failure:
    """Say that the thread of a task could not go on; whatever is wrong there, this can be said."""
    text = f"the thread that ran the task came upon {type(error).__name__} outside of it"
    return Failure.in_words(f"{text}: does the task leave a trace function, or is memory short?")


def _own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that called the task, unless there are no others."""
    own = traceback
    while own is not None and own.tb_frame.f_code.co_filename.startswith(_NOT_THE_TASKS):
        own = own.tb_next
    return traceback if own is None else own


def unsendable(key: str, value: object, error: SerializationError) -> Failure:
    """Say that a result cannot be pickled, and what to do instead."""
    text = f"the result of task {key!r} cannot be sent: {error}"
    kind = type(value)
    if issubclass(kind, Iterator) or hasattr(kind, "__anext__"):
        text += "; a task that yields its results one by one is to return them as a list"
    return Failure.of(SerializationError(text))._replace(task=key)
