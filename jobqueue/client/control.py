"""What a client asks of its scheduler, and has workers do, beside running tasks.

All of it waits for an answer, and is to be awaited if the client is asynchronous. Workers are named
by their names; where some are to be named, addresses, hosts and job ids will do as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from jobqueue.client.future import Future, read_by
from jobqueue.client.nested import as_collection, futures_in
from jobqueue.client.options import worker_names
from jobqueue.client.session import Session
from jobqueue.client.states import ENDED_BADLY, State
from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.errors import ClientClosed, ConfigError, WorkersUnavailable
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import describe, dumps, loads

RESTART_TIMEOUT = 120.0
"""Seconds until all workers are back."""

Workers = str | Collection[str] | None
"""A worker, several, or all."""

Answer = tuple[str, Serialized | None, Sequence[Any] | None]
"""What a worker answered to a call: its name, and the result or a failure."""


class Control(Session):
    """The part of `jobqueue.client.client.Client` that is about workers and where things are."""

    # -- how things stand --------------------------------------------------------------------------

    def who_has(self, futures: Any = None) -> Any:
        """Return which workers hold results in memory.

        Parameters
        ----------
        futures
            Futures or keys, or collections of them; None for all tasks of the scheduler.

        Returns
        -------
        dict of str to tuple of str
            Names of workers, by key. Small results are held by the scheduler itself.

        Examples
        --------
        >>> client.who_has(client.submit(bytes, 100_000))  # doctest: +SKIP
        {'bytes-0': ('node1-0',)}
        """
        return self._sync(self._table("who-has", _keys(futures)))

    def has_what(self, workers: Workers = None) -> Any:
        """Return the keys of the results that workers hold, by worker: a dict of tuples.

        Parameters
        ----------
        workers
            Of which; None for all.
        """
        return self._sync(self._table("has-what", _names(workers)))

    def processing(self, workers: Workers = None) -> Any:
        """Return the keys of the tasks that workers have, by worker: a dict of tuples.

        Parameters
        ----------
        workers
            Of which; None for all.
        """
        return self._sync(self._table("processing", _names(workers)))

    async def _table(
        self, question: str, arguments: list[str] | None
    ) -> dict[str, tuple[str, ...]]:
        answer = await self._ask(question, arguments)
        return {name: tuple(entries) for name, entries in answer.items()}

    def nthreads(self, workers: Workers = None) -> Any:
        """Return how many threads workers have, by worker; `ncores` is another name for it.

        Parameters
        ----------
        workers
            Of which; None for all.

        Examples
        --------
        >>> sum(client.nthreads().values())  # doctest: +SKIP
        48
        """
        return self._sync(self._ask("nthreads", _names(workers)))

    ncores = nthreads

    def explain(self, future: Future | str) -> Any:
        """Return why a task is not done: what it waits for, in words.

        Parameters
        ----------
        future
            A future, or a task's key.

        Examples
        --------
        >>> print(client.explain(future))  # doctest: +SKIP
        task 'train-3' is waiting for a worker with GPU=1: none of the 2 workers has GPU
        """
        key = future if isinstance(future, str) else _one_key(future)
        return self._sync(self._ask("explain", key))

    # -- moving results ----------------------------------------------------------------------------

    def replicate(
        self,
        futures: Any,
        n: int | None = None,
        workers: Workers = None,
        branching_factor: object = None,
    ) -> Any:
        """Have copies of results made, and return when they are there.

        Parameters
        ----------
        futures
            Futures, or collections of them; those that are pending are waited for, and what one of
            their tasks raised is raised here.
        n
            On how many workers each is to be; None for all.
        workers
            On which; None for any.
        branching_factor
            Without effect: copies are always made of copies.
        """
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ConfigError(f"n={n!r}: it is on how many workers a result is to be, 1 or more")
        arguments = [_keys(futures), n, _names(workers)]
        return self._sync(self._once_done(futures, "replicate", arguments), _raise_failure)

    def rebalance(self, futures: Any = None, workers: Workers = None) -> Any:
        """Move results, so that workers hold about as many bytes each; return when that is done.

        Parameters
        ----------
        futures
            What may be moved: futures, or collections of them; None for everything.
        workers
            Between which; None for all.
        """
        arguments = [_keys(futures), _names(workers)]
        return self._sync(self._once_done(futures, "rebalance", arguments))

    async def _once_done(self, futures: Any, question: str, arguments: Any) -> State | None:
        """Wait, then ask; or return a task without a result, if each is to have one."""
        if futures is not None:
            states = [future._state for future in futures_in(futures)]
            await self._waits.wait(states, None)
            failed = (state for state in states if state.status in ENDED_BADLY)
            if question == "replicate" and (first := next(failed, None)) is not None:
                return first
        await self._ask(question, arguments)
        return None

    # -- calling functions -------------------------------------------------------------------------

    def run(
        self,
        function: Callable[..., Any],
        /,
        *args: Any,
        workers: Workers = None,
        wait: bool = True,
        nanny: bool = False,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> Any:
        """Call a function at once on each worker, beside its tasks.

        Parameters
        ----------
        function
            What to call. If it has a parameter ``worker`` it gets the worker. It may be a
            coroutine function.
        *args, **kwargs
            Its arguments.
        workers
            Where; None for all workers.
        wait
            Whether to wait for the results; otherwise None is returned.
        nanny
            Refused: what starts workers here is a job agent, which runs nothing of its users.
        on_error
            ``"raise"`` raises the first exception; ``"return"`` gives exceptions as results;
            ``"ignore"`` leaves those workers out.

        Returns
        -------
        dict
            Results, by worker.

        Examples
        --------
        >>> import os
        >>> client.run(os.getpid)  # doctest: +SKIP
        {'node1-0': 4711, 'node2-0': 815}
        """
        if nanny:
            raise ConfigError(
                "nanny=True: a worker's job agent runs no functions; leave it out to call the "
                "function in the workers"
            )
        if on_error not in ("raise", "return", "ignore"):
            raise ConfigError(f"on_error={on_error!r}: it is 'raise', 'return' or 'ignore'")
        call = _dumps_call(function, args, kwargs)
        names = _names(workers)
        if wait:
            answers = self._called(names, call)
            return self._sync(answers, lambda answers: self._by_worker(answers, on_error))
        self._check_open()
        self._connection.loop.call_soon_threadsafe(self._connection.call_soon, names, call)
        return self._told()

    async def _called(self, workers: list[str] | None, call: Serialized) -> list[Answer]:
        self._check_open()
        return await self._connection.call(workers, call)

    def _by_worker(self, answers: list[Answer], on_error: str) -> dict[str, Any]:
        results = {}
        for worker, value, failure in answers:
            if failure is None:
                assert value is not None
                results[worker] = self._loads(value)
            elif on_error == "raise":
                raise Failure(*failure).to_exception()
            elif on_error == "return":
                results[worker] = Failure(*failure).to_exception()
        return results

    def run_on_scheduler(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function in the scheduler's process, and return its result.

        Parameters
        ----------
        function
            What to call. If it has a parameter ``scheduler`` (or, as elsewhere,
            ``dask_scheduler``) it gets the scheduler. Nothing else happens there meanwhile, unless
            it is a coroutine function. A SystemExit of it ends the call, not the scheduler.
        *args, **kwargs
            Its arguments.
        """
        call = _dumps_call(function, args, kwargs)
        return self._sync(self._ask("run-on-scheduler", call), self._loads)

    def _loads(self, value: Serialized) -> Any:
        with read_by(self):  # type: ignore[arg-type]
            return loads(value)

    # -- workers -----------------------------------------------------------------------------------

    def retire_workers(
        self, workers: Workers = None, timeout: Timeout = None, close_workers: object = True
    ) -> Any:
        """Let workers end without losing anything: their results move first.

        Parameters
        ----------
        workers
            Which; None for all.
        timeout
            Seconds after which they are told to end whatever they are doing.
        close_workers
            Without effect: who has retired ends.

        Returns
        -------
        list of str
            The names of those that are gone.
        """
        return self._sync(self._ask("retire-workers", [_names(workers), seconds(timeout)]))

    def restart(self, timeout: Timeout = None, wait_for_workers: bool = True) -> Any:
        """Cancel all tasks, of all clients, and have all workers begin anew as fresh processes.

        Parameters
        ----------
        timeout
            Seconds until all are back; two minutes by default.
        wait_for_workers
            Whether to wait for that.

        Raises
        ------
        TimeoutError
            They are not back within `timeout`.
        """
        limit = RESTART_TIMEOUT if timeout is None else seconds(timeout)
        return self._sync(self._restart(limit, wait_for_workers))

    async def _restart(self, limit: float | None, wait: bool) -> None:
        self._check_open()
        if wait:
            await self._ask("restart", limit)
            return
        _, answer = self._connection.pose("restart", limit)
        answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
        await self._connection.be_heard()  # which is after the news that all is cancelled

    def wait_for_workers(self, n_workers: int = 1, timeout: Timeout = None) -> Any:
        """Wait until workers are connected.

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
        return self._sync(self._wait_for_workers(n_workers, seconds(timeout)))

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

    async def _ask(self, question: str, arguments: Any = None) -> Any:
        self._check_open()
        return await self._connection.ask(question, arguments)


def _keys(futures: Any) -> list[str] | None:
    """Return the keys of futures; the scheduler has keys that nobody here has a future of."""
    if futures is None:
        return None
    given = [futures] if isinstance(futures, str) else as_collection(futures)
    if isinstance(given, list | tuple | set) and all(isinstance(each, str) for each in given):
        return list(given)
    return [future.key for future in futures_in(given)]


def _raise_failure(state: State | None) -> None:
    if state is not None and (error := state.exception()) is not None:
        raise error


def _one_key(future: Any) -> str:
    if not isinstance(future, Future):
        raise ConfigError(f"{describe(future)} is neither a future nor a key")
    return future.key


def _names(workers: Workers) -> list[str] | None:
    return None if workers is None else worker_names(workers)


def _dumps_call(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Serialized:
    if not callable(function):
        raise ConfigError(f"{describe(function)} is not callable: pass a function first")
    return dumps((function, args, dict(kwargs)), own=True)
