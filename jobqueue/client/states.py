"""What a client knows of the tasks it holds futures of, shared between its threads.

The user's threads make futures, wait and drop them; the event loop's thread learns how tasks end.
One lock guards it all, except for `Book.drop`: the garbage collector may drop a future anywhere,
also while this very thread, or one that waits for it, holds some lock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from jobqueue.errors import ClientClosed, ConfigError, JobQueueError, TaskCancelled
from jobqueue.protocol.failures import Failure, note
from jobqueue.protocol.payload import Serialized

PENDING: Final = "pending"
FINISHED: Final = "finished"
ERROR: Final = "error"
CANCELLED: Final = "cancelled"
LOST: Final = "lost"
RELEASED: Final = "released"

ENDED_BADLY: Final = frozenset({ERROR, CANCELLED, LOST, RELEASED})

MADE: Final = b""
"""What a key stands for that was made for one task, or of its content."""

Waiter = Callable[["State"], None]
"""Called in the event loop when a state is not PENDING any more."""


class State:
    """How one task stands.

    Parameters
    ----------
    key
        Name of the task.
    work
        Digest of function and arguments if the user chose the key; `MADE` if nobody chose it; None
        for a task of somebody else's.
    """

    __slots__ = ("failure", "key", "refs", "status", "value", "waiters", "work")

    def __init__(self, key: str, work: bytes | None = MADE) -> None:
        self.key = key
        self.work = work
        self.status = PENDING
        self.value: Serialized | None = None  # a small result that came along
        self.failure: Failure | None = None
        self.refs = 1  # futures
        self.waiters: list[Waiter] | None = None

    def exception(self) -> BaseException | None:
        """Return why there is no result, if the task ended so."""
        if self.failure is not None:
            error = self.failure.to_exception()
            if self.failure.task not in ("", self.key):
                note(error, f"in the task {self.failure.task!r}")
            return error
        if self.status is CANCELLED:
            return TaskCancelled(f"task {self.key!r} was cancelled")
        if self.status is RELEASED:
            return TaskCancelled(f"the future of {self.key!r} was released: submit the task again")
        return None

    @classmethod
    def released(cls, key: str) -> State:
        """Return the state of a future that let go of its task."""
        state = cls(key)
        state.status = RELEASED
        return state

    def __repr__(self) -> str:
        return f"<State {self.key} {self.status}>"


def pending(states: Iterable[State]) -> list[str]:
    """Return the keys of those that have not ended."""
    return [state.key for state in states if state.status is PENDING]


class Countdown:
    """Calls back once, when as many states as were counted are not pending any more.

    Parameters
    ----------
    callback
        Called in the event loop at zero, or when `abort` is called.
    """

    __slots__ = ("_callback", "error", "left")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self.left = 0
        self.error: JobQueueError | None = None

    def __call__(self, state: State) -> None:
        """Count one more; a `Waiter`."""
        self.count()

    def count(self) -> None:
        """Count one more."""
        self.left -= 1
        if not self.left:
            self._callback()

    def abort(self, error: JobQueueError) -> None:
        """End the wait now, with an error."""
        if self.left > 0:
            self.left = 0
            self.error = error
            self._callback()


class Book:
    """States by key."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.states: dict[str, State] = {}
        self.closed: ClientClosed | None = None  # why
        self.dropped: deque[State] = deque()  # one entry for each future that is gone

    def open(self, key: str, work: bytes | None = MADE) -> tuple[State, bool]:
        """Return the state of a key for one more future, and whether it was not known before.

        Parameters
        ----------
        key
            Name of the task.
        work
            As in `State`. One that ended badly is pending again until the scheduler says how it
            stands now, unless this is None.

        Raises
        ------
        ConfigError
            The key stands for other work.
        """
        with self.lock:
            state = self.states.get(key)
            if state is None:
                state = self.states[key] = State(key, work)
                return state, True
            if work is not None:
                if state.work is not None and state.work != work:
                    raise ConfigError(
                        f"key {key!r} is in use for other work: choose another key, or release "
                        "the futures that have it"
                    )
                if state.status in ENDED_BADLY and self.closed is None:
                    _make_pending(state)
            state.refs += 1
            return state, False

    def open_all(self, keys: Sequence[str], works: Sequence[bytes] | None = None) -> list[State]:
        """Return the states of keys for one more future each: `open` for many at a time."""
        states = self.states
        with self.lock:
            if works is None:
                # Keys that are there already, or twice in the batch, come from pure calls only.
                if not any(key in states for key in keys) and len(set(keys)) == len(keys):
                    opened = [State(key) for key in keys]
                    states.update(zip(keys, opened, strict=True))
                    return opened
                works = [MADE] * len(keys)
            opened = []
            try:
                for key, work in zip(keys, works, strict=True):
                    opened.append(self.open(key, work)[0])
            except ConfigError:
                self.dropped.extend(opened)
                raise
            return opened

    def drop(self, state: State) -> None:
        """Note, without any lock, that a future of a state is gone."""
        self.dropped.append(state)

    def take_unused(self, count: int) -> list[str]:
        """Count the first futures in `dropped` as gone; return the keys of which none is left.

        No news comes of those any more, so that whoever waits for one in vain is told here.
        """
        unused = []
        with self.lock:
            for _ in range(count):
                state = self.dropped.popleft()
                state.refs -= 1
                if not state.refs and self.states.get(state.key) is state:
                    del self.states[state.key]
                    unused.append(state.key)
                    if state.status is PENDING:
                        state.status = RELEASED
                        if state.waiters is not None:
                            _wake(state)
        return unused

    def finish(self, items: Iterable[tuple[str, Serialized | None]]) -> None:
        """Take in that tasks are done, with their values where they are small."""
        states = self.states
        with self.lock:
            for key, value in items:
                state = states.get(key)
                if state is not None:
                    state.value = value
                    state.status = FINISHED
                    if state.waiters is not None:
                        _wake(state)

    def fail(self, items: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Take in that tasks failed."""
        for key, failure in items:
            self._end(key, ERROR, Failure(*failure))

    def cancel(self, keys: Iterable[str]) -> None:
        """Take in that tasks were cancelled."""
        for key in keys:
            self._end(key, CANCELLED, None)

    def lose(self, keys: Iterable[str]) -> None:
        """Take in that results are gone, or failed, and are computed again."""
        with self.lock:
            for key in keys:
                state = self.states.get(key)
                if state is not None and state.status is not PENDING and state.value is None:
                    _make_pending(state)

    def gone(self, items: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Take in that results are gone, and cannot be computed again."""
        for key, failure in items:
            self._end(key, LOST, Failure(*failure))

    def close(self, error: ClientClosed) -> None:
        """Let nothing wait any more: what is pending will never come."""
        with self.lock:
            self.closed = error
            for state in self.states.values():
                if state.status is PENDING:
                    state.status = ERROR
                    state.failure = Failure.of(error)
                    if state.waiters is not None:
                        _wake(state)

    def _end(self, key: str, status: str, failure: Failure | None) -> None:
        with self.lock:
            state = self.states.get(key)
            if state is not None:
                state.status = status
                state.failure = failure
                state.value = None
                if state.waiters is not None:
                    _wake(state)

    def count_pending(self, countdown: Countdown, states: Iterable[State]) -> int:
        """Have a countdown called for each of these that is pending; return how many are."""
        with self.lock:
            for state in states:
                if state.status is PENDING:
                    if state.waiters is None:
                        state.waiters = [countdown]
                    else:
                        state.waiters.append(countdown)
                    countdown.left += 1
            return countdown.left

    def when_done(self, state: State, waiter: Waiter) -> bool:
        """Have a waiter called when a state is not pending; return False if it is not already."""
        with self.lock:
            if state.status is not PENDING:
                return False
            if state.waiters is None:
                state.waiters = [waiter]
            else:
                state.waiters.append(waiter)
            return True

    def stop_waiting(self, states: Iterable[State], waiter: Waiter) -> None:
        """Undo `when_done` and `count_pending` for what is still pending."""
        with self.lock:
            for state in states:
                if state.waiters is not None and waiter in state.waiters:
                    state.waiters.remove(waiter)


def _make_pending(state: State) -> None:
    state.status = PENDING
    state.failure = None


def _wake(state: State) -> None:
    waiters, state.waiters = state.waiters, None
    for waiter in waiters or ():
        waiter(state)
