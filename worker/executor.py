"""The threads that run tasks.

Items come through a C queue and results leave through a deque, so that the event loop is woken once
for a batch of results and not once for each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple

from jobqueue.errors import SerializationError, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.references import resolving
from jobqueue.protocol.serialize import dumps_if_small, loads
from jobqueue.worker.sizeof import sizeof
from jobqueue.worker.store import Store


class Inputs(NamedTuple):
    """The inputs of a task: those in the store by key, and those that came with it."""

    stored: tuple[str, ...]
    inline: tuple[tuple[str, Serialized], ...]


class Item(NamedTuple):
    """A task that can be run now."""

    key: str
    fid: bytes
    arguments: Serialized
    inputs: Inputs | None


Done = tuple[str, Serialized | None, int, float]
"""Key, value or None if it stays here, bytes, seconds."""

Failed = tuple[str, Failure, float]
"""Key, why, seconds."""

Gone = tuple[str, str]
"""Key, and the input without which it could not be run."""


class _InputGone(Exception):
    pass


class Executor:
    """Threads that run items in order.

    Parameters
    ----------
    nthreads
        How many.
    store
        Where inputs are, and where large results go.
    where
        Name of the worker, for tracebacks.
    wake
        Called, from any thread, when there is something for `take_results` after there was
        nothing.
    """

    def __init__(
        self, nthreads: int, store: Store, *, where: str, wake: Callable[[], object]
    ) -> None:
        self.inline_limit = 0
        self._store = store
        self._where = where
        self._wake = wake
        self._awake = False
        self._pickles: dict[bytes, tuple[str, bytes]] = {}
        self._functions: dict[bytes, Callable[..., Any]] = {}
        # Items leave the queue only by `get`; whoever removes one from here first has it.
        self._waiting: dict[str, Item] = {}
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._done: deque[Done] = deque()
        self._failed: deque[Failed] = deque()
        self._gone: deque[Gone] = deque()
        self._busy = bytearray(nthreads)  # one byte a thread: no lock needed
        for number in range(nthreads):
            name = f"jobqueue-task-{number}"
            threading.Thread(target=self._main, args=(number,), name=name, daemon=True).start()

    def add_function(self, fid: bytes, name: str, pickle: bytes) -> None:
        """Take in a function that items name."""
        self._pickles[fid] = (name, pickle)

    def put(self, item: Item) -> None:
        """Run an item when a thread is free."""
        self._waiting[item.key] = item
        self._queue.put(item)

    def withdraw(self, key: str) -> bool:
        """Take an item back; return whether it had not begun."""
        return self._waiting.pop(key, None) is not None

    def withdraw_all(self) -> None:
        """Take all items back that have not begun."""
        self._waiting.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not any(self._busy) and not self._waiting

    def close(self) -> None:
        """Let the threads end: those that run a task, after it."""
        self.withdraw_all()
        for _ in self._busy:
            self._queue.put(None)

    def take_results(self) -> tuple[list[Done], list[Failed], list[Gone]]:
        """Return, and forget, the results that have come since the last call."""
        self._awake = False  # before looking: what comes from now on wakes again
        return _drain(self._done), _drain(self._failed), _drain(self._gone)

    def _main(self, number: int) -> None:
        get, waiting, busy = self._queue.get, self._waiting, self._busy
        while True:
            item = get()
            if item is None:
                return
            if waiting.get(item.key) is not item or waiting.pop(item.key, None) is None:
                continue  # withdrawn, perhaps put again
            busy[number] = True
            self._run(item)
            busy[number] = False
            if not self._awake:
                self._awake = True
                self._wake()

    def _run(self, item: Item) -> None:
        started = perf_counter()
        try:
            value = self._call(item)
        except _InputGone as gone:
            self._gone.append((item.key, str(gone)))
            return
        except BaseException as error:
            self._failed.append((item.key, self._failure(error), perf_counter() - started))
            return
        seconds = perf_counter() - started
        try:
            self._done.append(self._keep(item.key, value, seconds))
        except SerializationError as error:
            text = f"the result of task {item.key!r} cannot be sent: {error}"
            self._failed.append((item.key, Failure.of(SerializationError(text)), seconds))
        except BaseException as error:  # of the value's own code, or of the user's mapping
            self._failed.append((item.key, self._failure(error), seconds))

    def _keep(self, key: str, value: Any, seconds: float) -> Done:
        """Pack a small result to be sent; put a large one into the store."""
        small = dumps_if_small(value, self.inline_limit)
        if small is not None:
            return key, small, len(small), seconds
        self._store.put(key, value)
        return key, None, sizeof(value), seconds

    def _call(self, item: Item) -> Any:
        function = self._functions.get(item.fid)
        if function is None:
            function = self._load(item.fid)
        if item.inputs is None:
            arguments = loads(item.arguments)
        else:
            values = {key: loads(value) for key, value in item.inputs.inline}
            for key in item.inputs.stored:
                try:
                    values[key] = self._store.get(key)
                except KeyError:  # freed while this task waited: news that crossed on their way
                    raise _InputGone(key) from None
            with resolving(values):
                arguments = loads(item.arguments)
        if type(arguments) is tuple:
            return function(*arguments)
        positional, named = arguments
        return function(*positional, **named)

    def _load(self, fid: bytes) -> Callable[..., Any]:
        name, pickle = self._pickles[fid]
        try:
            function: Callable[..., Any] = loads(pickle)
        except SerializationError as error:
            raise SerializationError(f"function {name!r}: {error}") from error.__cause__
        self._functions[fid] = function
        return function

    def _failure(self, error: BaseException) -> Failure:
        # The frames above the task's own are of no use to its author.
        traceback = error.__traceback__
        for _ in range(2):
            if traceback is not None and traceback.tb_next is not None:
                traceback = traceback.tb_next
        error = error.with_traceback(traceback)
        where = f"Traceback on worker {self._where}:"
        if not isinstance(error, Exception):
            # As itself it would end the client's program instead of the task.
            text = f"the task raised {type(error).__name__}: {error}"
            error = TaskError(text).with_traceback(traceback)
        return Failure.of(error, where=where)


def _drain(source: deque[Any]) -> list[Any]:
    # Only as many as there are now: other threads go on appending.
    return [source.popleft() for _ in range(len(source))]
