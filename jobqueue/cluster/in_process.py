"""Graphs run in this process, by the scheduler's core itself: one worker, no network, no pickles.

The core says what to run next and what nobody needs any more, as it does on a cluster; here that is
done at once, or by some threads.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

from jobqueue.client.future import Future
from jobqueue.client.nested import like
from jobqueue.errors import ConfigError
from jobqueue.graph.prepare import Prepared
from jobqueue.graph.programs import Ref
from jobqueue.graph.steps import Step
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import note
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.worker_record import WorkerRecord
from jobqueue.worker.limits import available_cpus

FID = b"steps of a graph"

_CONTAINERS = (list, tuple, set, frozenset)


def worker_count(num_workers: int | None) -> int:
    """Return how many are to work on a graph; if that is not said, as many as there are CPUs.

    Raises
    ------
    ConfigError
        So many there cannot be.
    """
    if num_workers is not None and (not isinstance(num_workers, int) or num_workers < 0):
        raise ConfigError(
            f"num_workers={num_workers!r}: a whole number, as 4, or None for all CPUs"
        )
    return num_workers or available_cpus()


class Ended(NamedTuple):
    """What came of a step.

    Parameters
    ----------
    number
        Its place in the order.
    value
        What it returned.
    error
        What it raised, or None.
    seconds
        How long it took.
    """

    number: int
    value: Any
    error: BaseException | None
    seconds: float


class InProcess:
    """Runs one graph.

    Parameters
    ----------
    prepared
        The graph.
    threads
        How many to use; 0 for the one that asks.
    """

    def __init__(self, prepared: Prepared, threads: int = 0) -> None:
        self._prepared = prepared
        self._threads = threads
        self._numbers = {key: number for number, key in enumerate(prepared.order)}
        self._values: dict[Hashable, Any] = {}
        self._ended: SimpleQueue[Ended] = SimpleQueue()
        self._core = SchedulerState(inline_limit=0)
        self._client = ClientRecord("here", 0)
        self._worker = WorkerRecord("here", max(1, threads))
        # As if as many threads were held up besides: it is given one task a thread, and none to
        # follow, which is chosen when that has ended; so what uses a result up comes soon.
        self._worker.blocked = self._worker.nthreads
        self._core.add_client(self._client)
        self._core.wishes.add_functions(self._client, [(FID, "step", b"")])
        self._core.add_worker(self._worker, 0.0)

    def run(self) -> Any:
        """Run it; return the results in the nesting of what was asked for.

        Raises
        ------
        Exception
            Whatever a step raised, with a note that says its key in the graph.
        """
        prepared = self._prepared
        steps, numbers = prepared.graph.steps, self._numbers
        items = [
            (str(number), b"", tuple([str(numbers[one]) for one in steps[key].inputs]))
            for number, key in enumerate(prepared.order)
        ]
        self._core.submit(self._client, FID, None, items)
        wanted = {numbers[key] for key in prepared.outputs()}
        self._core.wishes.release(self._client, [k for k, _, _ in items if int(k) not in wanted])
        if not self._threads:
            return self._work(wanted, self._call)
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="jobqueue-graph")
        try:
            return self._work(wanted, lambda *step: pool.submit(self._call, *step))
        finally:  # an error, or Ctrl-C, need not wait for what runs
            pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, wanted: set[int], start: Callable[[int, Step], object]) -> Any:
        while wanted:
            self._begin(start)
            assert self._worker.assigned, "a task comes before what it needs"
            number, value, error, seconds = self._ended.get()
            key = self._prepared.order[number]
            if error is not None:
                note(error, f"in the task {key!r} of the graph")
                raise error
            self._values[key] = value
            del value  # or it would live on when nobody needs it any more
            wanted.discard(number)
            self._core.done(self._worker, [(str(number), None, 0, seconds)])
            self._client.take_messages()
        return self._prepared.results(self._values)

    def _begin(self, start: Callable[[int, Step], object]) -> None:
        """Do what the core says."""
        order, steps = self._prepared.order, self._prepared.graph.steps
        self._core.settle()
        self._core.talking.clear()
        for operation, *fields in self._worker.take_messages():
            if operation == m.FREE:
                for name in fields[0]:
                    self._values.pop(order[int(name)], None)
            elif operation == m.RUN:
                for name, *_ in fields[0]:
                    start(int(name), steps[order[int(name)]])

    def _call(self, number: int, step: Step) -> None:
        begun = time.perf_counter()
        value, error = None, None
        try:
            args = [_filled(arg, self._values) for arg in step.args]
            kwargs = {k: _filled(arg, self._values) for k, arg in (step.kwargs or {}).items()}
            value = step.function(*args, **kwargs)
        except BaseException as raised:
            if not self._threads and not isinstance(raised, Exception):
                raise  # Ctrl-C is for whoever asked
            error = raised
        self._ended.put(Ended(number, value, error, time.perf_counter() - begun))


def _filled(one: Any, values: Mapping[Hashable, Any]) -> Any:
    """Return what stands in a step's arguments, with results where it means some.

    Those of other steps, and those of a client's futures, which a graph may hold. What has none in
    it is handed over as it is.

    Parameters
    ----------
    one
        An argument, or what is in one.
    values
        Results by the keys of their steps.
    """
    kind = type(one)
    if kind is Ref:
        return values[one.of]
    if kind is Future:
        return one.result()
    if isinstance(one, dict):
        inside = [_filled(item, values) for item in one.values()]
        if all(map(operator.is_, inside, one.values())):
            return one
        return like(one, zip(one, inside, strict=True))
    if isinstance(one, _CONTAINERS):
        inside = [_filled(item, values) for item in one]
        if all(map(operator.is_, inside, one)):
            return one
        return kind(*inside) if hasattr(kind, "_fields") else kind(inside)  # a named tuple
    return one
