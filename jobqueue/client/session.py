"""How clients begin, live and end; `Client` is built upon it."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from copy import copy
from types import ModuleType
from typing import Any, ClassVar, Self

from jobqueue.client import destination
from jobqueue.client.connection import Connection
from jobqueue.client.default import default
from jobqueue.client.destination import Destination
from jobqueue.client.on_import import on_import
from jobqueue.client.protocols import ClusterLike
from jobqueue.client.results import Results
from jobqueue.client.submission import Submission
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.client.waits import Waits
from jobqueue.comm import Comm
from jobqueue.comm.loop import LoopThread
from jobqueue.errors import (
    ClientClosed,
    CommError,
    ConfigError,
    ConnectionLost,
    JobQueueError,
    SerializationError,
)
from jobqueue.protocol.running import Host, running

CONNECT_TIMEOUT = 30.0
"""Seconds to reach a scheduler."""


WITHOUT_EFFECT = frozenset(
    {"connection_limit", "deserializers", "direct_to_workers", "extensions", "heartbeat_interval",
     "serializers"}
)  # fmt: skip
"""Keywords of other clients about what goes by itself here."""


class Told:
    """What an asynchronous client returns for what it has said already.

    Awaiting it waits until the scheduler has heard it, and brings the value. It need not be
    awaited if neither is wanted.
    """

    def __init__(self, connection: Connection, value: Any = None) -> None:
        self._connection = connection
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        return self._heard().__await__()

    async def _heard(self) -> Any:
        with suppress(CommError):  # then there is nobody to hear it
            await self._connection.be_heard()
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        raise SerializationError("this is to be awaited first: 'await client.scatter(...)'")


class Session:
    """A client's life: see `jobqueue.client.client.Client` for its parameters."""

    default_cluster: ClassVar[Callable[..., ClusterLike] | None] = None
    """Makes the cluster of a client that was given none; set by the package."""

    def __init__(
        self,
        address: ClusterLike | Destination | str | None = None,
        *,
        scheduler_file: str | os.PathLike[str] | None = None,
        credentials: str | os.PathLike[str] | None = None,
        asynchronous: bool = False,
        timeout: Timeout = CONNECT_TIMEOUT,
        name: str = "client",
        set_as_default: bool = True,
        **cluster_options: Any,
    ) -> None:
        self.name = name
        self.asynchronous = asynchronous
        self.cluster: ClusterLike | None = None
        self._owns_cluster = False
        self._where: object = address
        self._scheduler_file = scheduler_file
        self._credentials = credentials
        limit = seconds(timeout)
        self._timeout = CONNECT_TIMEOUT if limit is None else limit
        if address is not None and scheduler_file is not None:
            raise ConfigError(
                f"address {address!r} and scheduler_file={os.fspath(scheduler_file)!r}: pass one "
                "of them"
            )
        for name in WITHOUT_EFFECT & cluster_options.keys():
            del cluster_options[name]
        if cluster_options and not (address is None and scheduler_file is None):
            raise ConfigError(
                f"Client(…, {min(cluster_options)}=…): it is no keyword of Client, and without an "
                "address or a cluster one of LocalCluster"
            )
        if scheduler_file is not None:
            self._where = f"scheduler_file={os.fspath(scheduler_file)}"
        elif address is None:
            if self.default_cluster is None:
                raise ConfigError("there is no default cluster: pass one, or an address")
            self.cluster = self._where = self.default_cluster(
                asynchronous=asynchronous, **cluster_options
            )
            self._owns_cluster = True
        elif not isinstance(address, str | Destination):
            destination.check_cluster(address, asynchronous)
            self.cluster = address
        # What lives in the event loop does not hold the client: one that nobody has any more is
        # collected, and lets its cluster be.
        connection = self._connection = Connection(
            on_outage=lambda failure: waits.on_outage(failure),
            on_stranded=lambda some: waits.on_stranded(some),
            on_closed=lambda reason: waits.on_closed(reason),
        )
        waits = self._waits = Waits(connection)
        weakref.finalize(self, connection.end_soon).atexit = False
        self._book = connection.book
        self._submission = Submission(connection)
        self._results = Results(waits, asynchronous=asynchronous)
        self._loop_thread: LoopThread | None = None
        self._started = False
        self._forked = False
        self._number = next(_numbers)
        _sessions[self._number] = self
        self._set_as_default = set_as_default
        if not asynchronous:
            self._loop_thread = LoopThread.shared()
            try:
                self._loop_thread.run(self._start())
            except BaseException:
                if self._owns_cluster and self.cluster is not None:
                    self.cluster.close()
                raise

    # -- beginning ---------------------------------------------------------------------------------

    async def _start(self) -> Self:
        if not self._started:
            self._started = True
            if self.cluster is not None and isinstance(self.cluster, Awaitable):
                await self.cluster
            await self._connection.start(await self._connect())
            self._submission.start()
            on_import("joblib.parallel", _offer_to_joblib)
            if self._set_as_default:
                default.add(self)
        return self

    async def _connect(self) -> Comm:
        return await destination.reach(self._destination, self.name, self._timeout)

    async def _destination(self) -> Destination:
        if isinstance(self._where, Destination):
            return self._where
        if self.cluster is not None:
            return destination.of_cluster(self.cluster, self._loop_thread)
        if self._scheduler_file is not None:
            return await destination.of_file(self._scheduler_file, self._credentials)
        return await destination.of_address(str(self._where), self._credentials)

    # -- finding one -------------------------------------------------------------------------------

    @classmethod
    def current(cls) -> Self:
        """Return the client that code here means if it names none.

        Inside of ``with client.as_current()`` that is this one, and inside of a task the one of its
        worker. Elsewhere it is the last one that was made and is open; one that lives in the
        running event loop comes before all others, and one that was made with
        ``set_as_default=False`` is meant only if there is no other.

        Raises
        ------
        ClientClosed
            There is none.

        Examples
        --------
        >>> Client.current() is client  # doctest: +SKIP
        True
        """
        chosen = _current.get()
        if chosen is not None and isinstance(chosen, cls) and chosen._open:
            return chosen
        if running.host is not None and running.key is not None:
            return cls._in_task(running.host)
        clients = [one for one in _all_sessions() if isinstance(one, cls) and one._open]
        if not clients:
            raise ClientClosed("no client is open in this process: make one, Client(cluster)")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        return max(clients, key=lambda one: one._nearness(loop))

    @contextmanager
    def as_current(self) -> Iterator[Self]:
        """Let code in a block mean this client where it names none.

        In this thread, or in this coroutine, and no other.

        Yields
        ------
        Client
            This one.

        Examples
        --------
        >>> with client.as_current():  # doctest: +SKIP
        ...     Queue("lines").put("one more")
        """
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def _nearness(self, loop: asyncio.AbstractEventLoop | None) -> tuple[bool, bool, int, int]:
        """Return what is largest for the client that is meant where this event loop runs."""
        here = self.asynchronous and self._connection.loop is loop
        of_task = isinstance(self._where, Destination) and self._where.role == "task"
        nearest = 2 if here else not self.asynchronous
        return self._set_as_default, not of_task, nearest, self._number

    @classmethod
    def _in_task(cls, host: Host) -> Self:
        """Return the client that all tasks of a worker share; made when the first one wants it."""
        with _in_task_lock:
            client = host.clients.get("client")
            if client is None or client._book.closed is not None:
                where = Destination(tuple(host.scheduler_addresses), host.credentials, "task")
                try:
                    client = host.clients["client"] = cls(
                        where, name=f"tasks of {host.name}", set_as_default=False
                    )
                except CommError as error:
                    raise ConnectionLost(f"no connection for tasks: {error}") from error
            return client

    # -- ending ------------------------------------------------------------------------------------

    def close(self, timeout: object = None) -> Any:
        """End the connection; futures that are pending will never come.

        A cluster that the client made for itself ends too. To be awaited if the client is
        asynchronous.

        Parameters
        ----------
        timeout
            Without effect: each part of it has a time limit of its own.
        """
        if self._forked:
            return None
        return self._sync(self._close())

    async def _close(self) -> None:
        default.remove(self)
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

    def __enter__(self) -> Self:
        if self.asynchronous:
            raise JobQueueError("this client is asynchronous: use 'async with'")
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self._start()

    async def __aexit__(self, *exception: object) -> None:
        await self._close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    def __reduce__(self) -> tuple[Any, ...]:
        raise SerializationError("a client stays in its process: in the task, use get_client()")

    def __repr__(self) -> str:
        state = "closed" if self._book.closed else "open"
        where = "forked" if self._forked else self._where
        return f"<Client {state}, {len(self._book.states)} futures, {where}>"

    # -- for what is built upon it -----------------------------------------------------------------

    @property
    def _open(self) -> bool:
        return self._started and self._book.closed is None

    def _check_open(self) -> None:
        if self._book.closed is not None:
            raise copy(self._book.closed)
        if not self._started:
            raise ClientClosed("the client is not started: await it first")

    def _told(self, value: Any = None) -> Any:
        """Return a value once the scheduler has heard what was said; see `Told`."""
        if self.asynchronous:
            return Told(self._connection, value)
        if self._started:
            self._connection.wait_until_heard()
        return value

    def _sync(self, coroutine: Any, finish: Callable[[Any], Any] | None = None) -> Any:
        """Run a coroutine, in the loop's thread, or by whoever awaits it.

        Parameters
        ----------
        coroutine
            What to run.
        finish
            Makes what is returned of its answer, where that was asked for: what unpickles is not
            to hold up the loop's thread, let alone to raise there.
        """
        if self._forked:
            coroutine.close()
            self._check_open()
        if self._loop_thread is None:
            return coroutine if finish is None else _then(coroutine, finish)
        answer = self._loop_thread.run(coroutine)
        return answer if finish is None else finish(answer)


async def _then(coroutine: Any, finish: Callable[[Any], Any]) -> Any:
    return finish(await coroutine)


def _offer_to_joblib(parallel: ModuleType) -> None:
    importlib.import_module("jobqueue.client.joblib_backend")


_numbers = itertools.count()
_current: ContextVar[Session | None] = ContextVar("the client that is meant", default=None)
_sessions: weakref.WeakValueDictionary[int, Session] = weakref.WeakValueDictionary()
_in_task_lock = threading.Lock()


def _all_sessions() -> list[Session]:
    """Return those that there are, while other threads make some."""
    return [session for ref in _sessions.valuerefs() if (session := ref()) is not None]


def _disown_sessions() -> None:
    global _in_task_lock
    _in_task_lock = threading.Lock()  # a thread that did not come along may have held it
    for session in _all_sessions():
        session._disown()


os.register_at_fork(after_in_child=_disown_sessions)
