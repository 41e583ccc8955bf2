"""`jobqueue.sync.get`: graphs run one task after the other, in the thread that asks.

For looking into what goes wrong: a debugger sees each task. See `jobqueue.threaded` for the rest.
"""

from __future__ import annotations

from typing import Any

from jobqueue.cluster.in_process import InProcess
from jobqueue.graph.prepare import prepare


def get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """Run what some keys of a graph need, one task after the other.

    Parameters
    ----------
    dsk
        A dict of keys and tasks, or what dask hands to a scheduler.
    keys
        A key, or a list of keys or of such lists.
    **kwargs
        Of other schedulers; without effect.

    Returns
    -------
    Any
        The results, in the nesting of `keys`.

    Raises
    ------
    GraphError
        It is no graph, or has a cycle, or lacks a key.
    Exception
        Whatever a task raised, with a note that says its key.

    Examples
    --------
    >>> from operator import add
    >>> get({"x": 1, "y": 2, "z": (add, "x", "y")}, ["z", ["x"]])
    [3, [1]]
    """
    return InProcess(prepare(dsk, keys)).run()
