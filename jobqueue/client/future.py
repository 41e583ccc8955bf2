"""`Future`: a result that a worker has, or will have."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

from jobqueue.client.states import CANCELLED, PENDING, State
from jobqueue.client.timeouts import Timeout
from jobqueue.errors import JobQueueError
from jobqueue.protocol.references import reduce_reference

if TYPE_CHECKING:
    from jobqueue.client.client import Client


class Future:
    """The result of a task, now or later.

    Made by `Client.submit`, `Client.map` and `Client.scatter`. It may be passed as an argument of
    other tasks, by itself or inside of any object that can be pickled; they get its value. It may
    be part of a task's result; whoever gets that holds a future of the same task. The result is
    kept as long as a future of it exists.

    Attributes
    ----------
    key
        Name of the task.
    client
        The client that made it.

    Examples
    --------
    >>> future = client.submit(pow, 2, 10)  # doctest: +SKIP
    >>> future.result()  # doctest: +SKIP
    1024
    """

    __slots__ = ("__weakref__", "_state", "client", "key")

    def __init__(self, client: Client, state: State) -> None:
        self.key = state.key
        self.client = client
        self._state = state

    @property
    def status(self) -> str:
        """One of ``pending``, ``finished``, ``error``, ``cancelled``, ``lost`` and ``released``.

        A result that is lost with its worker is computed again, and pending meanwhile; ``lost`` is
        what cannot be computed again: scattered values, and actors.
        """
        return self._state.status

    def done(self) -> bool:
        """Return whether the task has ended, in whichever way."""
        return self._state.status is not PENDING

    def cancelled(self) -> bool:
        """Return whether the task was cancelled."""
        return self._state.status is CANCELLED

    def result(self, timeout: Timeout = None) -> Any:
        """Wait for the task and return its result; to be awaited if the client is asynchronous.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            The task has not ended within `timeout`.
        TaskCancelled
            It was cancelled, or this future was released.
        DataLost
            It is a scattered value, or an actor, of a worker that is gone.
        WorkersUnavailable
            No worker will come; the message says why.
        Exception
            Whatever the task raised, with the remote traceback as its cause.
        """
        return self.client._results.result(self, timeout)

    def exception(self, timeout: Timeout = None) -> Any:
        """Wait for the task and return the exception it raised, or None.

        To be awaited if the client is asynchronous. Errors as for `result`, but for the task's.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.

        Examples
        --------
        >>> client.submit(int, "x").exception()  # doctest: +SKIP
        ValueError("invalid literal for int() with base 10: 'x'")
        """
        return self.client._results.exception(self, timeout)

    def traceback(self, timeout: Timeout = None) -> Any:
        """Wait for the task and return the text of its remote traceback, or None.

        Parameters
        ----------
        timeout
            Seconds to wait, or None for as long as it takes.
        """
        return self.client._results.traceback(self, timeout)

    def cancel(self, force: bool = False) -> Any:
        """Do not run the task, nor what depends on it; see `Client.cancel`.

        Parameters
        ----------
        force
            Whether to interrupt it if it runs, and although other clients want it.
        """
        return self.client.cancel(self, force=force)

    def retry(self) -> Any:
        """Run the task again if it failed; see `Client.retry`."""
        return self.client.retry(self)

    def add_done_callback(self, function: Callable[[Future], object]) -> None:
        """Call `function` with this future when the task has ended.

        In a thread of the client's, in the order in which tasks end; in the event loop if the
        client is asynchronous. What it raises is logged.

        Parameters
        ----------
        function
            Called with the future. It may wait, unless the client is asynchronous.
        """
        self.client._results.call_back(self, function)

    def release(self) -> None:
        """Let go of the result before this object is gone; it cannot be used afterwards.

        Whoever waits for it, in another thread perhaps, waits no longer: `result` raises
        `TaskCancelled`, and `wait` and `as_completed` count it among those that have ended. If
        there are other futures of the same task, that is when the task ends.
        """
        state, self._state = self._state, State.released(self.key)
        self.client._book.drop(state)

    def __await__(self) -> Generator[Any, None, Any]:
        awaitable: Awaitable[Any] = self.client._results.result_async(self)
        return awaitable.__await__()

    def __reduce__(self) -> tuple[Any, ...]:
        reduced = reduce_reference(self, adopt)
        if reduced[0] is adopt and self._state.status is PENDING:
            # Whoever gets it says so on another connection, which may be faster than this one.
            self.client._connection.wait_until_heard()
        return reduced

    def __del__(self) -> None:
        try:
            client, state = self.client, self._state
        except AttributeError:  # never quite made
            return
        # Nothing more than this: it may run anywhere, and a Ctrl-C that comes meanwhile is lost.
        client._book.dropped.append(state)

    def __repr__(self) -> str:
        state = self._state
        cause = f", {state.failure.summary}" if state.failure is not None else ""
        return f"<Future: {state.status}, key: {self.key}{cause}>"

    def _repr_html_(self) -> str:
        from html import escape  # for notebooks only; it brings all of HTML's names of characters

        return f"<b>Future</b> <code>{escape(self.key)}</code> {self.status}"


# -- futures that come with values ----------------------------------------------------------------


class _Reader(threading.local):
    client: Client | None = None


_reader = _Reader()
"""Whose futures those become that this thread finds in what it unpickles."""


class read_by:  # noqa: N801 - used like a function
    """Let futures that are unpickled meanwhile, in this thread, be a client's.

    A class since each result that is asked for pays for it.
    """

    __slots__ = ("_before", "_client")

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        self._before, _reader.client = _reader.client, self._client

    def __exit__(self, *exception: object) -> None:
        _reader.client = self._before


def adopt(key: str) -> Future:
    """Return a future of a task that somebody else submitted; called by pickle.

    It is a future of the client that reads the value, or of `Client.current()`.

    Raises
    ------
    JobQueueError
        There is no client.
    """
    client = _reader.client
    if client is None:
        from jobqueue.client.client import Client

        try:
            client = Client.current()
        except JobQueueError as error:
            raise JobQueueError(f"a future of {key!r} cannot be had here: {error}") from error
    return adopt_into(client, key)


def adopt_into(client: Client, key: str) -> Future:
    """Return a future that a client holds of a task of its scheduler, whoever submitted that."""
    return Future(client, client._submission.want(key))
