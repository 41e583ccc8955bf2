"""From what a user hands over to steps in the order in which they are to be run."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from jobqueue.graph.dask_graph import (
    annotations_of,
    is_dask,
    no_collection,
    ranks,
    read_dask_graph,
    written_out,
)
from jobqueue.graph.plan import flatten, in_order, is_in_order, nest, targets
from jobqueue.graph.steps import Graph, read_graph


class Prepared(NamedTuple):
    """A graph that can be run.

    Attributes
    ----------
    graph
        Its steps.
    order
        Keys of the steps that are needed, each after its inputs.
    keys
        What was asked for, nested.
    found
        By key that was asked for: the key of a step, or of small data, that it stands for.
    options
        By key: options that were given to it by ``dask.annotate``.
    """

    graph: Graph
    order: list[Hashable]
    keys: Any
    found: dict[Hashable, Hashable]
    options: Mapping[Hashable, dict[str, Any]]

    def outputs(self) -> list[Hashable]:
        """Return the keys of steps whose results were asked for, each once."""
        steps = self.graph.steps
        return [key for key in dict.fromkeys(self.found.values()) if key in steps]

    def results(self, values: Mapping[Hashable, Any]) -> Any:
        """Return results in the nesting of what was asked for.

        Parameters
        ----------
        values
            By the key of the step.
        """
        small = self.graph.small
        named = {
            key: small[target] if target in small else values[target]
            for key, target in self.found.items()
        }
        return nest(self.keys, named)


def prepare(dsk: Any, keys: Any) -> Prepared:
    """Read a graph, and find out what has to be run for some of its keys.

    Parameters
    ----------
    dsk
        A dict of keys and tasks, or what dask hands to a scheduler.
    keys
        A key, or a list of keys or of such lists.

    Raises
    ------
    GraphError
        It is no graph, or has a cycle, or lacks a key.

    Examples
    --------
    >>> prepared = prepare({"a": (abs, -1), "b": (abs, "a"), "c": 5}, ["b", ["c"]])
    >>> prepared.order, prepared.results({"b": 1})
    (['a', 'b'], [1, [5]])
    """
    with no_collection():
        marks = annotations_of(dsk)
        dsk = written_out(dsk)
        from_dask = is_dask(dsk)
        graph = read_dask_graph(dsk) if from_dask else read_graph(dsk)
        found = targets(graph, flatten(keys))
        order = in_order(graph, found.values())
        if from_dask and (rank := ranks(dsk)) is not None:
            ranked = sorted(order, key=lambda key: rank.get(key, -1))  # functions have none
            if is_in_order(graph, ranked):  # dask does not see into all plain values
                order = ranked
    return Prepared(graph, order, keys, found, marks)
