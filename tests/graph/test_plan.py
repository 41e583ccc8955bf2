"""What is run of a graph, and in which order."""

from __future__ import annotations

import pytest

from jobqueue.errors import GraphError
from jobqueue.graph.plan import flatten, in_order, is_in_order, nest, targets
from jobqueue.graph.steps import read_graph


def test_only_what_is_needed_is_run():
    """What nobody asked for costs nothing."""
    graph = read_graph({"a": (int, "1"), "b": (abs, "a"), "unused": (abs, "b")})
    assert in_order(graph, ["b"]) == ["a", "b"]


def test_what_a_task_needs_comes_just_before_it():
    """Depth first: of a tree, one half is done before the other begins."""
    graph = read_graph(
        {
            "root": (max, "left", "right"),
            "left": (max, "a", "b"),
            "right": (max, "c", "d"),
            **dict.fromkeys("abcd", (int, "1")),
        }
    )
    assert in_order(graph, ["root"]) == ["a", "b", "left", "c", "d", "right", "root"]


def test_a_cycle_is_shown():
    """With the way around, so that it can be found in the graph."""
    graph = read_graph({"a": (abs, "b"), "b": (abs, "c"), "c": (abs, "a"), "x": (abs, "a")})
    with pytest.raises(GraphError, match="'a' needs 'b' needs 'c' needs 'a'"):
        in_order(graph, ["x"])
    long = read_graph({i: (abs, (i + 1) % 1000) for i in range(1000)})
    with pytest.raises(GraphError, match="cycle") as caught:
        in_order(long, [0])
    assert len(str(caught.value)) < 300


def test_names_that_stand_for_each_other():
    """A circle of mere names is a cycle as well."""
    graph = read_graph({"a": "b", "b": "a"})
    with pytest.raises(GraphError, match="'a' needs 'b' needs 'a'"):
        targets(graph, ["a"])


def test_a_missing_key_is_named_with_those_there_are():
    """Also one of the wrong type."""
    graph = read_graph({"a": 1, "b": (abs, "a")})
    with pytest.raises(GraphError, match="no key 'c' in the graph; it has 'a', 'b'"):
        targets(graph, ["c"])
    with pytest.raises(GraphError, match="is no key"):
        targets(graph, [{"a"}])


def test_ten_thousand_tasks_in_a_row():
    """No recursion: the depth of a graph has no limit."""
    graph = read_graph({i: (abs, i - 1) if i else (int, "1") for i in range(10_000)})
    assert in_order(graph, [9_999]) == list(range(10_000))


def test_results_come_in_the_nesting_of_the_keys():
    """Lists are nesting, tuples are keys."""
    keys = ["a", [("x", 0), ["a"]], []]
    assert list(flatten(keys)) == ["a", ("x", 0), "a"]
    assert nest(keys, {"a": 1, ("x", 0): 2}) == [1, [2, [1]], []]


def test_an_order_is_one_if_inputs_come_first():
    """Whatever made it."""
    graph = read_graph({"a": (abs, -1), "b": (abs, "a")})
    assert is_in_order(graph, ["a", "b"])
    assert not is_in_order(graph, ["b", "a"])
