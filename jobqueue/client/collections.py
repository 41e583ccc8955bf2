"""A client's part about graphs: what dask and people write down, computed on the cluster."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Generator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from jobqueue.client.control import Control
from jobqueue.client.default import BY_TASKS, SHUFFLE
from jobqueue.client.options import annotate, refuse_unknown
from jobqueue.errors import ConfigError

if TYPE_CHECKING:
    from jobqueue.client.graphs import SentGraph

_OF_OTHERS = frozenset({
    "asynchronous", "cache", "callbacks", "chunksize", "direct", "dumps", "fifo_timeout",
    "func_dumps", "func_loads", "get_id", "initializer", "loads", "num_workers", "optimize_graph",
    "pack_exception", "raise_exception", "rerun_exceptions_locally", "sync", "traverse",
    # and of what optimizes graphs, which dask 2024.12 hands on
    "fast_functions", "fuse_keys", "inline_functions_fast_functions", "rename_fused_keys",
})  # fmt: skip
"""Keywords of dask's own schedulers, and of distributed's, that mean nothing to ours."""


class Collections(Control):
    """Graphs and collections; see `jobqueue.client.client.Client`."""

    if TYPE_CHECKING:  # the class that stands on this one has it

        def gather(self, futures: Any) -> Any: ...  # noqa: D102

    def get(
        self,
        dsk: Any,
        keys: Any,
        *,
        priority: float | None = 0,
        retries: int | None = 0,
        workers: str | Collection[str] | None = None,
        allow_other_workers: bool = False,
        resources: Mapping[str, float] | None = None,
        pool: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Compute some keys of a graph on the workers; to be awaited if asynchronous.

        This is what dask calls: ``x.compute(scheduler=client.get)``.

        Parameters
        ----------
        dsk
            A dict of keys and tasks such as ``{"x": 1, "y": (add, "x", 2)}``, or what dask hands to
            a scheduler.
        keys
            A key, or a list of keys or of such lists.
        priority, retries, workers, allow_other_workers, resources, pool
            As for `Client.submit`, for all of its tasks: ``x.compute(priority=10)``.
        **kwargs
            What dask's own schedulers and distributed know besides, such as ``num_workers``;
            without effect.

        Returns
        -------
        Any
            The results, in the nesting of `keys`.

        Raises
        ------
        GraphError
            It is no graph, or has a cycle, or lacks a key: before anything is run.
        SerializationError
            A task cannot be pickled; the message names its key.
        ConfigError
            There is no such option, or it cannot be meant so.
        Exception
            Whatever a task raised, with a note that says its key.

        Examples
        --------
        >>> client.get({"x": 1, "y": (max, "x", 2)}, ["y", ["x"]])  # doctest: +SKIP
        [2, [1]]
        """
        refuse_unknown("get", self.get, (name for name in kwargs if name not in _OF_OTHERS))
        options = annotate(
            priority=priority,
            retries=retries,
            workers=workers,
            allow_other_workers=allow_other_workers,
            resources=resources,
            pool=pool,
        )
        with options:
            sent = self._send_graph(dsk, keys)
        if self.asynchronous:
            return Awaited(self._results_of(sent))
        with sent as futures:
            values = self.gather(futures)
        return sent.results(values)

    async def _results_of(self, sent: SentGraph) -> Any:
        with sent as futures:
            values = await self.gather(futures)
        return sent.results(values)

    def _send_graph(self, dsk: Any, keys: Any) -> SentGraph:
        from jobqueue.client.graphs import send_graph  # not all programs have graphs

        self._check_open()
        return send_graph(self, dsk, keys)

    def _futures_of(self, dsk: Any, keys: Any) -> Any:
        """Answer as `get` does, with futures in place of results."""
        return self._send_graph(dsk, keys).futures()

    def compute(
        self,
        collections: Any,
        *,
        sync: bool = False,
        optimize_graph: bool = True,
        priority: float | None = 0,
        retries: int | None = 0,
        workers: str | Collection[str] | None = None,
        allow_other_workers: bool = False,
        resources: Mapping[str, float] | None = None,
        pool: str | None = None,
        traverse: bool = False,
        fifo_timeout: object = None,
        **kwargs: Any,
    ) -> Any:
        """Compute dask collections; return futures of their values.

        Parameters
        ----------
        collections
            A collection of dask's, or a list or tuple of them. What is none is handed back as it
            is.
        sync
            Whether to wait, and return the values themselves.
        optimize_graph
            Whether dask is to optimize the graph first.
        priority, retries, workers, allow_other_workers, resources, pool
            As for `Client.submit`, for all of its tasks.
        traverse
            Whether to look for collections inside of lists, dicts and the like among them.
        fifo_timeout
            Without effect.

        Raises
        ------
        ConfigError
            dask is not installed; or there is no such option, or it cannot be meant so.

        Examples
        --------
        >>> total = client.compute(array.sum())  # doctest: +SKIP
        >>> total.result()  # doctest: +SKIP
        """
        refuse_unknown("compute", self.compute, kwargs)
        several = isinstance(collections, list | tuple)
        options = annotate(
            priority=priority,
            retries=retries,
            workers=workers,
            allow_other_workers=allow_other_workers,
            resources=resources,
            pool=pool,
        )
        with options, by_tasks():
            found = _computed(
                self, list(collections) if several else [collections], optimize_graph, traverse
            )
        result = found if several else found[0]
        return self.gather(result) if sync else result

    def persist(
        self,
        collections: Any,
        *,
        optimize_graph: bool = True,
        priority: float | None = 0,
        retries: int | None = 0,
        workers: str | Collection[str] | None = None,
        allow_other_workers: bool = False,
        resources: Mapping[str, float] | None = None,
        pool: str | None = None,
        traverse: bool = True,
        fifo_timeout: object = None,
        **kwargs: Any,
    ) -> Any:
        """Compute dask collections, and keep the parts on the workers.

        Returns at once, with collections whose parts are futures; they are there as long as one of
        these collections is.

        Parameters
        ----------
        collections
            A collection of dask's, or a list or tuple of them.
        optimize_graph, priority, retries, workers, allow_other_workers, resources, pool
            As for `compute`.
        traverse, fifo_timeout
            As for `compute`.

        Raises
        ------
        ConfigError
            dask is not installed; or there is no such option, or it cannot be meant so.

        Examples
        --------
        >>> frame = client.persist(frame)  # doctest: +SKIP
        """
        refuse_unknown("persist", self.persist, kwargs)
        dask = dask_itself()
        several = isinstance(collections, list | tuple)
        options = annotate(
            priority=priority,
            retries=retries,
            workers=workers,
            allow_other_workers=allow_other_workers,
            resources=resources,
            pool=pool,
        )
        with options, by_tasks():
            found = dask.persist(
                *(collections if several else [collections]),
                scheduler=lambda dsk, keys, **more: self._futures_of(dsk, keys),
                optimize_graph=optimize_graph,
                traverse=traverse,
            )
        return type(collections)(found) if several else found[0]


