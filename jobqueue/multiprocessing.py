"""`jobqueue.multiprocessing.get`: graphs run by processes of this machine, which end with it.

A `LocalCluster` for one graph. Whoever has several makes a `Client` and takes `Client.get`.
"""

from __future__ import annotations

from typing import Any

from jobqueue.client.client import Client
from jobqueue.cluster.in_process import worker_count
from jobqueue.cluster.local import LocalCluster


def get(dsk: Any, keys: Any, *, num_workers: int | None = None, **kwargs: Any) -> Any:
    """Run what some keys of a graph need, in processes.

    Parameters
    ----------
    dsk, keys, **kwargs
        As for `jobqueue.sync.get`.
    num_workers
        Processes; by default as many as there are CPUs for this process.

    Raises
    ------
    ConfigError
        So many workers there cannot be.
    GraphError
        It is no graph, or has a cycle, or lacks a key.
    SerializationError
        A task, or its result, cannot be pickled.
    Exception
        Whatever a task raised, with a note that says its key.

    Examples
    --------
    >>> get({"x": (abs, -1), "y": (max, "x", 0)}, "y", num_workers=2)  # doctest: +SKIP
    1
    """
    processes = worker_count(num_workers)
    with (
        LocalCluster(n_workers=processes, threads_per_worker=1) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        return client.get(dsk, keys)
