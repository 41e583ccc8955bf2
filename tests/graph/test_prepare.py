"""From a graph to what is run."""

from __future__ import annotations

import gc

import pytest

from jobqueue.errors import GraphError
from jobqueue.graph.prepare import prepare


def test_what_is_no_graph_is_refused():
    """In one sentence."""
    with pytest.raises(GraphError, match="list is no graph: give a dict"):
        prepare([1, 2], "x")


def test_outputs_are_what_was_asked_for():
    """Each once, without small data."""
    prepared = prepare({"a": (abs, -1), "b": "a", "c": 5}, ["a", ["b", "c"], "a"])
    assert prepared.outputs() == ["a"]
    assert prepared.results({"a": 1}) == [1, [1, 5], 1]


def test_garbage_is_collected_afterwards_as_before():
    """It rests only while a graph is read; also if that fails."""
    assert gc.isenabled()
    with pytest.raises(GraphError):
        prepare({}, "x")
    assert gc.isenabled()
    gc.disable()
    try:
        prepare({"x": 1}, "x")
        assert not gc.isenabled()
    finally:
        gc.enable()
