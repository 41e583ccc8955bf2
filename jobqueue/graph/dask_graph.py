"""Graphs as dask makes them, read into steps. dask is imported only by whom it has called.

What dask hands to a scheduler (seen with dask 2024.12 to 2026.8): an expression, or a
`HighLevelGraph`, whose ``__dask_graph__()`` is a mapping; its values are ``Task``, ``Alias`` and
``DataNode`` of ``dask._task_spec``, containers of those, and here and there plain tuples still.
What dask has fused into one task is read as a program of calls, so that its functions are not
pickled with each.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from jobqueue.errors import GraphError
from jobqueue.graph.programs import make_dict, make_list, make_set, make_tuple, value
from jobqueue.graph.steps import SMALL, Graph, Nodes, Reader, Slot, Step, note_plain, plain_step

ORDERED = 50_000
"""Steps up to which dask's own ordering is asked: beyond, it takes longer than running them."""


def is_dask(dsk: Mapping[Hashable, Any]) -> bool:
    """Return whether a graph holds nodes of dask's."""
    return any(type(one).__module__ == "dask._task_spec" for one in dsk.values())


@contextmanager
def no_collection() -> Iterator[None]:
    """Let Python's garbage collector rest: it would look at each of 100,000 new tasks many times.

    That is most of the time in which dask writes out a large graph.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def written_out(dsk: Any) -> dict[Hashable, Any]:
    """Return a graph as a plain dict.

    Raises
    ------
    GraphError
        It is no graph.
    """
    if hasattr(dsk, "__dask_graph__"):
        dsk = dsk.__dask_graph__()
    if not isinstance(dsk, Mapping):
        raise GraphError(
            f"{type(dsk).__name__} is no graph: give a dict of keys and tasks, or a dask collection"
        )
    return dict(dsk)


def annotations_of(dsk: Any) -> dict[Hashable, dict[str, Any]]:
    """Return what ``dask.annotate`` says of keys: by key, values by name."""
    found: dict[Hashable, dict[str, Any]] = {}
    if hasattr(dsk, "__dask_annotations__"):
        for name, values in dsk.__dask_annotations__().items():
            for key, one in values.items():
                found.setdefault(key, {})[name] = one
    for layer in getattr(dsk, "layers", {}).values():
        marks = layer.annotations or {}
        for key in layer.get_output_keys() if marks else ():
            for name, one in marks.items():
                found.setdefault(key, {})[name] = one(key) if callable(one) else one
    return found


def annotations_around() -> dict[str, Any]:
    """Return what ``dask.annotate`` says around the call, which not all graphs were told.

    What is to be asked for each key is not among it.
    """
    dask: Any = sys.modules.get("dask")
    around = dask.get_annotations() if hasattr(dask, "get_annotations") else {}
    return {name: one for name, one in around.items() if not callable(one)}


def read_dask_graph(dsk: Mapping[Hashable, Any]) -> Graph:
    """Read a graph of dask's objects, among which there may be plain values."""
    from dask import _task_spec as spec

    graph = Graph(dsk)
    reading = _Reading(graph, spec)
    nodes = Nodes((spec.GraphNode, spec.TaskRef), reading.argument)
    later = []
    for key, one in dsk.items():
        if isinstance(one, spec.DataNode):
            if type(one.value) in SMALL:
                graph.small[key] = one.value
            else:
                graph.steps[key] = Step(value, (one.value,))
        elif isinstance(one, spec.Alias):
            graph.same[key] = _target(one)
        elif isinstance(one, spec.GraphNode):
            later.append((key, one))
        else:
            note_plain(graph, key, one)
            if key not in graph.small and key not in graph.same:
                later.append((key, one))
    for key, one in later:
        is_node = isinstance(one, spec.GraphNode)
        graph.steps[key] = reading.step(one) if is_node else plain_step(graph, one, nodes)
    return graph


def ranks(dsk: Mapping[Hashable, Any]) -> dict[Hashable, Any] | None:
    """Return dask's priorities, which keep few results alive; None where they take too long."""
    if len(dsk) > ORDERED:
        return None
    from dask.order import order

    try:
        return cast(dict[Hashable, Any], order(cast(Any, dsk)))
    except RuntimeError:  # a cycle, which is better told by whoever looks for one
        return None


