"""Graphs as dask makes them, run here and compared with dask's own result."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from operator import add
from typing import Any, NamedTuple

import numpy as np
import pytest

from jobqueue import sync
from jobqueue.graph.dask_graph import read_dask_graph
from jobqueue.graph.prepare import prepare

dask = pytest.importorskip("dask")
import dask.array as da  # noqa: E402
import dask.bag as db  # noqa: E402
from dask import _task_spec as spec  # noqa: E402
from dask.utils import apply  # noqa: E402


def a_block() -> Any:
    return da.arange(64, chunks=8).reshape(8, 8)


COLLECTIONS: dict[str, Callable[[], Any]] = {
    "array": lambda: ((a_block() + a_block().T)[::2].mean(axis=0) - 1).std(),
    "blocks with a lambda": lambda: a_block().map_blocks(lambda x: x + 1).sum(),
    "bag": lambda: db.range(50, npartitions=7).map(lambda x: x + 1).filter(lambda x: x % 2).sum(),
    "folded bag": lambda: db.range(50, npartitions=7).groupby(lambda x: x % 3).map(str),
    "delayed": lambda: dask.delayed(sum)(
        [dask.delayed(add)(i, dask.delayed(abs)(-i)) for i in range(9)]
    ),
    "delayed with containers": lambda: dask.delayed(
        lambda *args, **kwargs: (args, sorted(kwargs.items()))
    )([dask.delayed(1), (dask.delayed(2), {"k": dask.delayed(3)})], key={dask.delayed(4)}),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collections_give_what_dask_gives(name: str):
    """Arrays, bags, delayed: fused or not."""
    collection = COLLECTIONS[name]()
    expected = collection.compute(scheduler="sync")
    found = collection.compute(scheduler=sync.get)
    assert (np.asarray(found) == np.asarray(expected)).all() if name == "array" else True
    assert name == "array" or found == expected


def test_what_dask_has_fused_is_one_program_for_all_blocks():
    """So that 100,000 blocks do not carry their functions with them."""
    programs = set()

    def look(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        prepared = prepare(dsk, keys)
        steps = prepared.graph.steps
        programs.update(
            type(step.function).__name__ + str(id(step.function)) for step in steps.values()
        )
        return sync.get(dsk, keys)

    assert da.ones((100,), chunks=1).sum().compute(scheduler=look) == 100
    assert len(programs) < 10


def test_nodes_by_hand():
    """Tasks, aliases, data, containers, and calls inside of calls."""
    ref = spec.TaskRef
    dsk = {
        "one": spec.DataNode("one", 1),
        "big": spec.DataNode("big", "some text"),
        "same": spec.Alias("same", "one"),
        "sum": spec.Task("sum", add, ref("same"), spec.Task(None, add, ref("one"), 10)),
        "list": spec.List(ref("sum"), spec.Dict({"k": ref("big")}), spec.Task(None, abs, -1)),
        "plain": (add, "sum", 1),
        ("t", 0): spec.Task(("t", 0), sorted, spec.List(3, ref("one")), reverse=True),
    }
    assert sync.get(dsk, ["sum", "list", "plain", ("t", 0), "same"]) == [
        12,
        [12, {"k": "some text"}, 1],
        13,
        [3, 1],
        1,
    ]


def test_a_fused_task_by_hand():
    """With a name for another key, data, and one result used twice, inside of it."""
    ref = spec.TaskRef
    fused = spec.Task.fuse(
        spec.Task("a", add, ref("x"), 1),
        spec.Task("b", add, ref("a"), ref("a")),
        spec.Task("c", max, ref("b"), ref("a"), ref("y")),
    )
    outer = spec.Task.fuse(fused, spec.Task("d", add, ref("c"), ref("x")), key="d")
    dsk = {"x": spec.DataNode("x", 5), "y": spec.Task("y", abs, -3), "c": fused, "d": outer}
    assert sync.get(dsk, ["c", "d"]) == [12, 17]


class Pair(NamedTuple):
    left: Any
    right: Any


MIXED: dict[str, Any] = {
    "list of references": [spec.TaskRef("a"), 1],
    "call of a reference": (sum, [spec.TaskRef("a"), 1]),
    "call of a task": (sum, [spec.Task(None, add, 1, 1), "a"]),
    "call of an alias": (add, spec.Alias("other", "a"), 1),
    "reference": spec.TaskRef("a"),
    "tuple": ("a", 2),
    "set": {"a", 7},
    "frozenset": (sorted, frozenset(["a", 7])),
    "named tuple": (tuple, Pair("a", (add, "a", 1))),
    "dict": {"k": "a"},
    "call with a dict": (dict, {"k": "a"}),
    "apply": (apply, sorted, [["a", 1]], (dict, [["reverse", True]])),
    "data": (str, (1, ("b", 2), {3})),
}


@pytest.mark.parametrize("name", MIXED)
def test_plain_values_mean_what_they_mean_to_dask(name: str):
    """In graphs by hand, and beside nodes of dask's or with such inside of them."""
    one = MIXED[name]
    dsk = {"a": spec.Task("a", add, 1, 2), "t": one}
    expected = 3 if name == "reference" else dask.get(dsk, "t")
    assert sync.get(dsk, "t") == expected
    if "reference" not in name and "task" not in name and "alias" not in name:
        assert sync.get({"a": (add, 1, 2), "t": one}, "t") == expected


def test_a_graph_goes_with_its_last_reference():
    """And with it the futures it holds: nobody waits for a search for garbage."""
    gc.collect()
    gc.disable()
    try:
        graph = read_dask_graph({"a": spec.Task("a", add, 1, 2), "t": [spec.TaskRef("a")]})
        gone = weakref.ref(graph)
        del graph
        assert gone() is None
    finally:
        gc.enable()


def test_annotations_are_found():
    """By key, whatever made them."""
    with dask.annotate(priority=3):
        one = dask.delayed(abs)(-1)
    two = dask.delayed(add)(one, 1)
    seen: dict[Any, Any] = {}

    def look(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        seen.update(prepare(dsk, keys).options)
        return sync.get(dsk, keys)

    assert two.compute(scheduler=look, optimize_graph=False) == 2
    assert seen == {one.key: {"priority": 3}}
