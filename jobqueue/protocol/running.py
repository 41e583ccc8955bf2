"""What code inside of a task can know of where it runs.

A worker's threads say here what they are running; what stands on the client's side (`get_client`,
`secede`, …) reads it. So neither imports the other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from jobqueue.errors import JobQueueError

BREATH: Final = 0.5
"""Seconds after which a task that waits comes up: it may have been cancelled by force."""


class Host(Protocol):
    """A worker, as the tasks that it runs see it."""

    name: str
    devices: tuple[str, ...]
    """The GPUs of this worker, as the variables of its batch system name them."""
    clients: dict[str, Any]
    """For the one client that the tasks of a worker share, and what else belongs to it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def address(self) -> str:
        """Where other workers reach it."""
        ...

    @property
    def nthreads(self) -> int:
        """How many tasks it runs at a time."""
        ...

    @property
    def memory_limit(self) -> int | None:
        """Bytes it may use, or None."""
        ...

    @property
    def local_directory(self) -> str:
        """The folder for what it puts on disk."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """The results that it has, by key; to be read only."""
        ...

    @property
    def scheduler_addresses(self) -> Sequence[str]:
        """Where the scheduler is, best first."""
        ...

    @property
    def credentials(self) -> Any:
        """The worker's `Credentials`, or None."""
        ...

    def secede(self) -> None:
        """Let another task have this thread's place; no effect if it has it already."""
        ...

    def rejoin(self) -> None:
        """Wait for a place, and take it."""
        ...

    def keep_actor(self, key: str, instance: object) -> None:
        """Keep an object that is the result of the running task, and never leaves this worker."""
        ...


class _Running(threading.local):
    host: Host | None = None
    key: str | None = None
    devices: tuple[str, ...] = ()
    away: str | None = None
    waits: int = 0
    gave_way: bool = False
    unwanted: Callable[[], bool] | None = None


running = _Running()
"""What this thread runs: its worker, set once, and the key of its task, set for each. `devices` are
the GPUs that the task has for itself. `away` is the key while the task has left its place to
others; `waits` says how many waits are under way in it, which are several if it is a coroutine;
`gave_way`, that it left its place because of them; `unwanted`, set once, tells whether nobody wants
the result of what this thread runs."""


def host() -> Host:
    """Return the worker whose task this thread runs.

    Raises
    ------
    JobQueueError
        It runs none.
    """
    if running.host is None:
        raise JobQueueError(
            "this is not running inside of a task: call it in a function that was given to submit()"
        )
    return running.host


def cancelled() -> bool:
    """Return whether the running task was cancelled, or nobody wants its result any more.

    Outside of tasks that is never so.
    """
    return running.unwanted is not None and running.unwanted()


def secede() -> None:
    """Let another task have the running task's place, if it still has it."""
    where = host()
    if running.away != running.key:
        where.secede()
        running.away = running.key


def rejoin() -> None:
    """Wait until there is a place for the running task again, unless it has one."""
    where = host()
    if running.away == running.key:
        where.rejoin()
        running.away = None


@contextmanager
def giving_way() -> Iterator[None]:
    """Let another task run while this thread waits for something.

    So tasks that wait for tasks never keep those from running. No effect outside of tasks, and
    in one that has seceded already.
    """
    if running.host is None or running.key is None:
        yield
        return
    if not running.waits and running.away != running.key:
        secede()
        running.gave_way = True
    running.waits += 1
    try:
        yield
    finally:
        running.waits -= 1
        if not running.waits and running.gave_way:
            running.gave_way = False
            rejoin()


def in_breaths(wait: Callable[[float], bool], timeout: float | None) -> bool:
    """Wait in this thread, in the thread of a task in breaths.

    An exception from outside, by which a task is interrupted, comes only between two of them.

    Parameters
    ----------
    wait
        Waits for so many seconds at most, and returns whether what it waits for has come.
    timeout
        Seconds in all, or None for as long as it takes.

    Returns
    -------
    bool
        False if the time ran out.
    """
    breath = BREATH if running.host is not None else threading.TIMEOUT_MAX
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = breath if end is None else min(breath, end - time.monotonic())
        if wait(max(0.0, left)):
            return True
        if left < breath:
            return False


def _forget() -> None:
    """Run nothing any more, in the child of a fork: worker and place are its parent's."""
    running.host = running.key = running.away = None
    running.waits, running.gave_way = 0, False


os.register_at_fork(after_in_child=_forget)
