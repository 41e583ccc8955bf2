"""A client's part about values that it has, and tasks are to have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, cast

from jobqueue.client.datasets import Datasets
from jobqueue.client.future import Future
from jobqueue.client.options import is_pool, scatter_options
from jobqueue.client.session import Told

if TYPE_CHECKING:
    from jobqueue.client.client import Client

_PASSING = (range, Iterator, KeysView, ValuesView)
"""What stands for several values, and is scattered as a list of them."""


class Scattering(Datasets):
    """`scatter`; see `jobqueue.client.client.Client`."""

    def scatter(
        self,
        data: Any,
        workers: str | Collection[str] | None = None,
        broadcast: bool | int = False,
        direct: object = None,
        hash: bool = True,
        timeout: float | None = None,
    ) -> Any:
        """Send values to the workers, to be used by several tasks.

        They can be used at once. What is larger than a few KiB is on its way to the workers when
        this returns: `who_has` tells when it is where.

        Parameters
        ----------
        data
            A list, tuple or set of values, a dict of them, or a single value. A range, and what can
            be gone through only once, is a list.
        workers
            Where to keep them: names, addresses, hosts or job ids of workers that are there; or
            ``"pool:NAME"``, for which they wait.
        broadcast
            Whether all workers are to have them, those that come later as well; or how many, of
            those that are there.
        hash
            Whether equal values, scattered twice, are kept once.
        direct, timeout
            Without effect: values go by way of the scheduler, and nothing is waited for.

        Returns
        -------
        Future, or list, tuple, set or dict of Future
            As `data` is. To be awaited if the client is asynchronous.

        Raises
        ------
        SerializationError
            A value cannot be pickled.
        ConfigError
            An option cannot be meant so; or there is no such worker.

        Examples
        --------
        >>> table = client.scatter({"a": 1, "b": 2})["a"]  # doctest: +SKIP
        >>> client.submit(abs, table).result()  # doctest: +SKIP
        1
        """
        options = scatter_options(workers, broadcast, self.cluster)
        named = [name for name in (options or {}).get("workers", ()) if not is_pool(name)]
        if named:  # a value would wait for ever at the scheduler for one that there is not
            question = self._ask("nthreads", named)
            return self._sync(question, lambda _: self._scatter(data, options, hash))
        scattered = self._scatter(data, options, hash)
        return Told(self._connection, scattered) if self.asynchronous else scattered

    def _scatter(self, data: Any, options: dict[str, Any] | None, by_content: bool) -> Any:
        """Send values on their way, and return futures of them."""
        data = list(data) if isinstance(data, _PASSING) else data
        several = isinstance(data, dict | list | tuple | set | frozenset)
        values = data.values() if isinstance(data, dict) else data if several else [data]
        states = self._submission.scatter(list(values), options, by_content)
        client = cast("Client", self)
        futures = [Future(client, state) for state in states]
        if isinstance(data, dict):
            return dict(zip(data, futures, strict=True))
        make = getattr(data, "_make", type(data))  # of a named tuple
        return make(futures) if several else futures[0]