class _Reading:
    """Reads nodes of dask's.

    Parameters
    ----------
    graph
        Where the steps go.
    spec
        The module ``dask._task_spec``.
    """

    def __init__(self, graph: Graph, spec: Any) -> None:
        self._graph = graph
        self._spec = spec
        self._fused = spec.Task, _fused_function(spec)
        self._pairs = hasattr(spec.Dict, "constructor")  # holds keys and values in turns
        self._containers: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {
            spec.List: (make_list, list),
            spec.Tuple: (make_tuple, tuple),
            spec.Set: (make_set, set),
            spec.Dict: (make_dict, lambda items: make_dict(*items)),
        }

    def step(self, node: Any) -> Step:
        """Return the step that a node means."""
        reader = Reader(self._graph)
        if type(node) in self._containers:
            return reader.step(value, [self._argument(reader, node, {})])
        if self._is_fused(node):
            result = self._fused_calls(reader, node, {})
            if type(result) is Slot and reader.is_last(result):
                return reader.program()
            return reader.step(value, [result])
        args = [self._argument(reader, arg, {}) for arg in node.args]
        kwargs = {name: self._argument(reader, arg, {}) for name, arg in node.kwargs.items()}
        return reader.step(node.func, args, kwargs)

    def _is_fused(self, node: Any) -> bool:
        kind, function = self._fused
        return type(node) is kind and node.func is function and function is not None

    def argument(self, reader: Reader, arg: Any) -> Any:
        """Return what a node means that stands in arguments of plain tuples."""
        return self._argument(reader, arg, {})

    def _argument(self, reader: Reader, arg: Any, names: Mapping[Hashable, Any]) -> Any:
        """Return what an argument means.

        Parameters
        ----------
        reader
            Of the step.
        arg
            The argument.
        names
            In a fused task: what keys stand for there.
        """
        spec = self._spec
        kind = type(arg)
        if kind is spec.TaskRef:
            return names[arg.key] if arg.key in names else reader.ref(arg.key)
        if not isinstance(arg, spec.GraphNode):
            return reader.data(arg)
        if kind is spec.Alias:
            target = _target(arg)
            return names[target] if target in names else reader.ref(target)
        if kind is spec.DataNode:
            return arg.value
        if kind in self._containers:
            given = arg.args
            if kind is spec.Dict and not self._pairs:
                given = [one for pair in given for one in pair.args]
            items = [self._argument(reader, item, names) for item in given]
            return reader.container(*self._containers[kind], items)
        if self._is_fused(arg):
            return self._fused_calls(reader, arg, names)
        args = [self._argument(reader, one, names) for one in arg.args]
        kwargs = {name: self._argument(reader, one, names) for name, one in arg.kwargs.items()}
        return reader.call(arg.func, args, kwargs)

    def _fused_calls(self, reader: Reader, node: Any, outer: Mapping[Hashable, Any]) -> Any:
        """Add the calls of a fused task to a program; return what its result is there."""
        inner, output, in_keys, *given = (getattr(arg, "value", arg) for arg in node.args)
        names: dict[Hashable, Any] = {
            key: self._argument(reader, arg, outer) for key, arg in zip(in_keys, given, strict=True)
        }
        for key in _inside_out(inner, output):
            names[key] = self._argument(reader, inner[key], names)
        return names[output]


def _target(alias: Any) -> Hashable:
    """Return the key that another stands for."""
    return cast(Hashable, getattr(alias.target, "key", alias.target))  # a TaskRef, in some releases


def _fused_function(spec: Any) -> Any:
    """Return what fused tasks call, if it has the form that is read here.

    In dask before 2025 it has another, whose tasks run as they are: only slower.
    """
    function = getattr(spec, "_execute_subgraph", None)
    if function is None or not inspect.getfullargspec(function).varargs:
        return None
    return function


def _inside_out(inner: Mapping[Hashable, Any], output: Hashable) -> Iterator[Hashable]:
    """Return the keys that a fused task needs for its output, in the order in which to run them."""
    done: set[Hashable] = set()
    stack = [output]
    while stack:
        key = stack[-1]
        if key in done:
            stack.pop()
            continue
        missing = [
            one
            for one in getattr(inner[key], "dependencies", ())
            if one in inner and one not in done
        ]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        done.add(key)
        yield key
