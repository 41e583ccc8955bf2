"""Graphs as people write them, read into steps.

A graph is a dict. A value that is a tuple whose first element is callable is a call of that; a
hashable that is a key of the graph means that key's result; both also inside of lists, tuples and
sets, and as arguments of calls; all else is data. (The format is dask's:
https://docs.dask.org/en/stable/spec.html, and as dask reads it today.)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from jobqueue.errors import GraphError
from jobqueue.graph.callables import by_value, is_large
from jobqueue.graph.programs import (
    Call,
    Program,
    Ref,
    call,
    make_list,
    make_set,
    make_tuple,
    value,
)

SMALL = (type(None), bool, int, float, complex)
"""Data of these types stands in the arguments of who wants it, and is no step of its own."""

SHOWN = 5
"""Keys in a message."""


class Step:
    """One task of a graph.

    Attributes
    ----------
    function, args, kwargs
        The call; for what arguments may hold see `programs`.
    inputs
        Keys of the steps whose results it needs.
    """

    __slots__ = ("args", "function", "inputs", "kwargs")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
        inputs: tuple[Hashable, ...] = (),
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.inputs = inputs


class Graph:
    """Steps by key, and what else their keys may stand for.

    Attributes
    ----------
    steps
        By key.
    same
        Keys that stand for another key.
    small
        Data of little size, by key.
    refs
        The references to each key.
    programs
        By what they consist of.
    keys
        Those of the graph as it was written.
    callables
        Those that were looked at in arguments, see `by_value`.
    called
        Those that are called, and were looked at, see `is_large`.
    """

    def __init__(self, keys: Any) -> None:
        self.steps: dict[Hashable, Step] = {}
        self.same: dict[Hashable, Hashable] = {}
        self.small: dict[Hashable, Any] = {}
        self.refs: dict[Hashable, Ref] = {}
        self.programs: dict[tuple[Any, ...], Program] = {}
        self.keys = keys
        self.callables: dict[int, tuple[Any, bool]] = {}
        self.called: dict[int, tuple[Any, bool]] = {}

    def target(self, key: Hashable) -> Hashable:
        """Return the key of the step that a key stands for in the end.

        Raises
        ------
        GraphError
            It stands for itself, by way of others.
        """
        if key not in self.same:
            return key
        path = {key: None}
        while (key := self.same[key]) in self.same:
            if key in path:
                raise circle([*path, key])
            path[key] = None
        for one in path:
            self.same[one] = key
        return key


def circle(path: Sequence[Hashable]) -> GraphError:
    """Return the error of a path of keys, each of which needs the next, that ends where it was."""
    keys = path[path.index(path[-1]) :]
    shown = [repr(key) for key in keys]
    if len(shown) > 2 * SHOWN:
        shown = [*shown[:SHOWN], "...", *shown[-SHOWN:]]
    return GraphError(
        f"the graph has a cycle, so that nothing in it can be run first: {' needs '.join(shown)}"
    )


class Slot:
    """The result of a call, while the program that it is part of is being written."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


class Nodes(NamedTuple):
    """Values of another library's that mean more than data.

    Parameters
    ----------
    types
        Their types.
    read
        Returns what one of them means that stands in arguments.
    """

    types: tuple[type, ...]
    read: Callable[[Reader, Any], Any]


