"""Actors: objects that stay on one worker, and are used from elsewhere by calling their methods.

`Client.submit(Class, …, actor=True)` runs a `Creation` as a task: it makes the object, which its
worker keeps, and returns an `Actor`, a handle that is pickled like any other result. A client's
handle holds a future of that task, so the object lives as long as somebody has a handle. Calls go
past the tasks, as CALL messages, and run one after the other in a thread of the object's own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from jobqueue.client.calls import function_name
from jobqueue.client.future import Future, _reader, adopt
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.comm.loop import ended_within
from jobqueue.errors import JobQueueError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.references import Reference
from jobqueue.protocol.running import giving_way, host, running
from jobqueue.protocol.serialize import dumps

if TYPE_CHECKING:
    from jobqueue.client.client import Client


class Creation:
    """Makes an actor; the function of its task.

    Parameters
    ----------
    kind
        The class, or a function that returns the object.
    """

    def __init__(self, kind: Callable[..., Any]) -> None:
        self.kind = kind
        self.__name__ = function_name(kind)  # of which the task's key is made

    def __call__(self, *args: Any, **kwargs: Any) -> Actor:
        """Make it, have the worker keep it, and return its handle."""
        instance = self.kind(*args, **kwargs)
        where, key = host(), running.key
        assert key is not None
        where.keep_actor(key, instance)
        kind = type(instance)
        names = {
            name: callable(getattr(kind, name, None))
            for name in dir(instance)
            if not name.startswith("_")
        }
        return Actor(_Key(key), where.name, kind.__name__, names)


class Actor:
    """A handle of an object on a worker.

    Its methods are those of the object; they return an `ActorFuture` at once. Calls of one client
    run in the order in which they were made. Other attributes, those that were there when the
    object was made, are read when they are asked for (to be awaited if the client is
    asynchronous), and changed by methods only. Nothing whose name begins with ``_`` is reached.

    A handle may be passed to tasks, returned from them, and put into other objects. The object
    lives as long as somebody has a future or a handle of it; a task that gets a handle has it while
    it runs.

    Examples
    --------
    >>> class Counter:
    ...     def __init__(self):
    ...         self.count = 0
    ...
    ...     def add(self, number):
    ...         self.count += number
    ...         return self.count
    >>> counter = client.submit(Counter, actor=True).result()  # doctest: +SKIP
    >>> counter.add(2), counter.add(3).result(), counter.count  # doctest: +SKIP
    (<ActorFuture: done>, 5, 5)
    """

    __slots__ = ("__weakref__", "_held", "_kind", "_names", "_worker")

    _held: Reference
    _worker: str
    _kind: str
    _names: dict[str, bool]
    """Of what can be reached, and whether it is a method. To know them here is not only quicker:
    much code asks any object for `nbytes`, `shape` and the like, and means no remote call."""

    def __init__(self, held: Reference, worker: str, kind: str, names: dict[str, bool]) -> None:
        for name, value in zip(_FIELDS, (held, worker, kind, names), strict=True):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        is_method = self._names.get(name) if not name.startswith("_") else None
        if is_method is None:
            raise AttributeError(
                f"{self!r} had no attribute {name!r} when it was made; what came later, methods "
                "can return"
            )
        if not is_method:
            call = _call(self, name, (), {})
            return call if call.client.asynchronous else call.result()

        def method(*args: Any, **kwargs: Any) -> ActorFuture:
            return _call(self, name, args, kwargs)

        method.__name__ = name
        return method

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{self!r}.{name} cannot be set from here: have a method of the object do it"
        )

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._names})

    def __reduce__(self) -> tuple[Any, ...]:
        held = self._held
        if isinstance(held, _Key) and running.key not in (None, held.key):
            held = adopt(held.key)  # a task passes it on, and may end before whoever gets it
        return _restore, (held, self._worker, self._kind, self._names)

    def __repr__(self) -> str:
        return f"<Actor: {self._kind}, key: {self._held.key}, on {self._worker}>"


_FIELDS = ("_held", "_worker", "_kind", "_names")


class ActorFuture:
    """The result of a method of an actor, now or later.

    Examples
    --------
    >>> counter.add(1).result(timeout=10)  # doctest: +SKIP
    6
    >>> await counter.add(1)  # doctest: +SKIP
    7
    """

    def __init__(self, client: Client, answer: concurrent.futures.Future[Any], what: str) -> None:
        self.client = client
        self._answer = answer
        self._what = what

    def done(self) -> bool:
        """Return whether the call has ended."""
        return self._answer.done()

    def result(self, timeout: Timeout = None) -> Any:
        """Wait for the call and return its result; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            The call has not ended within `timeout`.
        DataLost
            The actor is not there any more, for instance because its worker is gone.
        Exception
            Whatever the method raised, with the remote traceback as its cause.
        """
        limit = seconds(timeout)
        if self.client.asynchronous:
            return self._result_async(limit)
        self._check_thread()
        if not self._answer.done():
            with giving_way():
                ended_within(self._answer, limit)
        return self._value(limit)

    def exception(self, timeout: Timeout = None) -> Any:
        """Wait for the call and return the exception it raised, or None; as for `result`."""
        if self.client.asynchronous:
            return self._exception_async(seconds(timeout))
        try:
            self.result(timeout)
        except Exception as error:
            if not self.done():
                raise
            return error
        return None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result_async(None).__await__()

    def __repr__(self) -> str:
        return f"<ActorFuture: {self._what}, {'done' if self.done() else 'pending'}>"

    async def _result_async(self, timeout: float | None) -> Any:  # noqa: ASYNC109
        with giving_way():
            await asyncio.wait([asyncio.wrap_future(self._answer)], timeout=timeout)
        return self._value(timeout)

    async def _exception_async(self, timeout: float | None) -> Any:  # noqa: ASYNC109
        try:
            await self._result_async(timeout)
        except Exception as error:
            if not self.done():
                raise
            return error
        return None

    def _check_thread(self) -> None:
        if not self._answer.done() and self.client._connection.in_thread:
            raise JobQueueError(
                "waiting here would stop the event loop that brings the result: use 'await'"
            )

    def _value(self, timeout: float | None) -> Any:
        if not self._answer.done():
            raise TimeoutError(f"{self._what} has not ended within {timeout:g} s")
        [(_, value, failure)] = self._answer.result()
        if failure is not None:
            raise Failure(*failure).to_exception()
        return self.client._loads(value)


class _Key:
    """What a handle on a worker holds instead of a future.

    The task that it is an input of keeps the object alive. With a future it would itself keep the
    object alive, and the object keeps the handle: for ever.
    """

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return _hold, (self.key,)


def _hold(key: str) -> Future | _Key:
    """Return a future, for a handle that a client reads; called by pickle."""
    return adopt(key) if _reader.client is not None else _Key(key)


def _restore(held: Reference | Actor, worker: str, kind: str, names: dict[str, bool]) -> Actor:
    """Return the handle that was pickled; called by pickle.

    In arguments of a task a future becomes the value of its task: here, the handle itself.
    """
    return held if isinstance(held, Actor) else Actor(held, worker, kind, names)


def _call(actor: Actor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorFuture:
    from jobqueue.client.client import Client

    held = actor._held
    client = getattr(held, "client", None) or Client.current()
    client._check_open()
    call: Serialized = dumps((name, args, kwargs), own=True)
    connection = client._connection
    answer = asyncio.run_coroutine_threadsafe(
        connection.call(None, call, held.key), connection.loop
    )
    return ActorFuture(client, answer, f"{actor._kind}.{name}")