class Awaited(Coroutine[Any, Any, Any]):
    """What an asynchronous client computes of a graph: to be awaited, and no results yet.

    Handed to dask as ``client.get``, the client is not awaited, and here dask hears why.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        """As of the coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """As of the coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As of the coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __getitem__(self, place: int) -> Any:  # by which it can be iterated over, too
        self.close()
        raise ConfigError(
            "dask cannot await an asynchronous client: use 'await client.compute(collection)' in "
            "place of collection.compute(scheduler=client.get)"
        )


def dask_itself() -> Any:
    """Return dask, which is optional.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import dask
    except ImportError as error:
        raise ConfigError(
            f"dask is not installed ({error}): pip install 'jobqueue[dask]'"
        ) from None
    return dask


def by_tasks() -> AbstractContextManager[Any]:
    """Have dask shuffle by tasks, unless the user has said how; see `jobqueue.client.default`."""
    config = dask_itself().config
    return cast(
        AbstractContextManager[Any],
        config.set({SHUFFLE: config.get(SHUFFLE, None) or BY_TASKS}),
    )


def _computed(
    client: Collections, collections: list[Any], optimize_graph: bool, traverse: bool
) -> list[Any]:
    """Return futures of the values of collections, in their order."""
    dask = dask_itself()
    from dask import base

    def futures(dsk: Any, keys: Any, **more: Any) -> Any:
        return client._futures_of(dsk, keys)

    if hasattr(base, "collections_to_expr"):  # asks for one key each, which holds all of the value
        return list(
            dask.compute(
                *collections, scheduler=futures, optimize_graph=optimize_graph, traverse=traverse
            )
        )
    from dask.highlevelgraph import HighLevelGraph

    ours = {place: one for place, one in enumerate(collections) if dask.is_dask_collection(one)}
    dsk = cast(Any, base).collections_to_dsk(list(ours.values()), optimize_graph)
    last: dict[int, str] = {}
    finals: dict[Any, Any] = {}
    for place, one in ours.items():
        finalize, extra = one.__dask_postcompute__()
        last[place] = f"finalize-{place}-{id(one):x}"
        finals[last[place]] = (finalize, one.__dask_keys__(), *extra)
    dsk = HighLevelGraph.merge(dsk, finals)  # which keeps the annotations
    found = dict(zip(last, client._futures_of(dsk, list(last.values())), strict=True))
    return [found.get(place, one) for place, one in enumerate(collections)]
