"""Graphs as people write them."""

from __future__ import annotations

import functools
from operator import add, mul
from typing import Any

import pytest

from jobqueue import sync
from jobqueue.graph.programs import Program, Ref
from jobqueue.graph.steps import read_graph


@pytest.mark.parametrize(
    ("dsk", "key", "result"),
    [
        ({"x": 1, "y": 2, "z": (add, "x", "y")}, "z", 3),
        ({"x": 1, "y": "x", "z": "y"}, "z", 1),
        ({("x", 0): 5, "y": (add, ("x", 0), 1)}, "y", 6),
        ({"x": 1, "y": (sum, ["x", "x", 3])}, "y", 5),
        ({"x": 1, "y": (sum, ["x", (add, "x", (mul, "x", 4))])}, "y", 6),
        ({"x": 1, "y": ["x", ["x", 2]]}, "y", [1, [1, 2]]),
        ({"x": (list, "abc"), "y": (len, "x")}, "y", 3),
        ({"x": "text", "y": (str.upper, "x")}, "y", "TEXT"),
        ({"x": {"a": "b"}, "y": (dict, "x")}, "y", {"a": "b"}),
        ({1: 5, "y": (add, 1, 1)}, "y", 10),
        ({"x": (), "y": (len, "x")}, "y", 0),
        ({"f": (functools.partial, max), "x": (callable, "f")}, "x", True),
        ({"x": None, "y": (str, "x")}, "y", "None"),
    ],
)
def test_what_a_graph_means(dsk: dict[Any, Any], key: Any, result: Any):
    """Calls, names, keys that are tuples, lists, calls in calls; all else is data."""
    assert sync.get(dsk, key) == result


def test_calls_inside_of_a_task_are_one_program_for_all_of_its_kind():
    """So that what they have in common travels once."""
    graph = read_graph(
        {f"k{i}": (add, (mul, i, 10), (abs, "n")) for i in range(3)} | {"n": (int, "-5")}
    )
    programs = {graph.steps[f"k{i}"].function for i in range(3)}
    [program] = programs
    assert isinstance(program, Program)
    assert program(2, 10, -5) == 25
    assert program.__name__ == "add"
    assert [type(arg) for arg in graph.steps["k0"].args] == [int, int, Ref]


def test_functions_without_a_name_travel_once():
    """A lambda among the arguments of many tasks is a task of its own."""
    double = lambda x: 2 * x  # noqa: E731
    dsk = {f"k{i}": (map, double, [i]) for i in range(3)}
    graph = read_graph(dsk)
    assert len(graph.steps) == 4
    assert all(type(graph.steps[key].args[0]) is Ref for key in dsk)
    assert [list(one) for one in sync.get(dsk, ["k0", "k2"])] == [[0], [4]]


def test_small_data_is_no_task():
    """Numbers stand in the arguments of who wants them."""
    graph = read_graph({"x": 1, "y": (add, "x", "x"), "z": "x"})
    assert list(graph.steps) == ["y"]
    assert sync.get({"x": 1, "z": "x"}, ["x", "z"]) == [1, 1]