class Reader:
    """Reads one step.

    Parameters
    ----------
    graph
        What it is part of.
    nodes
        What else than plain values may stand there.

    Attributes
    ----------
    inputs
        Keys that were met, in order.
    """

    __slots__ = ("_calls", "_parameters", "graph", "inputs", "nodes")

    def __init__(self, graph: Graph, nodes: Nodes | None = None) -> None:
        self.graph = graph
        self.nodes = nodes
        self.inputs: dict[Hashable, None] = {}
        self._calls: list[Call] = []
        self._parameters: list[Any] = []

    def ref(self, key: Hashable) -> Any:
        """Return what stands for the result of a key."""
        graph = self.graph
        if key in graph.same:
            key = graph.target(key)
        if key in graph.small:
            return graph.small[key]
        self.inputs[key] = None
        ref = graph.refs.get(key)
        if ref is None:
            ref = graph.refs[key] = Ref(key)
        return ref

    def data(self, one: Any) -> Any:
        """Return a value as it stands in arguments; functions without a name are steps."""
        return self._function(one) if by_value(one, self.graph.callables) else one

    def _function(self, function: Any) -> Any:
        key = ("function", id(function))
        self.graph.steps.setdefault(key, Step(value, (function,)))
        return self.ref(key)

    def call(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
    ) -> Slot:
        """Add a call to the program; return what stands for its result."""
        kwargs = kwargs or {}
        if is_large(function, self.graph.called):
            function, args = call, (self._function(function), *args)
        numbers = tuple(map(self._number, (*args, *kwargs.values())))
        self._calls.append(Call(function, numbers, tuple(kwargs)))
        return Slot(len(self._calls) - 1)

    def _number(self, arg: Any) -> int:
        if type(arg) is Slot:
            return ~arg.place
        self._parameters.append(arg)
        return len(self._parameters) - 1

    def container(
        self, make: Callable[..., Any], plain: Callable[[list[Any]], Any], items: list[Any]
    ) -> Any:
        """Return a container of what was read; made by a call if it holds results of calls."""
        if any(type(item) is Slot for item in items):
            return self.call(make, items)
        return plain(items)

    def step(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
    ) -> Step:
        """Return the step whose arguments were read."""
        if self._calls or any(type(arg) is Slot for arg in args):
            self.call(function, args, kwargs)
            return self.program()
        if is_large(function, self.graph.called):
            function, args = call, (self._function(function), *args)
        return Step(function, tuple(args), dict(kwargs or {}) or None, tuple(self.inputs))

    def is_last(self, slot: Slot) -> bool:
        """Return whether it stands for the result of the last call."""
        return slot.place == len(self._calls) - 1

    def program(self) -> Step:
        """Return the step of all calls that were added."""
        calls = self._calls
        if len(calls) == 1:  # by the function itself, whose name says more
            function, _, names = calls[0]
            first = len(self._parameters) - len(names)
            named = dict(zip(names, self._parameters[first:], strict=True))
            args = tuple(self._parameters[:first])
            return Step(function, args, named or None, tuple(self.inputs))
        signature = tuple((id(function), args, names) for function, args, names in calls)
        program = self.graph.programs.get(signature)
        if program is None:
            program = self.graph.programs[signature] = Program(calls)
        return Step(program, tuple(self._parameters), None, tuple(self.inputs))


def read_graph(dsk: Mapping[Hashable, Any]) -> Graph:
    """Read a graph that is a mapping of plain values.

    Examples
    --------
    >>> graph = read_graph({"x": 1, "y": (abs, "x"), "z": "y"})
    >>> graph.small, graph.same, graph.steps["y"].args
    ({'x': 1}, {'z': 'y'}, (1,))
    """
    graph = Graph(dsk)
    for key, one in dsk.items():
        note_plain(graph, key, one)
    for key, one in dsk.items():
        if key not in graph.small and key not in graph.same:
            graph.steps[key] = plain_step(graph, one)
    return graph


def note_plain(graph: Graph, key: Hashable, one: Any) -> None:
    """Note a value that is no step: a small one, or the name of another."""
    if type(one) in SMALL:
        if one is None or not _is_key(graph, one) or one == key:
            graph.small[key] = one
        else:
            graph.same[key] = one
    elif not is_call(one) and _is_key(graph, one) and one != key:
        graph.same[key] = one


def is_call(one: Any) -> bool:
    """Return whether a value means a call."""
    return type(one) is tuple and bool(one) and callable(one[0])


def plain_step(graph: Graph, one: Any, nodes: Nodes | None = None) -> Step:
    """Return the step that a plain value means."""
    reader = Reader(graph, nodes)
    if is_call(one):
        return reader.step(one[0], [read_plain(reader, arg) for arg in one[1:]])
    types = _CONTAINERS if nodes is None else _CONTAINERS + nodes.types
    if isinstance(one, types) and not _is_key(graph, one):  # its own key, say
        return reader.step(value, [read_plain(reader, one)])
    return Step(value, (one,))


def read_plain(reader: Reader, one: Any) -> Any:
    """Return what a value means that stands in arguments."""
    if is_call(one):
        return reader.call(one[0], [read_plain(reader, arg) for arg in one[1:]])
    nodes = reader.nodes
    if nodes is not None and isinstance(one, nodes.types):
        return nodes.read(reader, one)
    if type(one) is not list and _is_key(reader.graph, one):
        return reader.ref(one)
    if isinstance(one, _CONTAINERS):
        return _read_container(reader, one)
    return reader.data(one)


def _read_container(reader: Reader, one: Any) -> Any:
    """Return what a list, tuple or set means; itself, if there is nothing in it but data."""
    items = [read_plain(reader, item) for item in one]
    if all(map(operator.is_, items, one)):
        return one
    kind = type(one)
    if kind in _MAKERS:
        return reader.container(_MAKERS[kind], kind, items)
    if hasattr(kind, "_fields"):  # a named tuple
        return reader.call(kind, items)
    return reader.call(kind, [reader.container(make_list, list, items)])


_CONTAINERS = (list, tuple, set, frozenset)

_MAKERS: dict[type, Callable[..., Any]] = {list: make_list, tuple: make_tuple, set: make_set}


def _is_key(graph: Graph, one: Any) -> bool:
    try:
        return one in graph.keys
    except TypeError:  # cannot be hashed
        return False
