"""A task thread's record, and exceptions that are raised in it from outside."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

from jobqueue.errors import TaskCancelled
from jobqueue.worker.runner import Run, Runner

BOUND = 20.0  # seconds after which a test is broken
ROUNDS = 300  # exceptions that are aimed at a thread


class Thread:
    """A thread that runs one item as the executor does."""

    def __init__(self, function: Any) -> None:
        self.runner, self.item = Runner(), object()
        self.began, self.after = threading.Event(), threading.Event()
        self.outcome: Any = None
        self._function = function
        self._thread = threading.Thread(target=self._main)
        self._thread.start()

    def _main(self) -> None:
        runner = self.runner
        runner.ident = threading.get_ident()
        runner.item = runner.calling = self.item
        try:
            self.outcome = self._function(self)
        except BaseException as error:
            self.outcome = error
        runner.calling = None
        if runner.odd:
            runner.calm()
        self.after.wait(BOUND)
        runner.item = None

    def join(self) -> Any:
        self.after.set()
        self._thread.join(BOUND)
        assert not self._thread.is_alive()
        return self.outcome


def spin(thread: Thread) -> None:
    thread.began.set()
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        pass


def test_a_function_is_interrupted():
    """By TaskCancelled, wherever it is in its Python code."""
    thread = Thread(spin)
    assert thread.began.wait(BOUND)
    assert Run(thread.runner, thread.item).interrupt()
    assert isinstance(thread.join(), TaskCancelled)
    assert not Run(thread.runner, thread.item).interrupt(), "it has ended"


def test_what_is_not_meant_is_not_hit():
    """Another item, or one whose function has returned already."""
    thread = Thread(lambda thread: "fine")
    assert not thread.runner.interrupt(object())
    while thread.runner.calling is not None:
        time.sleep(0)
    assert thread.runner.interrupt(thread.item), "it is not done with it yet"
    assert thread.join() == "fine"


def test_a_coroutine_is_cancelled():
    """Also while it waits; it may put its things in order."""
    cleaned: list[str] = []

    async def wait(thread: Thread) -> None:
        thread.began.set()
        try:
            await asyncio.sleep(BOUND)
        finally:
            cleaned.append("up")

    thread = Thread(lambda thread: thread.runner.complete(wait(thread)))
    assert thread.began.wait(BOUND)
    assert thread.runner.interrupt(thread.item)
    assert isinstance(thread.join(), asyncio.CancelledError)
    assert cleaned == ["up"]


def test_a_result_nobody_wants_is_known_by_its_item():
    """Not by its key, which may be in use again."""
    runner = Runner()
    assert runner.wanted is None

    class Item:
        key = "a"

    runner.item = first = Item()
    assert runner.wanted == "a"
    runner.abandon(first)
    assert runner.wanted is None
    runner.item = Item()
    assert runner.wanted == "a"


def test_no_exception_comes_late(request):
    """However close to the function's end it is aimed: what follows is never hit."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-5)  # the two threads meet at all places
    runner = Runner()
    stop = threading.Event()
    late: list[BaseException] = []
    hits = 0

    def short() -> None:
        for _ in range(20):
            threading.get_ident()

    def main() -> None:
        nonlocal hits
        runner.ident = threading.get_ident()
        while not stop.is_set():
            try:
                item = object()
                runner.item = runner.calling = item
                try:
                    short()
                    runner.calling = None
                    if runner.odd:
                        runner.calm()
                except TaskCancelled:
                    hits += 1
                    runner.calling = None
                    if runner.odd:
                        runner.calm()
            except TaskCancelled:  # the outermost loop's share
                runner.calm()
            try:
                runner.item, runner.odd = None, False
                short()
            except BaseException as error:
                late.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    aimed, last = 0, None
    end = time.monotonic() + BOUND
    while aimed < ROUNDS and time.monotonic() < end:
        item = runner.item
        if item is not None and item is not last:
            aimed += runner.interrupt(item)
            last = item
        else:
            time.sleep(0)
    stop.set()
    thread.join(BOUND)
    assert late == []
    assert aimed == ROUNDS
    assert hits


PROFILED = """
import sys, threading
from jobqueue.errors import TaskCancelled
from jobqueue.worker.runner import _raise_in, settle

block = threading.Lock()
block.acquire()
waits = threading.Thread(target=block.acquire, daemon=True)
waits.start()
_raise_in(waits.ident, TaskCancelled)
settle()
sys.setprofile(lambda *event: None)
print(sum(map(lambda x: x + 1, range(1000))))
"""


def test_what_nobody_takes_slows_nobody_down():
    """After a task that could not be interrupted, other code runs as ever, profiled code too."""
    command = [sys.executable, "-c", PROFILED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "500500\n", done.stderr
