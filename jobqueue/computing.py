"""`jobqueue.compute`: dask's collections, computed wherever one likes, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from jobqueue.client.client import Client
from jobqueue.client.collections import by_tasks, dask_itself
from jobqueue.errors import ClientClosed, ConfigError

SCHEDULERS = {
    "sync": "jobqueue.sync",
    "threads": "jobqueue.threaded",
    "processes": "jobqueue.multiprocessing",
}
"""The modules whose `get` computes in this process, or on this machine."""


def compute(
    *collections: Any, scheduler: str | Client | Callable[..., Any] | None = None, **kwargs: Any
) -> tuple[Any, ...]:
    """Compute dask collections, and return their values.

    Parameters
    ----------
    *collections
        Collections of dask's, also inside of lists, dicts and the like; what is none is handed back
        as it is.
    scheduler
        ``"sync"`` (in this thread, one task after the other), ``"threads"``, ``"processes"``, a
        `Client`, or any function that dask takes. By default the client that is open, and threads
        if there is none.
    **kwargs
        For dask's ``compute``; ``num_workers`` for how many threads or processes.

    Returns
    -------
    tuple
        The values, in order.

    Raises
    ------
    ConfigError
        dask is not installed, or there is no such scheduler, or it would have to be awaited.
    Exception
        Whatever a task raised, with a note that says its key in the graph.

    Examples
    --------
    >>> import dask
    >>> total = dask.delayed(sum)([dask.delayed(abs)(-1), 2])
    >>> compute(total, "no collection", scheduler="sync")
    (3, 'no collection')
    """
    get = scheduler_get(scheduler)
    dask = dask_itself()
    with by_tasks() if isinstance(getattr(get, "__self__", None), Client) else nullcontext():
        return tuple(dask.compute(*collections, scheduler=get, **kwargs))


def scheduler_get(scheduler: str | Client | Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the function that computes graphs, as dask wants it.

    Raises
    ------
    ConfigError
        There is no such scheduler, or it would have to be awaited.
    """
    if scheduler is None:
        try:
            scheduler = Client.current()
        except ClientClosed:
            scheduler = "threads"
    if isinstance(scheduler, Client):
        if scheduler.asynchronous:
            raise ConfigError(
                f"{scheduler} is asynchronous: use 'await client.compute(collection)' instead"
            )
        return scheduler.get
    if callable(scheduler):
        return scheduler
    home = SCHEDULERS.get(scheduler)
    if home is None:
        known = ", ".join(map(repr, SCHEDULERS))
        raise ConfigError(
            f"scheduler={scheduler!r}: it is one of {known}, a client, or a function such as "
            "client.get"
        )
    return importlib.import_module(home).get  # type: ignore[no-any-return]
