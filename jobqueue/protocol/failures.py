"""How an exception travels from the worker it was raised on to the client that waits.

It arrives as itself, with the text of its remote traceback as its cause, as
`concurrent.futures.ProcessPoolExecutor` does it. What cannot be pickled arrives as a `TaskError`
that says what it was.
"""

from __future__ import annotations

import contextlib
import pickle
import traceback
from typing import NamedTuple

from jobqueue.errors import JobQueueError, SerializationError, TaskError
from jobqueue.protocol import serialize

MAX_TRACEBACK = 100_000
"""Characters of a traceback that travel."""


class RemoteTraceback(Exception):
    """The traceback of an exception that was raised on a worker, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Failure(NamedTuple):
    """Why a task has no result.

    Parameters
    ----------
    exception
        The pickled exception; empty if `summary` says all.
    summary
        Type and message in one line, for those who cannot or should not unpickle it.
    traceback
        The traceback as text; empty where there was none.
    task
        Key of the task that raised it, which others may have failed of; empty if none did.
    """

    exception: bytes
    summary: str
    traceback: str
    task: str = ""

    @classmethod
    def of(cls, error: BaseException, *, where: str = "") -> Failure:
        """Make a failure of an exception; `where` says on which worker it was raised."""
        summary = _summary(error)
        text = ""
        if error.__traceback__ is not None:
            text = _traceback_text(error)
            text = f"\n{where}\n{text}" if where else text
        return cls(_pickle_exception(error, summary), summary, _cut(text))

    @classmethod
    def of_users(cls, error: BaseException, *, what: str, where: str) -> Failure:
        """Make a failure of what code of the user's raised, whatever that was.

        Parameters
        ----------
        error
            The exception. One that ends programs, such as SystemExit, is told as a `TaskError`.
        what
            Which code that was, for such an error.
        where
            As in `of`.
        """
        if not isinstance(error, Exception):
            # As itself it would end the client's program, or its event loop, instead of the call.
            told = TaskError(f"{what} raised {_in_words(error)}")
            error = told.with_traceback(error.__traceback__)
        try:
            return cls.of(error, where=where)
        except BaseException as trouble:  # of the exception's own code
            text = f"{what} raised {type(error).__name__}, of which {type(trouble).__name__} came"
            return cls.in_words(f"{text} when it was to be told")

    @classmethod
    def in_words(cls, text: str) -> Failure:
        """Make a failure that is a `TaskError` of this text: nothing about that can go wrong."""
        return cls(b"", text, "")

    def to_exception(self) -> BaseException:
        """Return the exception, with its remote traceback as its cause."""
        if not self.exception:
            return TaskError(self.summary)
        try:
            error: object = serialize.loads(self.exception)
        except SerializationError as trouble:
            error = TaskError(f"{self.summary} (its exception could not be read here: {trouble})")
        if not isinstance(error, BaseException):
            error = TaskError(self.summary)
        if self.traceback:
            cause = RemoteTraceback(self.traceback)
            BaseException.__setattr__(error, "__cause__", cause)  # whatever its class thinks of it
        return error


def note(error: BaseException, text: str) -> None:
    """Add a note to an exception, once; a class of frozen ones cannot hide the exception by it."""
    notes = getattr(error, "__notes__", ())
    if text in notes:  # one object, that is raised again and again
        return
    with contextlib.suppress(Exception):  # one that has no attributes, say
        BaseException.__setattr__(error, "__notes__", [*notes, text])


def _summary(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "(its message could not be made)"
    return f"{type(error).__name__}: {text}"[:2000]


def _in_words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _traceback_text(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # a __str__ that raises, or worse
        return "".join(traceback.format_tb(error.__traceback__))


def _cut(text: str) -> str:
    """Leave out the middle of a text that is too long: both ends tell more."""
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2 - 50
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n... ({left_out} characters left out) ...\n{text[-half:]}"


def _pickle_exception(error: BaseException, summary: str) -> bytes:
    try:
        head = serialize.dumps_if_small(error, 1 << 20)
        if head is not None:
            pickle.loads(head)  # an __init__ of its own often makes this fail, better here
            return head
    except (Exception, SystemExit):
        pass
    kind = type(error)
    if isinstance(error, JobQueueError):
        return pickle.dumps(kind.__base__(str(error)) if kind.__base__ else TaskError(str(error)))
    return pickle.dumps(TaskError(f"{summary} (the exception itself cannot be pickled)"))
