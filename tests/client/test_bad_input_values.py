"""Arguments, results and exceptions that cannot travel: the task's own error, and all goes on."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from jobqueue import Client
from jobqueue.errors import SerializationError, TaskError

pytestmark = pytest.mark.usefixtures("unharmed")


class Unprintable(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Wordless(Exception):
    """Its text is none."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Irreducible(Exception):
    """Pickling it raises."""

    def __reduce__(self) -> Any:
        raise ValueError("no pickle")


class Quitter(Exception):
    """Pickling it would end a program."""

    def __reduce__(self) -> Any:
        raise SystemExit(3)


class Demanding(Exception):
    """Unpickling it raises: its constructor wants more than pickle has kept."""

    def __init__(self, first: int, *, second: int) -> None:
        super().__init__(f"{first} and {second}")


def deep(levels: int = 100_000) -> Any:
    """Make a list in a list, in a list …"""
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def deep_exception() -> Exception:
    error = RuntimeError("too deep")
    error.nested = deep()  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (Unprintable, "Unprintable", ""),
        (Wordless, "Wordless", ""),
        (lambda: Irreducible("was it"), "TaskError", "Irreducible: was it .*cannot be pickled"),
        (lambda: Quitter("was it"), "TaskError", "Quitter: was it .*cannot be pickled"),
        (lambda: Demanding(1, second=2), "TaskError", "Demanding: 1 and 2 .*cannot be pickled"),
        (deep_exception, "TaskError", "RuntimeError: too deep .*cannot be pickled"),
        (lambda: ValueError("x" * 5_000_000), "TaskError", "ValueError: xxx.*cannot be pickled"),
        (
            lambda: ExceptionGroup("both", [ValueError("a"), KeyError("b")]),
            "ExceptionGroup",
            "both",
        ),
        (lambda: BaseExceptionGroup("it", [SystemExit(1)]), "TaskError", "BaseExceptionGroup: it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_exceptions_of_all_kinds(
    client: Client, make: Callable[[], BaseException], kind: str, words: str
) -> None:
    """As themselves, or else as a TaskError that says what they were, and where."""

    def fail() -> None:
        raise make()

    error = client.submit(fail).exception(30)
    assert type(error).__name__ == kind
    if words:
        assert re.search(words, str(error))
    printed = "".join(traceback.format_exception(error.__cause__))
    assert "in fail" in printed


def test_endless_recursion_while_a_result_is_pickled(client: Client) -> None:
    """And while one is unpickled, here: told in words, with the task's name and a remedy."""
    future = client.submit(deep)
    with pytest.raises(SerializationError, match=r"cannot be sent: .*nested too deeply; pass it"):
        future.result(30)

    def dive(level: int) -> Any:
        return dive(level)

    class Recursive:
        def __reduce__(self) -> Any:
            return dive, (1,)

    future = client.submit(Recursive)
    with pytest.raises(SerializationError, match=f"'{future.key}' cannot be unpickled.*Recurs"):
        future.result(30)


def test_endless_recursion_while_arguments_are_unpickled(client: Client) -> None:
    """It happens at the worker, and is the task's error."""

    def dive(level: int) -> Any:
        return dive(level)

    class Recursive:
        def __reduce__(self) -> Any:
            return dive, (1,)

    with pytest.raises(SerializationError, match="could not be read here: RecursionError"):
        client.submit(id, Recursive()).result(30)


class Hostile:
    """A result whose every attribute raises."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__reduce"):
            return object.__getattribute__(self, name)
        raise KeyboardInterrupt(name)


class Exploding:
    """A result that asks to be measured, and raises then."""

    nbytes = property(lambda self: 1 / 0)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (Hostile, TaskError, "the task raised KeyboardInterrupt"),
        (lambda: (n for n in range(3)), SerializationError, "is to return them as a list"),
    ],
    ids=["hostile", "generator"],
)
def test_results_that_are_none(
    client: Client, make: Callable[[], object], kind: type[Exception], words: str
) -> None:
    """What a result's own code raises is the task's error, as is what cannot be pickled."""

    def call() -> object:
        return make()

    with pytest.raises(kind, match=words):
        client.submit(call).result(30)


def test_a_result_that_cannot_be_measured(client: Client) -> None:
    """It arrives as any other: how large it is, is our question and not the user's."""
    assert isinstance(client.submit(Exploding).result(30), Exploding)


def test_generator_functions(client: Client) -> None:
    """Of all kinds; they are told what to do instead."""

    def numbers() -> Any:
        yield 1

    async def later() -> Any:
        yield 1

    for function in (numbers, later):
        with pytest.raises(SerializationError, match=r"cannot be sent: .*return them as a list"):
            client.submit(function).result(30)


def test_a_result_that_cannot_leave_its_worker(client: Client) -> None:
    """Of use to tasks that run there; those elsewhere fail of it, rather than wait."""
    here, there = sorted(client.nthreads())
    bad = client.submit(lambda: [bytes(100_000), (n for n in "abc")], workers=here)
    assert client.submit(len, bad, workers=here).result(30) == 2
    with pytest.raises(SerializationError, match=f"result of task '{bad.key}' cannot be sent"):
        client.submit(len, bad, workers=there).result(30)


@pytest.mark.parametrize(
    "value",
    [b"x" * 110_000_000, "ü" * 55_000_000, [bytes(11_000_000)] * 10, numpy.zeros((11, 1_250_000))],
    ids=["bytes", "text", "list", "array"],
)
def test_arguments_of_more_than_100_megabytes(client: Client, value: Any) -> None:
    """They arrive whole, in one piece or in many."""
    assert client.submit(len, value).result(60) == len(value)
