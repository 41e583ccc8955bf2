"""`Client`: submits tasks to a scheduler and holds futures of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jobqueue.client.control import Control
from jobqueue.client.future import Future
from jobqueue.client.nested import futures_in
from jobqueue.errors import ConfigError
from jobqueue.protocol import messages as m


class Client(Control):
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
        state = self._submission.submit(function, args, kwargs, key, pure, priority, retries)
        return Future(self, state)

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
        states = self._submission.map(function, iterables, kwargs, key, pure, priority, retries)
        return [Future(self, state) for state in states]

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
        return Future(self, self._submission.scatter(value))

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
