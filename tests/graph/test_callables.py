"""Callables that are sent as data."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jobqueue.cluster.in_process import InProcess
from jobqueue.graph.callables import LARGE, by_value, is_large
from jobqueue.graph.prepare import prepare
from jobqueue.graph.steps import read_graph

TABLE = bytes(LARGE)


class Model:
    """Has methods, and weights."""

    def __init__(self, size: int = LARGE) -> None:
        self.layers = {"first": [np.ones(size // 8)], "itself": self}

    def predict(self, number: float, *, plus: float = 0) -> float:
        """Look at a weight."""
        return float(self.layers["first"][0][0]) * number + plus

    __call__ = predict


class Odd:
    """Raises what it likes where it is asked for an attribute."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("nbytes", "__dict__"):
            raise ValueError(name)
        return super().__getattribute__(name)

    def __call__(self) -> None:
        """Do nothing."""


def closure(table: Any) -> Callable[..., Any]:
    return lambda number: number + len(table)


def default(number: int, table: Any = TABLE) -> int:
    return number + len(table)


LARGES = {
    "a method": Model().predict,
    "an object": Model(),
    "a partial": functools.partial(max, TABLE),
    "a partial's keyword": functools.partial(default, table=list(range(LARGE // 8))),
    "a partial of a method": functools.partial(Model().predict, plus=1),
    "a method of an array": np.ones(LARGE // 8).dot,
    "a closure": closure(TABLE),
    "a default": lambda number, table=TABLE: number,
    "a global": lambda: TABLE,
}
SMALLS = {
    "a function of a module": default,
    "what is built in": divmod,
    "a class": Model,
    "a method of a small object": Model(80).predict,
    "a closure": closure(b"abc"),
    "a partial": functools.partial(operator.add, 1),
    "what cannot be asked": Odd(),
}


@pytest.mark.parametrize("function", LARGES.values(), ids=LARGES)
def test_large_ones(function: Any):
    """By what they hold, however deep it lies."""
    assert is_large(function, {})


@pytest.mark.parametrize("function", SMALLS.values(), ids=SMALLS)
def test_small_ones(function: Any):
    """And those that are pickled by their name, whatever they hold."""
    assert not is_large(function, {})


def test_each_is_looked_at_once():
    """A graph calls the same ones many times."""
    known: dict[int, tuple[Any, bool]] = {}
    model = Model()
    assert is_large(model, known)
    model.layers.clear()
    assert is_large(model, known)
    assert not is_large(model, {})


def test_what_is_no_function_is_no_function_without_a_name():
    """Data stays where it stands."""
    assert not by_value(Model(), {})
    assert not by_value(divmod, {})
    assert by_value(closure(b""), {})


def test_a_large_one_is_a_step_of_its_own():
    """Once for all that call it, by themselves or inside of other calls."""
    predict = Model().predict
    dsk = {
        "a": (predict, 1),
        "b": (max, (predict, 2), (predict, "a")),
        "c": (abs, (functools.partial(predict, plus=1), 1)),
    }
    graph = read_graph(dsk)
    assert len(graph.steps) == 5
    assert InProcess(prepare(dsk, ["a", "b", "c"])).run() == [1, 2, 2]
