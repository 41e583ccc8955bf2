"""`Client`: submits tasks to a scheduler and holds futures of their results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jobqueue.client.about import About
from jobqueue.client.future import Future
from jobqueue.client.mpi import submit_mpi
from jobqueue.client.nested import futures_in
from jobqueue.client.options import task_options
from jobqueue.errors import ConfigError
from jobqueue.protocol import messages as m

if TYPE_CHECKING:
    from jobqueue.client.executor import ClientExecutor


class Client(About):
    """Submits tasks and gathers their results.

    Parameters
    ----------
    address
        A cluster; or a scheduler's address, such as ``tls://10.0.0.1:4000``; or None for a
        `LocalCluster` of its own on this machine, which ends with the client.
    scheduler_file
        Instead of an address, the file where a scheduler wrote it; waited for if need be.
    credentials
        Folder with the client's credentials, for an address that needs them; by default those that
        the user's own scheduler has left.
    asynchronous
        Whether it lives in the running event loop: then ``await Client(…)`` or ``async with``,
        and what waits is to be awaited.
    timeout
        Seconds to reach the scheduler.
    name
        For messages.
    set_as_default
        Whether it is meant, until it is closed, where no client is named: by dask, which computes
        with it, and by `Client.current`. If not, it is meant there only inside of
        ``with client.as_current()``, or, but not by dask, while no other client is open.
    **cluster_options
        Without an address: keywords of the `LocalCluster`, such as ``n_workers=4``. Those of other
        clients about connections, such as ``direct_to_workers`` or ``serializers``, have no effect.

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
        key: str | tuple[Any, ...] | None = None,
        pure: bool = False,
        priority: float | None = 0,
        retries: int | None = 0,
        workers: str | Collection[str] | None = None,
        allow_other_workers: bool = False,
        resources: Mapping[str, float] | None = None,
        pool: str | None = None,
        actor: bool = False,
        actors: bool = False,
        tags: Mapping[str, Any] | None = None,
        fifo_timeout: object = None,
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
            Name of the task; by default one is made of the function's name. The same call under
            the same key is the same task. A tuple is the text of it.
        pure
            Whether the result depends on nothing but function and arguments: then the same call
            gives the same task.
        priority
            Higher goes first; equals go in the order of submission.
        retries
            How often to try again if it raises.
        workers
            Names, addresses, hosts or job ids of the workers that may run it.
        allow_other_workers
            Whether others may, too, if none of those is there.
        resources
            What it takes of its worker's resources while it runs, such as ``{"GPU": 1}``.
        pool
            Name of the pool whose workers may run it: short for ``workers="pool:NAME"``.
        actor
            Whether the result is an object that stays on its worker and is used from here by
            calling its methods: a `jobqueue.client.actor.Actor`.
        actors
            Another name for `actor`.
        tags
            Whatever you like to find again in the scheduler's event log: plain values by name.
        fifo_timeout
            Without effect: the order among equals is always that of submission.

        Raises
        ------
        SerializationError
            Function or arguments cannot be pickled; or a future among them is of no use here.
        ConfigError
            An option cannot be meant so; or the key is in use for other work.
        ClientClosed
            The client is closed.

        Examples
        --------
        >>> client.submit(pow, 2, 10).result()  # doctest: +SKIP
        1024
        """
        actor = actor or actors
        options = task_options(
            priority, retries, workers, allow_other_workers, resources, actor, tags, pool,
            self.cluster,
        )  # fmt: skip
        if actor:
            function = _creation(function)
        submission = self._submission
        return Future(self, submission.submit(self, function, args, kwargs, key, pure, options))

    def map(
        self,
        function: Callable[..., Any],
        /,
        *iterables: Iterable[Any],
        key: str | Collection[str] | None = None,
        pure: bool = False,
        priority: float | None = 0,
        retries: int | None = 0,
        workers: str | Collection[str] | None = None,
        allow_other_workers: bool = False,
        resources: Mapping[str, float] | None = None,
        pool: str | None = None,
        actor: bool = False,
        actors: bool = False,
        tags: Mapping[str, Any] | None = None,
        fifo_timeout: object = None,
        batch_size: int | None = None,
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
            Prefix of the tasks' names, by default the function's name; or a list with the name of
            each.
        pure, priority, retries, workers, allow_other_workers, resources, pool
            As for `submit`.
        actor, actors, tags, fifo_timeout
            As for `submit`.
        batch_size
            Tasks that are sent at a time, so that workers begin while others are pickled.
        **kwargs
            Given to every call.

        Returns
        -------
        list of Future
            In the order of the elements.

        Raises
        ------
        SerializationError, ConfigError, ClientClosed
            As for `submit`; also if there is no iterable.

        Examples
        --------
        >>> client.gather(client.map(pow, [2, 3], [10, 2]))  # doctest: +SKIP
        [1024, 9]
        """
        actor = actor or actors
        options = task_options(
            priority, retries, workers, allow_other_workers, resources, actor, tags, pool,
            self.cluster,
        )  # fmt: skip
        if actor:
            function = _creation(function)
        states = self._submission.map(
            self, function, iterables, kwargs, key, pure, options, batch_size
        )
        return [Future(self, state) for state in states]

    submit_mpi = submit_mpi

    def get_executor(self, **options: Any) -> ClientExecutor:
        """Return a `concurrent.futures.Executor` whose calls run as tasks.

        Parameters
        ----------
        **options
            Of `submit`, for every call: ``priority``, ``retries``, ``resources``, …

        Raises
        ------
        ConfigError
            There is no such option, or the client is asynchronous.

        Examples
        --------
        >>> with client.get_executor(retries=2) as executor:  # doctest: +SKIP
        ...     list(executor.map(pow, [2, 3], [10, 2]))
        [1024, 9]
        """
        from jobqueue.client.executor import ClientExecutor

        return ClientExecutor(self, **options)

    # -- results -----------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise", direct: object = None) -> Any:
        """Wait for tasks and return their results.

        Parameters
        ----------
        futures
            A future, or lists, tuples, sets and dicts of them, nested as you like. An iterator, a
            deque and a dict's views become a list. A dict's keys, and whatever else holds futures,
            are left as they are.
        errors
            ``"raise"`` raises the first task's exception; ``"skip"`` leaves failed tasks out of
            the collections, and makes a single one None.
        direct
            Without effect.

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
        return self._results.gather(self, futures, errors)

    def cancel(
        self, futures: Any, force: bool = False, reason: object = None, msg: object = None
    ) -> Any:
        """Do not run tasks, nor what depends on them.

        Parameters
        ----------
        futures
            A future, or collections of them.
        force
            Whether to interrupt what runs already, and what other clients want too. Without it,
            what runs goes on to its end, of which nobody hears. So do tasks, in either case, that
            a task has submitted itself; those that wait are not begun once its futures are gone.

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
        keys = [future.key for future in self._own(futures)]
        self._connection.say((m.CANCEL, bool(force), keys))
        return self._told()

    def retry(self, futures: Any) -> Any:
        """Run failed tasks again, and the inputs that they failed of.

        Parameters
        ----------
        futures
            A future, or collections of them. Those that have not failed are left as they are.

        Examples
        --------
        >>> client.retry(future)  # doctest: +SKIP
        >>> future.status  # doctest: +SKIP
        'pending'
        """
        self._check_open()
        self._connection.say((m.RETRY, [future.key for future in self._own(futures)]))
        return self._told()

    def _keep(self, futures: list[Future]) -> None:
        self._check_open()
        self._connection.say((m.KEEP, [future.key for future in futures]))

    def _own(self, futures: Any) -> list[Future]:
        found = futures_in(futures)
        for future in found:
            if future.client is not self:
                raise ConfigError(
                    f"the future {future.key!r} belongs to another client: use that one"
                )
        return found


def _creation(kind: Callable[..., Any]) -> Callable[..., Any]:
    from jobqueue.client.actor import Creation  # few programs have actors

    return Creation(kind)


def fire_and_forget(futures: Any) -> None:
    """Have tasks run to their end even if nobody holds a future of them any more.

    Parameters
    ----------
    futures
        A future, or collections of them.

    Examples
    --------
    >>> fire_and_forget(client.submit(print, "written to the worker's log"))  # doctest: +SKIP
    """
    by_client: dict[Client, list[Future]] = {}
    for future in futures_in(futures):
        by_client.setdefault(future.client, []).append(future)
    for client, found in by_client.items():
        client._keep(found)
