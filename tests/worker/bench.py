"""An executor by itself, and tasks that run until they are let go."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from jobqueue.protocol.failures import Failure
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.executor import Executor
from jobqueue.worker.items import Inputs, Item
from jobqueue.worker.store import Store

BOUND = 20.0  # seconds after which a test is broken


class Gate:
    """A task that runs until it is let go. Pickled and unpickled, it is still this one.

    Parameters
    ----------
    spins
        Whether it computes meanwhile, and so can be interrupted.
    """

    _all: ClassVar[list[Gate]] = []

    def __init__(self, *, spins: bool = False) -> None:
        self.began, self.opened = threading.Event(), threading.Event()
        self._spins = spins
        self._number = len(Gate._all)
        Gate._all.append(self)

    def __call__(self) -> str:
        self.began.set()
        end = time.monotonic() + BOUND
        while self._spins and time.monotonic() < end:
            pass
        assert self.opened.wait(end - time.monotonic())
        return "through"

    def __reduce__(self) -> Any:
        return _gate, (self._number,)

    def wait_begun(self) -> None:
        assert self.began.wait(BOUND)


def _gate(number: int) -> Gate:
    return Gate._all[number]


class Bench:
    """An executor, and what has come of its tasks, by key."""

    def __init__(self, nthreads: int, data: Any, **options: Any) -> None:
        self.store = Store(data)
        self.done: dict[str, Any] = {}  # pickles, or None of what stays in the store
        self.sizes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, Failure] = {}
        self.gone: dict[str, str] = {}
        self.mentions: dict[str, list[Any]] = {}
        self.order: list[Any] = []  # what tasks note
        self.wakes = 0
        self._gates: list[Gate] = []
        self._woken = threading.Semaphore(0)
        self._functions = itertools.count()
        self.executor = Executor(nthreads, self.store, where="w-0", wake=self._wake, **options)
        self.executor.set_inline_limit(4096)

    def _wake(self) -> None:
        self.wakes += 1
        self._woken.release()

    def put(
        self, key: str, function: Callable[..., Any], *args: Any, inputs: Inputs | None = None
    ) -> None:
        """Have a task run, whose function need not be one that can be pickled."""
        fid = b"f%d" % next(self._functions)
        self.executor.functions.loaded[fid] = function
        self.executor.put(Item(key, fid, dumps(args), inputs))

    def gate(self, **options: Any) -> Gate:
        """Make a task that ends when it is let go, at the latest when the test ends."""
        self._gates.append(Gate(**options))
        return self._gates[-1]

    def begin(self, key: str, **options: Any) -> Gate:
        """Have such a task run; return when it does."""
        gate = self.gate(**options)
        self.put(key, gate)
        gate.wait_begun()
        return gate

    def close(self) -> None:
        """Have all tasks and threads end."""
        for gate in self._gates:
            gate.opened.set()
        self.executor.close()

    def take(self) -> None:
        """Take what has come."""
        done, failed, gone, mentions, _ = self.executor.take_results()
        for key, value, size, seconds in done:
            self.done[key], self.sizes[key], self.seconds[key] = value, size, seconds
        self.failed.update((key, failure) for key, failure, _ in failed)
        self.gone.update(gone)
        self.mentions.update(mentions)

    def wait(self, *keys: str) -> None:
        """Wait for these to end."""
        while missing := {*keys} - {*self.done, *self.failed, *self.gone}:
            assert self._woken.acquire(timeout=BOUND), f"{missing} have not ended"
            self.take()

    def value(self, key: str) -> Any:
        """Wait for a task and give its result, small or large; or raise what it raised."""
        self.wait(key)
        if key in self.failed:
            raise self.failed[key].to_exception()
        value = self.done[key]
        return self.store.get(key) if value is None else loads(value)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run one task, ``task-0`` and so on, and give its result."""
        key = f"task-{len(self.done) + len(self.failed)}"
        self.put(key, function, *args, **options)
        return self.value(key)
