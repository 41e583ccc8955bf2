"""joblib's calls as tasks: ``with joblib.parallel_backend("jobqueue")``.

Imported where joblib is (`jobqueue.client.session` has it so), and by workers that run its calls.
Beside what `jobqueue.client.executor` does, three things are done here: calls of one function name
it once and not with each batch; large arguments are sent once; and more calls are under way as more
workers come.

While a batch runs on a worker, joblib there uses threads, and below those nothing: so a task never
waits for another one. Who names this backend inside of a task gets it, and makes way meanwhile.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future as ConcurrentFuture
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from joblib.parallel import (  # type: ignore[import-untyped]
    AutoBatchingMixin,
    BatchedCalls,
    ParallelBackendBase,
    parallel_config,
    register_parallel_backend,
)

from jobqueue.client.client import Client
from jobqueue.client.executor import ClientExecutor
from jobqueue.errors import ConfigError
from jobqueue.protocol.running import giving_way

if TYPE_CHECKING:
    from jobqueue.client.future import Future

LARGE: Final = 64 * 1024
"""Bytes from which on an argument is sent once, and not with each call."""

LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at how many workers there are."""

NAME: Final = "jobqueue"

Call = tuple[Callable[..., Any], Sequence[Any], dict[str, Any]]


class JobqueueBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs batches of joblib's calls as tasks.

    Parameters
    ----------
    client
        By default the running task's, or else the last one made.
    nesting_level, inner_max_num_threads
        joblib's own.
    **options
        Of `Client.submit`, for every batch: ``priority``, ``retries``, ``resources``, ``pool``, …

    Raises
    ------
    ConfigError
        There is no such option; or the client is asynchronous.
    ClientClosed
        There is no client.

    Examples
    --------
    >>> with joblib.parallel_backend("jobqueue", retries=2):  # doctest: +SKIP
    ...     search.fit(images, digits)
    """

    MIN_IDEAL_BATCH_DURATION = 0.05  # of which dispatching is far less than a hundredth
    MAX_IDEAL_BATCH_DURATION = 1.0
    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        client: Client | None = None,
        *,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._client = Client.current() if client is None else client
        self._options = options
        self._executor = ClientExecutor(self._client, **options)
        self._sent = Sent(self._client, LARGE)
        self._batch_functions: dict[FunctionType, Callable[..., Any]] = {}
        self._growing = False
        self._threads = 0
        self._looked = 0.0

    @property
    def parallel(self) -> Any:
        """The `joblib.Parallel` that is served; it holds this object, and is not held by it.

        Else a client that nobody has any more would live, with its cluster, until some garbage
        collection.
        """
        return self._parallel()

    @parallel.setter
    def parallel(self, parallel: Any) -> None:
        self._parallel = (lambda: None) if parallel is None else weakref.ref(parallel)

    # -- how much at a time ------------------------------------------------------------------------

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        max_nbytes: int | None = LARGE,
        **others: Any,
    ) -> int:
        """Begin to serve a `joblib.Parallel`.

        Parameters
        ----------
        n_jobs
            Calls that it wants to have under way; negative for as many as there are threads.
        parallel
            That object.
        max_nbytes
            Bytes from which on it wants arguments not to be copied; None for never.
        **others
            For other backends.
        """
        self.parallel = parallel
        self._sent.limit = None if max_nbytes is None else min(max_nbytes, LARGE)
        self._growing = n_jobs < 0
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls can be under way; waits for the first worker.

        Raises
        ------
        WorkersUnavailable
            None will come; the message says why.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        if n_jobs > 0:
            return n_jobs
        if not self._count_threads():
            self._client.submit(abs, 0, **self._options).result()  # which is a reason for workers
        # joblib runs one at a time in this process, where the user does not want them.
        return max(2, self._count_threads() + 1 + n_jobs)

    def _count_threads(self) -> int:
        self._looked = time.monotonic()
        self._threads = sum(self._client.nthreads(self._workers()).values())
        return self._threads

    def _workers(self) -> Any:
        if self._options.get("allow_other_workers"):
            return None
        pool = self._options.get("pool")
        return self._options.get("workers") if pool is None else f"pool:{pool}"

    def batch_completed(self, batch_size: int, duration: float) -> None:
        """Take in that a batch has ended; have more under way if workers have come."""
        super().batch_completed(batch_size, duration)
        if not self._growing or time.monotonic() < self._looked + LOOK_AGAIN:
            return
        before = self._threads
        for _ in range(2 * (self._count_threads() - before)):
            with self.parallel._lock:
                if self.parallel._original_iterator is None:  # all is under way
                    return
                self.parallel.dispatch_next()

    # -- batches -----------------------------------------------------------------------------------

    def submit(
        self, func: BatchedCalls, callback: Callable[[Any], object] | None = None
    ) -> ConcurrentFuture[list[Any]]:
        """Run a batch of calls; the callback is called with its future."""
        calls = [self._sent.in_call(call) for call in func.items]
        function = calls[0][0]
        if type(function) is FunctionType and all(call[0] is function for call in calls):
            arguments = [call[1:] for call in calls]
            future = self._executor.submit(self._batch_function(function), arguments)
        else:
            future = self._executor.submit(run_calls, self.get_nested_backend(), calls)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name before joblib 1.5

    def _batch_function(self, function: FunctionType) -> Callable[..., Any]:
        batches = self._batch_functions.get(function)
        if batches is None:
            batches = batches_of(function, self.get_nested_backend())
            self._batch_functions[function] = batches
        return batches

    def retrieve_result_callback(self, out: ConcurrentFuture[list[Any]]) -> list[Any]:
        """Return the results of a batch that has ended, or raise its exception."""
        return out.result()

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Let other tasks run while joblib waits, if that is in a task."""
        with giving_way():
            yield

    # -- the end -----------------------------------------------------------------------------------

    def stop_call(self) -> None:
        """Forget what was sent for one call of a `joblib.Parallel`."""
        self._sent.clear()
        self._batch_functions.clear()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what is under way; what runs already runs to its end, of which nobody hears."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = ClientExecutor(self._client, **self._options)


