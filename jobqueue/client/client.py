"""`Client`: submits tasks to a scheduler and holds futures of their results."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import suppress
from copy import copy
from itertools import islice
from typing import Any, ClassVar

from jobqueue.client.calls import (
    Functions,
    Keys,
    dumps_arguments,
    function_name,
    pure_key,
    refuse_options,
)
from jobqueue.client.connection import Connection
from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in
from jobqueue.client.protocols import ClusterLike
from jobqueue.client.results import Results
from jobqueue.client.waits import Waits
from jobqueue.comm import Comm, Credentials, connect_any
from jobqueue.comm.loop import LoopThread
from jobqueue.errors import (
    ClientClosed,
    ConfigError,
    JobQueueError,
    SerializationError,
    WorkersUnavailable,
)
from jobqueue.protocol import messages as m
from jobqueue.protocol import references
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import dumps

CONNECT_TIMEOUT = 30.0
"""Seconds to reach a scheduler."""

BATCH = 1000
"""Tasks of one `map` that are sent at a time, so that workers begin while others are pickled."""


class Client:
    """Submits tasks and gathers their results.

    Parameters
    ----------
    address
        A cluster; or a scheduler's address, such as ``tls://10.0.0.1:4000``; or None for a
        `LocalCluster` of its own on this machine, which ends with the client.
    credentials
        Folder with the client's credentials, for an address that needs them.
    asynchronous
        Whether it lives in the running event loop: then ``await Client(…)`` or ``async with``,
        and what waits is to be awaited.
    timeout
        Seconds to reach the scheduler.
    name
        For messages.

    Raises
    ------
    CommError
        The scheduler cannot be reached, or refuses this client.

    Examples
    --------
    >>> with Client(cluster) as client:  # doctest: +SKIP
    ...     futures = client.map(abs, range(-5, 5))
    ...     sum(client.gather(futures))
    25
    """

    default_cluster: ClassVar[Callable[..., ClusterLike] | None] = None
    """Makes the cluster of a client that was given none; set by the package."""

    def __init__(
        self,
        address: ClusterLike | str | None = None,
        *,
        credentials: str | os.PathLike[str] | None = None,
        asynchronous: bool = False,
        timeout: float = CONNECT_TIMEOUT,
        name: str = "client",
    ) -> None:
        self.name = name
        self.asynchronous = asynchronous
        self.cluster: ClusterLike | None = None
        self._owns_cluster = address is None
        self._address = address if isinstance(address, str) else None
        self._credentials = credentials
        self._timeout = timeout
        if address is None:
            if Client.default_cluster is None:
                raise ConfigError("there is no default cluster: pass one, or an address")
            self.cluster = Client.default_cluster(asynchronous=asynchronous)
        elif not isinstance(address, str):
            if not hasattr(address, "scheduler"):
                raise ConfigError(
                    f"{address!r} is neither a cluster nor an address: pass a cluster object or "
                    "text like 'tls://10.0.0.1:4000'"
                )
            _check_cluster(address, asynchronous)
            self.cluster = address
        # What lives in the event loop does not hold the client: one that nobody has any more is
        # collected, and lets its cluster be.
        connection = self._connection = Connection(
            on_outage=lambda failure: waits.on_outage(failure),
            on_closed=lambda reason: waits.on_closed(reason),
        )
        waits = self._waits = Waits(connection)
        weakref.finalize(self, connection.end_soon).atexit = False
        self._book = connection.book
        self._functions = Functions(lambda item: connection.say((m.FUNCTIONS, [item])))
        self._keys = Keys(0)
        self._results = Results(waits, asynchronous=asynchronous)
        self._loop_thread: LoopThread | None = None
        self._started = False
        self._forked = False
        _clients.add(self)
        if not asynchronous:
            self._loop_thread = LoopThread.shared()
            try:
                self._loop_thread.run(self._start())
            except BaseException:
                if self._owns_cluster and self.cluster is not None:
                    self.cluster.close()
                raise

    # -- life --------------------------------------------------------------------------------------

    async def _start(self) -> Client:
        if not self._started:
            self._started = True
            if self.cluster is not None and isinstance(self.cluster, Awaitable):
                await self.cluster
            await self._connection.start(await self._connect())
            self._keys = Keys(self._connection.number, self._book.states)
        return self

    async def _connect(self) -> Comm:
        hello = {"role": "client", "name": self.name, "python": PYTHON}
        credentials = None
        if self.cluster is None:
            addresses: Sequence[str] = (str(self._address),)
            if self._credentials is not None:
                credentials = await asyncio.to_thread(Credentials.load, self._credentials)
        elif self.cluster.loop is self._loop_thread:
            addresses = (self.cluster.scheduler.local_address,)
        else:  # the cluster lives in another event loop
            addresses = self.cluster.scheduler.addresses
            if (own := self.cluster.scheduler.credentials) is not None:
                credentials = own.others["client"]
        return await connect_any(
            addresses, hello=hello, credentials=credentials, timeout=self._timeout
        )

    def close(self) -> Any:
        """End the connection; futures that are pending will never come.

        A cluster that the client made for itself ends too. To be awaited if the client is
        asynchronous.
        """
        if self._forked:
            return None
        return self._sync(self._close())

    async def _close(self) -> None:
        self._waits.end(ClientClosed("the client is closed: make a new one, and submit again"))
        await self._connection.close()
        if self._owns_cluster and self.cluster is not None:
            if self.cluster.loop is None:
                await self.cluster.close()
            else:
                await asyncio.to_thread(self.cluster.close)

    def _disown(self) -> None:
        """Become a closed client, in the child of a fork."""
        error = ClientClosed(
            "this client belongs to the process that was forked: make a new one in this process"
        )
        self._forked = True
        self._results.disown()
        self._connection.disown(error)
        self._waits.outage = error

    def __enter__(self) -> Client:
        if self.asynchronous:
            raise JobQueueError("this client is asynchronous: use 'async with'")
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return await self._start()

    async def __aexit__(self, *exception: object) -> None:
        await self._close()

    def __await__(self) -> Generator[Any, None, Client]:
        return self._start().__await__()

    def __repr__(self) -> str:
        state = "closed" if self._book.closed else "open"
        where = self._address if self.cluster is None or self._forked else self.cluster
        return f"<Client {state}, {len(self._book.states)} futures, {where}>"

    def _sync(self, coroutine: Any) -> Any:
        """Run a coroutine: in the loop's thread, or by whoever awaits it."""
        if self._forked:
            coroutine.close()
            self._check_open()
        return coroutine if self._loop_thread is None else self._loop_thread.run(coroutine)

    # -- submitting --------------------------------------------------------------------------------

    def submit(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        key: str | None = None,
        priority: float = 0,
        retries: int = 0,
        pure: bool = False,
        **kwargs: Any,
    ) -> Future:
        """Call a function on a worker.

        Parameters
        ----------
        function
            What to call.
        *args, **kwargs
            Its arguments; futures anywhere inside them are replaced by their results.
        key
            Name of the task; by default one is made of the function's name.
        priority
            Higher goes first; equals go in the order of submission.
        retries
            How often to try again if it raises.
        pure
            Whether the result depends on nothing but function and arguments: then the same call
            gives the same task.

        Raises
        ------
        SerializationError
            Function or arguments cannot be pickled.
        ConfigError
            An option that this version does not have, such as ``workers``.
        ClientClosed
            The client is closed.

        Examples
        --------
        >>> client.submit(pow, 2, 10).result()  # doctest: +SKIP
        1024
        """
        self._check_open()
        if kwargs:
            refuse_options(kwargs)
        name = function_name(function)
        fid = self._functions.name(function)
        with references.recording() as found:
            arguments = dumps_arguments(args, kwargs, name)
        if key is None:
            key = pure_key(name, fid, arguments) if pure else self._keys.new(name)
        inputs = self._input_keys(found) if found else None
        future = self._new_future(key)
        call = (key, arguments, inputs)
        self._connection.say((m.SUBMIT, fid, _options(priority, retries), [call]))
        return future

    def map(
        self,
        function: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        key: str | None = None,
        priority: float = 0,
        retries: int = 0,
        pure: bool = False,
        **kwargs: Any,
    ) -> list[Future]:
        """Call a function once for each element of an iterable.

        Parameters
        ----------
        function
            What to call.
        *iterables
            One or several; with several the function gets an element of each, and the shortest
            one decides how many calls there are.
        key
            Prefix of the tasks' names; by default the function's name.
        priority, retries, pure
            As for `submit`.
        **kwargs
            Given to every call.

        Returns
        -------
        list of Future
            In the order of the elements.

        Raises
        ------
        SerializationError
            Function or arguments cannot be pickled.
        ConfigError
            There is no iterable, or an option that this version does not have.

        Examples
        --------
        >>> client.gather(client.map(pow, [2, 3], [10, 2]))  # doctest: +SKIP
        [1024, 9]
        """
        if not iterables:
            raise ConfigError("map() needs at least one iterable: map(function, range(10))")
        self._check_open()
        if kwargs:
            refuse_options(kwargs)
        name = function_name(function)
        fid = self._functions.name(function)
        options = _options(priority, retries)
        calls = zip(*iterables, strict=False)
        keys = self._keys.series(key or name)
        futures: list[Future] = []
        while batch := list(islice(calls, BATCH)):
            items: list[tuple[str, Serialized, Sequence[str] | None]] = []
            alive: list[Future] = []  # until the batch is sent: their tasks must not be released
            with references.recording() as found:
                for args in batch:
                    arguments = dumps_arguments(args, kwargs, name)
                    inputs = None
                    if found:
                        inputs = self._input_keys(found)
                        alive.extend(found)
                        found.clear()
                    call_key = pure_key(name, fid, arguments) if pure else next(keys)
                    items.append((call_key, arguments, inputs))
            self._check_open()
            states = self._book.open_all([item[0] for item in items])
            futures.extend([Future(self, state) for state in states])
            self._connection.say((m.SUBMIT, fid, options, items))
        return futures

    def scatter(self, data: Any) -> Any:
        """Send values to the workers, to be used by several tasks.

        Parameters
        ----------
        data
            A list, tuple or set of values, a dict of them, or a single value.

        Returns
        -------
        Future, or list or dict of Future
            As `data` is.

        Raises
        ------
        SerializationError
            A value cannot be pickled.

        Examples
        --------
        >>> table = client.scatter({"a": 1, "b": 2})["a"]  # doctest: +SKIP
        >>> client.submit(abs, table).result()  # doctest: +SKIP
        1
        """
        if isinstance(data, dict):
            return {name: self._scatter(value) for name, value in data.items()}
        if isinstance(data, list | tuple | set | frozenset):
            return type(data)(self._scatter(value) for value in data)
        return self._scatter(data)

    def _scatter(self, value: Any) -> Future:
        serialized = dumps(value, own=True)
        future = self._new_future(self._keys.new(type(value).__name__))
        self._connection.say((m.SCATTER, None, [(future.key, serialized)]))
        return future

    def _new_future(self, key: str) -> Future:
        self._check_open()
        return Future(self, self._book.open(key)[0])

    def _input_keys(self, found: Iterable[Future]) -> tuple[str, ...]:
        for future in found:
            if future.client is not self:
                raise SerializationError(
                    f"the future {future.key!r} belongs to another client: gather its result there "
                    "and pass that"
                )
        return tuple(dict.fromkeys(future.key for future in found))

    def _check_open(self) -> None:
        if self._book.closed is not None:
            raise copy(self._book.closed)
        if not self._started:
            raise ClientClosed("the client is not started: await it first")

    # -- results -----------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise") -> Any:
        """Wait for tasks and return their results.

        Parameters
        ----------
        futures
            A future, or lists, tuples, sets and dicts of them, nested as you like.
        errors
            ``"raise"`` raises the first task's exception; ``"skip"`` leaves failed tasks out of
            the collections.

        Returns
        -------
        object
            As `futures`, with each result in its future's place. To be awaited if the client is
            asynchronous.

        Raises
        ------
        WorkersUnavailable
            No worker will come; the message says why.
        Exception
            Whatever a task raised.

        Examples
        --------
        >>> one, other = client.map(abs, [-1, -2])  # doctest: +SKIP
        >>> client.gather({"one": one, "both": [one, other]})  # doctest: +SKIP
        {'one': 1, 'both': [1, 2]}
        """
        if errors not in ("raise", "skip"):
            raise ConfigError(f"errors={errors!r}: it is 'raise' or 'skip'")
        return self._results.gather(futures, errors)

    def cancel(self, futures: Any) -> None:
        """Do not run tasks, nor what depends on them; what runs already runs to its end.

        Parameters
        ----------
        futures
            A future, or collections of them.

        Examples
        --------
        >>> from time import sleep
        >>> future = client.submit(print, client.submit(sleep, 60), key="late")  # doctest: +SKIP
        >>> client.cancel(future)  # doctest: +SKIP
        >>> future.result()  # doctest: +SKIP
        Traceback (most recent call last):
            ...
        jobqueue.errors.TaskCancelled: task 'late' was cancelled
        """
        keys = [future.key for future in futures_in(futures)]
        self._connection.say((m.CANCEL, False, keys))

    # -- workers -----------------------------------------------------------------------------------

    def wait_for_workers(self, n_workers: int = 1, timeout: float | None = None) -> Any:
        """Wait until workers are connected; to be awaited if the client is asynchronous.

        Parameters
        ----------
        n_workers
            How many.
        timeout
            Seconds to wait, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            They are not there within `timeout`; says how things stand.
        WorkersUnavailable
            None will come; the message says why.
        """
        return self._sync(self._wait_for_workers(n_workers, timeout))

    async def _wait_for_workers(self, count: int, timeout: float | None) -> None:  # noqa: ASYNC109
        answer = asyncio.ensure_future(self._connection.ask("wait-for-workers", count))
        try:
            with self._waits.guard(answer.cancel) as guard:
                shortage = await asyncio.wait_for(answer, timeout)
        except asyncio.CancelledError:
            if guard.error is None:
                raise
            raise guard.error from None
        except (WorkersUnavailable, ClientClosed):  # it was known before
            answer.cancel()
            raise
        except TimeoutError:
            situation = await self._connection.ask("situation")
            raise TimeoutError(
                f"not {count} workers within {timeout:g} s: {situation['text']}"
            ) from None
        if shortage is not None:
            raise Failure(*shortage).to_exception()


def _check_cluster(cluster: ClusterLike, asynchronous: bool) -> None:
    status = getattr(cluster, "status", "running")
    if status in ("closing", "closed", "failed"):
        raise ConfigError(f"{cluster!r} is {status}: make a new cluster")
    if cluster.loop is None and not asynchronous:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise ConfigError(
                f"{cluster!r} lives in the running event loop, which a synchronous client would "
                "hold up: use Client(cluster, asynchronous=True)"
            )


def _options(priority: float, retries: int) -> dict[str, Any] | None:
    options: dict[str, Any] = {}
    if priority:
        options["priority"] = priority
    if retries:
        options["retries"] = retries
    return options or None


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _disown_clients() -> None:
    for client in _clients:
        client._disown()


os.register_at_fork(after_in_child=_disown_clients)
