"""What comes of tasks."""

from __future__ import annotations

import pytest

from jobqueue.errors import ClientClosed, ConnectionLost, SerializationError, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.worker.outcomes import Outcomes, failure_of, unsendable


def test_outcomes_are_taken_once():
    """In the order in which they came."""
    outcomes = Outcomes()
    failure = Failure.of(ValueError("x"))
    outcomes.done.extend([("a", b"1", 1, 0.0), ("b", b"2", 1, 0.0)])
    outcomes.failed.append(("c", failure, 0.0))
    outcomes.gone.append(("d", "a"))
    outcomes.mentions.append(("a", []))
    taken = outcomes.take()
    assert [key for key, *_ in taken.done] == ["a", "b"]
    assert taken[1:] == ([("c", failure, 0.0)], [("d", "a")], [("a", [])], [])
    assert outcomes.take() == ([], [], [], [], [])


class Unspeakable(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Vicious(Exception):
    """Says something that ends programs."""

    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [Unspeakable(), UnspeakableError(), Vicious()], ids=repr)
def test_an_exception_that_cannot_be_told_is_named(error):
    """Whatever its own code does."""
    caught = failure_of(error, "w-0").to_exception()
    assert isinstance(caught, Exception)
    assert type(error).__name__ in failure_of(error, "w-0").summary


class Holder(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("held")
        self.held = (x for x in ())


class Demanding(Exception):
    """Can be pickled and not be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


@pytest.mark.parametrize("error", [Holder(), Demanding("he", "ld")], ids=["holder", "demanding"])
def test_an_exception_that_cannot_travel_arrives_in_words(error):
    """Its type and its message."""
    caught = failure_of(error, "w-0").to_exception()
    assert isinstance(caught, TaskError)
    assert f"{type(error).__name__}: held" in str(caught)


def generate():
    yield 1


async def agenerate():
    yield 1


@pytest.mark.parametrize(
    "value",
    [generate(), iter([]), agenerate(), map(str, ())],
    ids=lambda value: type(value).__name__,
)
def test_what_yields_is_to_be_a_list(value):
    """The remedy stands in the message."""
    error = unsendable("t", value, SerializationError("cannot pickle it")).to_exception()
    assert isinstance(error, SerializationError)
    assert "the result of task 't' cannot be sent: cannot pickle it" in str(error)
    assert "return them as a list" in str(error)


def test_other_things_need_no_such_advice():
    """A lock in a list would not help."""
    error = unsendable("t", object(), SerializationError("cannot pickle it")).to_exception()
    assert str(error) == "the result of task 't' cannot be sent: cannot pickle it"


def test_a_task_that_lost_its_connection_has_not_raised() -> None:
    """The connection is the worker's, and the task may be run again."""
    outcomes = Outcomes()
    outcomes.raised("a", ConnectionLost("reset by peer"), "w", 0.1)
    outcomes.raised("b", ClientClosed("the task itself closed it"), "w", 0.1)
    taken = outcomes.take()
    assert [key for key, _ in taken.cut_off] == ["a"]
    assert [key for key, *_ in taken.failed] == ["b"]
