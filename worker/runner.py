"""What one task thread is doing, and how an exception is raised in it from outside.

The interpreter can raise an exception in another thread, but it says neither when nor where: it
comes at the thread's next instruction that looks for one, and by then the thread may run something
else. The rules that keep it out of anything but the task it is meant for:

- The thread notes in `calling` what may be interrupted, just before it calls a task's function, and
  withdraws that just after.
- Who interrupts says so first (`odd`, `aiming`), then looks at `calling`, then aims. So a thread
  that finds `odd` unset after it has withdrawn `calling` will not be hit any more.
- A thread that finds it set calls `calm`, which waits while somebody aims, and takes back what was
  aimed and has not hit. Whatever slips out before that is caught by the thread's outermost loop.

So an item that nobody interrupts pays two stores and a look for it, and no lock.

A task may fork. The child is no worker: where the task ends, so does the child.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple

from jobqueue.errors import TaskCancelled


class Runner:
    """One task thread's record. All but `interrupt` and `abandon` is called by the thread itself.

    Attributes
    ----------
    item
        What it has taken from the queue and not finished, or None.
    forked
        Whether this is the child of a fork that the item's function has made.
    since
        When it began with that item, as `time.perf_counter` has it.
    calling
        The item whose function it is calling, or None: what may be interrupted.
    abandoned
        An item whose result nobody wants any more.
    odd
        Whether anything out of the ordinary may have happened since it took the item.
    away
        Whether it has left its place: it ends with its item.
    stays
        Whether the item's result may not leave this worker.
    give_back
        Gives back what the item's function was lent; None if that was nothing.
    """

    __slots__ = (
        "abandoned",
        "aiming",
        "away",
        "calling",
        "coroutine",
        "forked",
        "give_back",
        "ident",
        "item",
        "odd",
        "since",
        "stays",
    )

    def __init__(self) -> None:
        self.ident = 0
        self.since = 0.0
        self.item: Any = None
        self.calling: Any = None
        self.abandoned: Any = None
        self.coroutine: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self.give_back: Callable[[], object] | None = None
        self.odd = self.aiming = self.away = self.stays = self.forked = False

    @property
    def wanted(self) -> str | None:
        """The key of its item, if the result of that is wanted."""
        item = self.item
        return None if item is None or self.abandoned is item else item.key

    @property
    def ran(self) -> tuple[str, float] | None:
        """The key of what it calls, if that is wanted, and for how many seconds it has."""
        item, since = self.calling, self.since  # in this order: it may go on to another meanwhile
        if item is None or self.abandoned is item:
            return None
        return item.key, time.perf_counter() - since

    def abandon(self, item: object) -> None:
        """Have an item's result dropped when it comes. From any thread."""
        self.abandoned = item
        self.odd = True

    def interrupt(self, item: object) -> bool:
        """Raise TaskCancelled in an item's function; from one other thread at a time.

        It does not come while the function waits in the operating system, and the function may
        catch it, so that this has to be repeated.

        Returns
        -------
        bool
            Whether the thread still has to do with that item.
        """
        if self.item is not item:
            return False
        coroutine = self.coroutine
        if coroutine is not None:
            loop, task = coroutine
            with contextlib.suppress(RuntimeError):  # its loop has just been closed
                loop.call_soon_threadsafe(task.cancel)
            return True
        self.aiming = self.odd = True
        try:
            if self.calling is item:
                _raise_in(self.ident, TaskCancelled)
        finally:
            self.aiming = False
        return True

    def returned(self) -> None:
        """Be back from a function, if something was odd: `calm`, and no further in a child.

        What it was lent is given back before anybody hears of its end, and takes the same again.
        """
        if self.forked:
            _end_child()
        self.calm()
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()

    def calm(self) -> None:
        """Return when no exception from outside can come any more."""
        while True:
            try:
                self.calling = None
                while self.aiming:
                    time.sleep(0.0001)
                settle()
            except TaskCancelled:
                continue
            return

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Let nothing be interrupted for a while in which a place would be lost by it.

        What has been aimed already is dropped; whoever interrupts does it again. A thread that
        starts another one needs this, too: the new one might be hit in its stead.
        """
        calling, self.calling = self.calling, None
        if self.odd:
            self.calm()
        try:
            yield
        finally:
            self.calling = calling

    def complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run what an ``async def`` task returned, in an event loop of its own."""

        async def main() -> Any:
            task = asyncio.current_task()
            assert task is not None
            self.coroutine = (asyncio.get_running_loop(), task)
            return await coroutine

        try:
            return asyncio.run(main())
        finally:
            self.coroutine = None


class Run(NamedTuple):
    """A run of a task that goes on although nobody wants its result."""

    runner: Runner
    item: Any

    def interrupt(self) -> bool:
        """Raise TaskCancelled in it, see `Runner.interrupt`; return whether it has not ended."""
        return self.runner.interrupt(self.item)


class Place:
    """What a thread that wants its place back waits for."""

    __slots__ = ("free", "runner")

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.free = threading.Event()


class _Here(threading.local):
    runner: Runner | None = None


here = _Here()
"""The record of the thread that asks."""


def _note_fork() -> None:
    if here.runner is not None:
        here.runner.forked = here.runner.odd = True


os.register_at_fork(after_in_child=_note_fork)


def _end_child() -> None:
    """End a child where its parent's task ends: only the parent goes on."""
    with contextlib.suppress(Exception):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        text = f"process {os.getpid()}, forked by a task, ends where the task does: use os._exit()"
        os.write(2, f"{text}\n".encode())
    os._exit(1)


class _Settled(BaseException):
    pass


def settle() -> None:
    """Take back what was to be raised in this thread, and let the interpreter forget of it.

    Until some thread has taken an exception, all of them look for one at every step. That costs
    time, and CPython 3.11 does it for ever where a function begins that is traced or profiled. A
    thread that waits in the operating system takes none; so this one takes its own.
    """
    try:
        _raise_in(threading.get_ident(), _Settled)
        while True:
            pass
    except _Settled:
        return


def _raise_in(ident: int, kind: type[BaseException]) -> None:
    """Have an exception raised in a thread, instead of one that has not come yet."""
    import ctypes  # imported late: most workers never interrupt anything

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind))
