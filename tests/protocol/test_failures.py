"""How an exception travels."""

from __future__ import annotations

import pickle
import threading
import traceback
from typing import Any

import pytest

from jobqueue.errors import (
    BatchSystemError,
    JobQueueError,
    KilledWorker,
    SubmissionRejected,
    TaskCancelled,
    TaskError,
    WorkersUnavailable,
)
from jobqueue.protocol.failures import MAX_TRACEBACK, Failure, RemoteTraceback, note


class NeedsTwo(Exception):
    """An __init__ of its own: such exceptions often pickle, and then cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class NeedsTwoOfOurs(JobQueueError):
    """The same, derived from ours."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Unspeakable(Exception):
    """Its message cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no words")


class Hostile(Exception):
    """Whatever is asked of it, it raises."""

    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


def raised(error: BaseException) -> BaseException:
    """Give it a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def travel(error: BaseException, **options: Any) -> BaseException:
    """What arrives of an exception, over the wire."""
    failure = Failure.of(error, **options)
    return Failure(*tuple(failure)).to_exception()


def test_an_exception_arrives_as_itself():
    """With its arguments and attributes, and the text of its traceback as its cause."""
    error = raised(ValueError("bad value", 7))
    error.hint = "try 8"  # type: ignore[attr-defined]
    arrived = travel(error, where="Traceback on worker w-0:")
    assert type(arrived) is ValueError
    assert arrived.args == ("bad value", 7)
    assert arrived.hint == "try 8"  # type: ignore[attr-defined]
    assert isinstance(arrived.__cause__, RemoteTraceback)
    text = str(arrived.__cause__)
    assert "Traceback on worker w-0:" in text
    assert "in raised" in text
    printed = "".join(traceback.format_exception(arrived))
    assert "in raised" in printed
    assert "direct cause" in printed


def test_causes_stand_in_the_text():
    """They are part of what its author wants to know."""
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError as error:
        arrived = travel(error)
    assert "KeyError: 'first'" in str(arrived.__cause__)


def test_without_a_traceback_there_is_no_cause():
    """The scheduler's own failures were raised nowhere."""
    arrived = travel(KilledWorker("three workers died"))
    assert type(arrived) is KilledWorker
    assert arrived.__cause__ is None


def test_exceptions_of_local_classes_arrive_as_themselves():
    """By value, as functions do."""

    class Local(ValueError):
        pass

    arrived = travel(raised(Local("here")))
    assert type(arrived).__name__ == "Local"
    assert isinstance(arrived, ValueError)


def unpicklable() -> Exception:
    error = ValueError("locked")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NeedsTwo(1, 2), "NeedsTwo: 1 and 2"),
        (unpicklable(), "ValueError: locked"),
        (Hostile("x"), "Hostile: x"),
        (ValueError("x" * (2 << 20)), "ValueError: xxx"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_travel_arrives_in_words(error, words):
    """As a TaskError that says what it was, with its traceback."""
    arrived = travel(raised(error))
    assert type(arrived) is TaskError
    assert words in str(arrived)
    assert len(str(arrived)) < 5000
    assert "in raised" in str(arrived.__cause__)


def test_a_message_that_cannot_be_made_harms_nobody():
    """The exception arrives all the same, and its summary says so."""
    failure = Failure.of(raised(Unspeakable()))
    assert failure.summary == "Unspeakable: (its message could not be made)"
    assert "Unspeakable" in failure.traceback
    assert type(failure.to_exception()) is Unspeakable


def test_our_own_errors_keep_their_fields():
    """What the batch system said is what the user needs."""
    error = SubmissionRejected(
        "no such queue", argv=("qsub", "x"), returncode=1, output="qsub: bad", script="/tmp/x"
    )
    arrived = travel(raised(error))
    assert type(arrived) is SubmissionRejected
    assert isinstance(arrived, BatchSystemError)
    assert str(arrived) == "no such queue"
    assert vars(arrived) == vars(error)
    error2 = WorkersUnavailable("paused", script="/tmp/x", exit_code=3, log_tail="boom")
    assert vars(travel(error2)) == vars(error2)
    assert type(travel(TaskCancelled("gone"))) is TaskCancelled


def test_an_error_of_ours_that_cannot_be_unpickled_keeps_its_message():
    """As the class that it was derived from."""
    arrived = travel(raised(NeedsTwoOfOurs(1, 2)))
    assert type(arrived) is JobQueueError
    assert str(arrived) == "1 and 2"


def test_a_very_long_traceback_is_cut():
    """Where it began and where the error is stays."""
    error = raised(ValueError("x" * 2 * MAX_TRACEBACK + " the end"))
    failure = Failure.of(error, where="on w")
    assert len(failure.traceback) <= MAX_TRACEBACK
    assert failure.traceback.startswith("\non w\nTraceback")
    assert "characters left out" in failure.traceback
    assert failure.traceback.rstrip().endswith("the end")


def endless(depth: int = 0) -> None:
    endless(depth + 1)


def test_a_recursion_error_arrives():
    """From the bottom of the stack."""
    with pytest.raises(RecursionError) as caught:
        endless()
    arrived = travel(caught.value)
    assert type(arrived) is RecursionError
    assert "in endless" in str(arrived.__cause__)


@pytest.mark.parametrize(
    "pickled", [b"garbage", pickle.dumps("no exception"), b"\x80\x04\x8c\x08not_here\x8c\x01E\x93."]
)
def test_what_cannot_be_read_here_arrives_in_words(pickled):
    """Its class may be installed at the worker only."""
    arrived = Failure(pickled, "CustomError: it broke", "the traceback").to_exception()
    assert type(arrived) is TaskError
    assert "CustomError: it broke" in str(arrived)
    assert str(arrived.__cause__) == "the traceback"


def test_a_failure_in_words_needs_no_pickle():
    """It is a TaskError of just these, on both sides of a wire."""
    failure = Failure.in_words("memory is short")
    assert failure == Failure(b"", "memory is short", "")
    error = Failure(*failure).to_exception()
    assert type(error) is TaskError
    assert str(error) == "memory is short"


class Frozen(Exception):
    """Lets no attribute be set."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_an_exception_that_cannot_be_changed() -> None:
    """It arrives as itself with its traceback, and takes a note, each once."""
    try:
        raise Frozen("so")
    except Frozen as error:
        failure = Failure.of(error)
    arrived = failure.to_exception()
    assert isinstance(arrived, Frozen)
    assert "raise Frozen" in str(arrived.__cause__)
    for text in ("here", "there", "here"):
        note(arrived, text)
    assert arrived.__notes__ == ["here", "there"]
