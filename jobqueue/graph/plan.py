"""What has to be run for some keys of a graph, and in which order.

Depth first: what a result needs comes just before it, so that few results are alive at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from jobqueue.errors import GraphError
from jobqueue.graph.steps import SHOWN, Graph, circle


def flatten(keys: Any) -> Iterator[Hashable]:
    """Return the keys in nested lists, in order.

    Examples
    --------
    >>> list(flatten([["a", ("b", 0)], "c"]))
    ['a', ('b', 0), 'c']
    """
    if isinstance(keys, list):
        for key in keys:
            yield from flatten(key)
    else:
        yield keys


def nest(keys: Any, values: Mapping[Hashable, Any]) -> Any:
    """Return values in the nesting of their keys."""
    return [nest(key, values) for key in keys] if isinstance(keys, list) else values[keys]


def targets(graph: Graph, keys: Iterable[Hashable]) -> dict[Hashable, Hashable]:
    """Return which step, or small datum, each key that was asked for stands for.

    Raises
    ------
    GraphError
        One of them is not in the graph, or stands for itself.
    """
    found: dict[Hashable, Hashable] = {}
    for key in keys:
        try:
            target = found[key] = graph.target(key)
        except TypeError:
            raise GraphError(
                f"{key!r} is no key: keys are hashable, and only lists may hold several"
            ) from None
        if target not in graph.steps and target not in graph.small:
            there = ", ".join(map(repr, list(graph.keys)[:SHOWN])) or "no keys at all"
            more = ", ..." if len(graph.keys) > SHOWN else ""
            raise GraphError(f"there is no key {target!r} in the graph; it has {there}{more}")
    return found


def in_order(
    graph: Graph, outputs: Iterable[Hashable], rank: Callable[[Hashable], Any] | None = None
) -> list[Hashable]:
    """Return the keys of the steps that outputs need, each after what it needs itself.

    Parameters
    ----------
    graph
        The graph.
    outputs
        Keys of steps; others are passed over.
    rank
        Among the inputs of a step, the lower goes first; by default, in the order they stand there.

    Raises
    ------
    GraphError
        An input is missing, or a step needs its own result.

    Examples
    --------
    >>> from jobqueue.graph.steps import read_graph
    >>> graph = read_graph({"a": (int, "1"), "c": (max, "b", "a"), "b": (abs, "a"), "d": 7})
    >>> in_order(graph, ["c"])
    ['a', 'b', 'c']
    """
    steps, small = graph.steps, graph.small
    order: list[Hashable] = []
    state: dict[Hashable, bool] = {}  # False: begun; True: done
    for output in outputs:
        if output in state or output in small:
            continue
        stack: list[tuple[Hashable, Iterator[Hashable]]] = []
        _enter(graph, output, stack, state, rank)
        while stack:
            key, inputs = stack[-1]
            for one in inputs:
                done = state.get(one)
                if done is None:
                    if one not in steps:
                        raise GraphError(f"{key!r} needs {one!r}, which is not in the graph")
                    _enter(graph, one, stack, state, rank)
                    break
                if not done:
                    raise circle([*(begun for begun, _ in stack), one])
            else:
                stack.pop()
                state[key] = True
                order.append(key)
    return order


def is_in_order(graph: Graph, keys: Iterable[Hashable]) -> bool:
    """Return whether each of these steps comes after its inputs."""
    before: set[Hashable] = set()
    for key in keys:
        if not before.issuperset(graph.steps[key].inputs):
            return False
        before.add(key)
    return True


def _enter(
    graph: Graph,
    key: Hashable,
    stack: list[tuple[Hashable, Iterator[Hashable]]],
    state: dict[Hashable, bool],
    rank: Callable[[Hashable], Any] | None,
) -> None:
    state[key] = False
    inputs: Iterable[Hashable] = graph.steps[key].inputs
    stack.append((key, iter(sorted(inputs, key=rank) if rank is not None else inputs)))
