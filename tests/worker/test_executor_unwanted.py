"""Tasks that nobody wants any more: they are abandoned, and interrupted."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobqueue.errors import TaskCancelled

BOUND = 20.0  # seconds after which a test is broken


def test_nothing_comes_of_what_was_abandoned(bench):
    """Its key may be in use again, by a task that is another one."""
    gate = bench.begin("t")
    (run,) = bench.executor.abandon(["t", "unheard of"])
    assert run.item.key == "t"
    bench.put("t", lambda: "second")
    gate.opened.set()
    assert bench.value("t") == "second"
    assert bench.done.keys() == {"t"}


@pytest.mark.parametrize("result", [bytes(100_000), "small"], ids=["large", "small"])
def test_the_store_holds_nothing_of_it(bench, result):
    """Neither a large result nor a failure is told of."""
    gate = bench.gate()
    bench.put("t", lambda: (gate(), result)[1])
    gate.wait_begun()
    bench.executor.abandon()
    gate.opened.set()
    bench.put("next", lambda: 1)
    bench.wait("next")
    assert bench.done.keys() == {"next"}
    assert len(bench.store) == 0


def interrupt(run: Any) -> None:
    """As the worker does it: again and again."""
    end = time.monotonic() + BOUND
    while run.interrupt():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_an_interrupted_task_ends_and_its_thread_goes_on(bench):
    """With whatever comes next."""
    for number in range(10):
        bench.begin(f"t{number}", spins=True)
        (run,) = bench.executor.abandon([f"t{number}"])
        interrupt(run)
        bench.put(f"next{number}", lambda: 1)
        assert bench.value(f"next{number}") == 1
    assert not bench.failed
    assert len(bench.executor._runners) == 1


def test_a_coroutine_that_waits_for_ever_is_cancelled(bench):
    """At once: it need not come back from the operating system."""
    began = threading.Event()

    async def wait() -> None:
        began.set()
        await asyncio.sleep(BOUND)

    bench.put("t", wait)
    assert began.wait(BOUND)
    (run,) = bench.executor.abandon(["t"])
    interrupt(run)
    bench.put("next", lambda: 1)
    assert bench.value("next") == 1


def test_a_task_that_waits_for_a_place_can_be_interrupted(bench):
    """And the place is not lost by it."""
    left = bench.gate()
    errors: list[BaseException] = []

    def leave() -> None:
        bench.executor.secede()
        left()
        try:
            bench.executor.rejoin()
        except BaseException as error:
            errors.append(error)
            raise

    bench.put("leaves", leave)
    left.wait_begun()
    other = bench.begin("other")
    left.opened.set()
    (run,) = bench.executor.abandon(["leaves"])
    interrupt(run)
    assert not errors or isinstance(errors[0], TaskCancelled)
    other.opened.set()
    bench.put("next", lambda: 1)
    assert bench.value("next") == 1


def test_other_tasks_are_not_hit(make_bench):
    """However many are interrupted beside them, at whatever moment."""
    bench = make_bench(2)

    def short() -> int:
        return sum(range(200))

    for number in range(400):
        bench.put(f"t{number}", short)
        if number % 4 == 0:
            for run in bench.executor.abandon([f"t{number}"]):
                run.interrupt()
    bench.put("last", short)
    bench.wait("last", *(f"t{number}" for number in range(400) if number % 4))
    assert not bench.failed


# -- with all else that may happen to tasks --------------------------------------------------------


class Storm:
    """Tasks of all kinds, and whatever may happen to them, in an order that a seed decides."""

    def __init__(self, bench: Any, seed: int) -> None:
        self.bench, self.random = bench, random.Random(seed)
        self.wanted: set[str] = set()

    def task(self) -> Callable[[], Any]:
        executor = self.bench.executor

        def away_and_back() -> None:
            executor.secede()
            time.sleep(0.001)
            executor.rejoin()

        def naps() -> None:
            for _ in range(20):
                time.sleep(0.0001)

        kinds = (away_and_back, naps, executor.secede, lambda: sum(range(1000)), lambda: 1 / 0)
        return self.random.choice(kinds)

    def step(self, number: int) -> None:
        executor, chance = self.bench.executor, self.random.random()
        if chance < 0.7:
            self.bench.put(f"t{number}", self.task())
            self.wanted.add(f"t{number}")
        elif chance < 0.75:
            executor.pause()
            time.sleep(0.001)
            executor.resume()
        elif self.wanted:
            key = self.random.choice(sorted(self.wanted))
            if chance < 0.8 and executor.withdraw(key):
                self.wanted.discard(key)
            for run in executor.abandon([key]):
                self.wanted.discard(key)
                run.interrupt()
                run.interrupt()
        self.bench.take()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_task_ends_once_and_no_place_is_lost(
    make_bench, wait_until, request, seed
):
    """Nobody is interrupted in another's stead."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-5)  # threads meet at all places
    bench = make_bench(1 + seed % 3)
    storm = Storm(bench, seed)
    for number in range(200):
        storm.step(number)
    bench.wait(*storm.wanted)
    for failure in bench.failed.values():
        assert failure.summary.startswith("ZeroDivisionError")
    wait_until(lambda: bench.executor.idle and len(bench.executor._runners) == 1 + seed % 3)
