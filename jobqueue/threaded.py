"""`jobqueue.threaded.get`: graphs run by threads of this process.

Values are handed over as they are, so nothing has to be pickled; right for what lets go of the
interpreter's lock, as NumPy does.
"""

from __future__ import annotations

from typing import Any

from jobqueue.cluster.in_process import InProcess, worker_count
from jobqueue.graph.prepare import prepare


def get(dsk: Any, keys: Any, *, num_workers: int | None = None, **kwargs: Any) -> Any:
    """Run what some keys of a graph need, in threads.

    Parameters
    ----------
    dsk, keys, **kwargs
        As for `jobqueue.sync.get`.
    num_workers
        Threads; by default as many as there are CPUs for this process.

    Raises
    ------
    ConfigError
        So many workers there cannot be.
    GraphError
        It is no graph, or has a cycle, or lacks a key.
    Exception
        Whatever a task raised, with a note that says its key.

    Examples
    --------
    >>> get({"x": (abs, -1), "y": (max, "x", 0)}, "y", num_workers=2)
    1
    """
    return InProcess(prepare(dsk, keys), worker_count(num_workers)).run()