class Sent:
    """Large arguments, which are scattered when they are met first, and known while they live.

    Parameters
    ----------
    client
        Which scatters them.
    limit
        Bytes from which on it does; None for never.
    """

    def __init__(self, client: Client, limit: int | None) -> None:
        if client.asynchronous:
            raise ConfigError(
                "joblib with an asynchronous client: it blocks; make a synchronous one for it"
            )
        self.limit = limit
        self._client = client
        self._known: dict[int, tuple[weakref.ref[Any], Future]] = {}

    def in_call(self, call: Call) -> Call:
        """Return a call with futures in place of large arguments."""
        function, args, kwargs = call
        return (
            function,
            [self._stand_in(value) for value in args],
            {name: self._stand_in(value) for name, value in kwargs.items()},
        )

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

    def _stand_in(self, value: Any) -> Any:
        if self.limit is None or isinstance(value, str | bytes | int | float | list | tuple | dict):
            return value
        known = self._known.get(id(value))
        if known is not None and known[0]() is value:
            return known[1]
        if nbytes(value) < self.limit:
            return value
        number, all_known = id(value), self._known

        def forget(gone: weakref.ref[Any]) -> None:
            if number in all_known and all_known[number][0] is gone:
                del all_known[number]

        try:
            ref = weakref.ref(value, forget)
        except TypeError:
            return value
        # A list of one: what is iterable itself is not to be taken apart.
        [future] = self._client.scatter([value])
        self._known[number] = ref, future
        return future


def nbytes(value: Any) -> int:
    """Return the bytes of an array, a table or a sparse matrix; 0 for anything else.

    Examples
    --------
    >>> nbytes(memoryview(b"1234")), nbytes(None)
    (4, 0)
    """
    size = getattr(value, "nbytes", None)
    if size is None and callable(usage := getattr(value, "memory_usage", None)):
        size = usage(index=False).sum()  # a DataFrame
    if size is None:
        size = getattr(getattr(value, "data", None), "nbytes", None)
    try:
        return int(size or 0)
    except (TypeError, ValueError):
        return 0


def batches_of(function: FunctionType, nested: Any) -> Callable[..., Any]:
    """Return a function that calls another with each of some arguments; it is pickled once."""

    def batches(arguments: list[tuple[Sequence[Any], dict[str, Any]]]) -> list[Any]:
        return run_calls(nested, [(function, *one) for one in arguments])

    batches.__name__ = function.__name__
    return batches


def run_calls(nested: tuple[Any, int | None], calls: list[Call]) -> list[Any]:
    """Do a batch of calls, on a worker.

    Parameters
    ----------
    nested
        The backend that joblib uses meanwhile, and how many calls it has under way.
    calls
        Functions and their arguments.
    """
    backend, n_jobs = nested
    with parallel_config(backend=backend, n_jobs=n_jobs):
        return [function(*args, **kwargs) for function, args, kwargs in calls]


register_parallel_backend(NAME, JobqueueBackend)
