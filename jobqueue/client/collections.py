"""A client's part about graphs: what dask and people write down, computed on the cluster."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from jobqueue.client.control import Control
from jobqueue.client.default import BY_TASKS, SHUFFLE
from jobqueue.client.future import Future
from jobqueue.client.graphs import GraphSubmission, readable, task_options_of
from jobqueue.client.options import annotate, task_options
from jobqueue.errors import ConfigError
from jobqueue.graph.dask_graph import no_collection
from jobqueue.graph.prepare import Prepared, prepare


class Collections(Control):
    """Graphs and collections; see `jobqueue.client.client.Client`."""

    if TYPE_CHECKING:  # the class that stands on this one has it

        def gather(self, futures: Any) -> Any: ...  # noqa: D102

    def get(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Compute some keys of a graph on the workers; to be awaited if asynchronous.

        This is what dask calls: ``x.compute(scheduler=client.get)``.

        Parameters
        ----------
        dsk
            A dict of keys and tasks such as ``{"x": 1, "y": (add, "x", 2)}``, or what dask hands to
            a scheduler.
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
            It is no graph, or has a cycle, or lacks a key: before anything is run.
        SerializationError
            A task cannot be pickled; the message names its key.
        Exception
            Whatever a task raised, with a note that says its key.

        Examples
        --------
        >>> client.get({"x": 1, "y": (max, "x", 2)}, ["y", ["x"]])  # doctest: +SKIP
        [2, [1]]
        """
        prepared, futures = self._send_graph(dsk, keys)
        if self.asynchronous:
            return self._get_async(prepared, futures)
        with self._of_graph(prepared, futures):
            values = self.gather(list(futures.values()))
        return prepared.results(dict(zip(futures, values, strict=True)))

    async def _get_async(self, prepared: Prepared, futures: Mapping[Hashable, Future]) -> Any:
        with self._of_graph(prepared, futures):
            values = await self.gather(list(futures.values()))
        return prepared.results(dict(zip(futures, values, strict=True)))

    @contextmanager
    def _of_graph(self, prepared: Prepared, futures: Mapping[Hashable, Future]) -> Iterator[None]:
        """Let go of futures, however the wait for them ends; say which task failed, by its key."""
        try:
            yield
        except Exception as error:
            failures = (future._state.failure for future in futures.values())
            failure = next((one for one in failures if one is not None), None)
            name = self._submission.prefix_of(failure.task) if failure is not None else ""
            key = next((key for key in prepared.order if readable(key) == name), None)
            if failure is None or not name or key is None:  # of a future that the graph holds, say
                raise
            told = failure.to_exception()
            told.add_note(f"in the task {key!r} of the graph")
            raise told.with_traceback(error.__traceback__) from told.__cause__
        finally:  # whoever holds the traceback of a Ctrl-C holds them too
            for future in futures.values():
                future.release()

    def _send_graph(self, dsk: Any, keys: Any) -> tuple[Prepared, dict[Hashable, Future]]:
        self._check_open()
        prepared = prepare(dsk, keys)
        with no_collection():
            sending = GraphSubmission(
                self,
                prepared,
                task_options_of(prepared.options, partial(_options_of, cluster=self.cluster)),
            )
            return prepared, sending.send()

    def _futures_of(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Answer as `get` does, with futures in place of results."""
        prepared, futures = self._send_graph(dsk, keys)
        return prepared.results(futures)

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
        **kwargs
            For dask's ``compute``.

        Raises
        ------
        ConfigError
            dask is not installed, or an option cannot be meant so.

        Examples
        --------
        >>> total = client.compute(array.sum())  # doctest: +SKIP
        >>> total.result()  # doctest: +SKIP
        """
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
                self, list(collections) if several else [collections], optimize_graph, kwargs
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
        **kwargs: Any,
    ) -> Any:
        """Compute dask collections, and keep the parts on the workers.

        Returns at once, with collections whose parts are futures; they are there as long as one of
        these collections is.

        Parameters
        ----------
        collections
            A collection of dask's, or a list or tuple of them.
        optimize_graph, priority, retries, workers, allow_other_workers, resources, pool, **kwargs
            As for `compute`.

        Raises
        ------
        ConfigError
            dask is not installed, or an option cannot be meant so.

        Examples
        --------
        >>> frame = client.persist(frame)  # doctest: +SKIP
        """
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
                **kwargs,
            )
        return type(collections)(found) if several else found[0]


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


def _options_of(marks: Mapping[str, Any], cluster: object) -> dict[str, Any] | None:
    """Return what `dask.annotate` gave to a task as options of ours; the rest are tags."""
    given = dict(marks)
    return task_options(
        **{name: given.pop(name, None) for name in _OPTIONS},
        allow_other_workers=bool(given.pop("allow_other_workers", False)),
        actor=False,
        tags={name: str(one) for name, one in given.items()} or None,
        cluster=cluster,
    )


_OPTIONS = ("priority", "retries", "workers", "resources", "pool")


def _computed(
    client: Collections, collections: list[Any], optimize_graph: bool, kwargs: dict[str, Any]
) -> list[Any]:
    """Return futures of the values of collections, in their order."""
    dask = dask_itself()
    from dask import base

    def futures(dsk: Any, keys: Any, **more: Any) -> Any:
        return client._futures_of(dsk, keys)

    if hasattr(base, "collections_to_expr"):  # asks for one key each, which holds all of the value
        options = {"traverse": False, "optimize_graph": optimize_graph, **kwargs}
        return list(dask.compute(*collections, scheduler=futures, **options))
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
