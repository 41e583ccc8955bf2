"""Tasks that leave their place, are abandoned or interrupted; pauses; what results may hold."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from jobqueue.errors import SerializationError, TaskCancelled, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.references import reduce_reference
from jobqueue.protocol.running import running
from jobqueue.protocol.serialize import dumps, dumps_function, loads
from jobqueue.worker.executor import Executor
from jobqueue.worker.items import Item
from jobqueue.worker.store import Store

BOUND = 20.0  # seconds after which a test is broken


class Bench:
    """An executor, its results by key, and what its tasks do, found again by their number."""

    tasks: dict[int, Callable[[], Any]] = {}  # noqa: RUF012 - the registry
    _numbers = itertools.count()

    def __init__(self, nthreads: int) -> None:
        self.store = Store({})
        self.done: dict[str, Any] = {}
        self.failed: dict[str, Failure] = {}
        self.mentions: dict[str, list[Any]] = {}
        self.order: list[str] = []  # what the tasks note
        self._woken = threading.Semaphore(0)
        self.executor = Executor(nthreads, self.store, where="w-0", wake=self._woken.release)
        self.executor.inline_limit = 4096

    def put(self, key: str, task: Callable[[], Any]) -> None:
        number = next(Bench._numbers)
        Bench.tasks[number] = task
        fid, pickle = dumps_function(perform)
        self.executor.functions.add(fid, "perform", pickle)
        self.executor.put(Item(key, fid, dumps((number,)), None))

    def take(self) -> None:
        done, failed, _, mentions, _ = self.executor.take_results()
        self.done.update((key, value) for key, value, *_ in done)
        self.failed.update((key, failure) for key, failure, _ in failed)
        self.mentions.update(mentions)

    def wait(self, *keys: str) -> None:
        """Wait for these to end."""
        while not {*keys} <= {*self.done, *self.failed}:
            assert self._woken.acquire(timeout=BOUND), f"only {[*self.done, *self.failed]} ended"
            self.take()

    def value(self, key: str) -> Any:
        self.wait(key)
        if key in self.failed:
            raise self.failed[key].to_exception()
        value = self.done[key]
        return self.store.get(key) if value is None else loads(value)


def perform(number: int) -> Any:
    return Bench.tasks[number]()


class Gate:
    """A task that runs until it is let go."""

    def __init__(self) -> None:
        self.began, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.began.set()
        assert self.opened.wait(BOUND)
        return "through"

    def wait_begun(self) -> None:
        assert self.began.wait(BOUND)


@pytest.fixture
def make_bench() -> Iterator[Callable[[int], Bench]]:
    """Make executors; their threads end with the test."""
    benches: list[Bench] = []

    def make(nthreads: int = 1) -> Bench:
        benches.append(Bench(nthreads))
        return benches[-1]

    yield make
    for bench in benches:
        bench.executor.close()
    for thread in threading.enumerate():
        if thread.name.startswith("jobqueue-task-"):
            thread.join(BOUND)
            assert not thread.is_alive()
    Bench.tasks.clear()


@pytest.fixture
def bench(make_bench: Callable[[int], Bench]) -> Bench:
    """An executor with one thread."""
    return make_bench(1)


# -- places ----------------------------------------------------------------------------------------


def test_a_task_that_secedes_lets_another_run(bench):
    """At once, on the only place that there is; what it returns counts all the same."""
    gate = Gate()
    told: list[str | None] = []

    def leave() -> str:
        told.append(bench.executor.secede())
        told.append(bench.executor.secede())  # has left already
        return gate()

    bench.put("leaves", leave)
    gate.wait_begun()
    bench.put("other", lambda: 5)
    assert bench.value("other") == 5
    assert told == ["leaves", None]
    assert not bench.executor.idle
    gate.opened.set()
    assert bench.value("leaves") == "through"


def test_a_task_that_rejoins_waits_for_a_place(bench):
    """No more tasks run than there are places, and it comes before those that have not begun."""
    left, back, other = Gate(), threading.Event(), Gate()
    told: list[str | None] = []

    def leave() -> str:
        bench.executor.secede()
        left()
        told.append(bench.executor.rejoin())
        bench.order.append("back")
        back.set()
        return "done"

    bench.put("leaves", leave)
    left.wait_begun()
    bench.put("other", other)
    other.wait_begun()
    bench.put("later", lambda: bench.order.append("later"))
    left.opened.set()
    assert not back.wait(0.05)
    other.opened.set()
    bench.wait("leaves", "later")
    assert bench.order == ["back", "later"]
    assert told == ["leaves"]
    assert len(bench.executor._runners) == 1


def test_a_free_place_is_had_at_once(bench):
    """From a thread that waits for something to do."""

    def away_and_back() -> str:
        for _ in range(20):
            bench.executor.secede()
            bench.executor.rejoin()
        return "done"

    bench.put("t", away_and_back)
    assert bench.value("t") == "done"
    bench.put("u", lambda: 1)
    assert bench.value("u") == 1


def test_places_are_neither_lost_nor_made(make_bench):
    """However many tasks leave and come back at the same time."""
    bench = make_bench(3)
    lock, now, most = threading.Lock(), 0, 0

    def count(change: int) -> None:
        nonlocal now, most
        with lock:
            now += change
            most = max(most, now)

    def task() -> None:
        count(+1)
        for _ in range(3):
            count(-1)
            bench.executor.secede()
            time.sleep(0.0005)
            bench.executor.rejoin()
            count(+1)
        count(-1)

    for number in range(40):
        bench.put(f"t{number}", task)
    bench.wait(*(f"t{number}" for number in range(40)))
    assert not bench.failed
    assert most <= 3
    gates = [Gate() for _ in range(3)]
    for number, gate in enumerate(gates):
        bench.put(f"g{number}", gate)
    for gate in gates:
        gate.wait_begun()
        gate.opened.set()


def test_a_thread_that_runs_no_task_has_no_place(bench):
    """It leaves nothing and waits for nothing."""
    assert bench.executor.secede() is None
    assert bench.executor.rejoin() is None
    assert not bench.executor.keep_here()


def test_at_the_end_nobody_waits_for_a_place(bench):
    """The place is never free any more."""
    left, other = Gate(), Gate()

    def leave() -> None:
        bench.executor.secede()
        left()
        bench.executor.rejoin()

    bench.put("leaves", leave)
    left.wait_begun()
    bench.put("other", other)
    other.wait_begun()
    left.opened.set()
    bench.executor.close()
    bench.wait("leaves")
    other.opened.set()


# -- pauses ----------------------------------------------------------------------------------------


def test_while_paused_nothing_begins(bench):
    """What runs goes on; afterwards all begins in its order, but for what was withdrawn."""
    gate = Gate()
    bench.put("runs", gate)
    gate.wait_begun()
    bench.put("a", lambda: bench.order.append("a"))
    bench.executor.pause()
    bench.executor.pause()
    bench.put("b", lambda: bench.order.append("b"))
    bench.put("c", lambda: bench.order.append("c"))
    gate.opened.set()
    assert bench.value("runs") == "through"
    assert bench.executor.withdraw("b")
    assert not bench.executor.idle
    assert bench.order == []
    bench.executor.resume()
    bench.executor.resume()
    bench.wait("a", "c")
    assert bench.order == ["a", "c"]


def test_a_paused_executor_lets_go_of_places(bench):
    """A task that waits for its place has begun already."""

    def away_and_back() -> str:
        bench.executor.secede()
        bench.executor.pause()
        bench.executor.rejoin()
        return "done"

    bench.put("t", away_and_back)
    assert bench.value("t") == "done"


def test_a_paused_executor_starts_over_paused(bench):
    """A new scheduler does not make memory free."""
    bench.executor.pause()
    bench.put("t", lambda: bench.order.append("t"))
    bench.executor.start_over()
    bench.put("u", lambda: bench.order.append("u"))
    assert not bench.executor.idle
    bench.executor.resume()
    bench.wait("u")
    assert bench.order == ["u"]


# -- what nobody wants -----------------------------------------------------------------------------


def test_nothing_comes_of_what_was_abandoned(bench):
    """Its key may be in use again, by a task that is another one."""
    gate = Gate()
    bench.put("t", gate)
    gate.wait_begun()
    (run,) = bench.executor.abandon(["t", "unheard of"])
    assert run.item.key == "t"
    bench.put("t", lambda: "second")
    gate.opened.set()
    assert bench.value("t") == "second"
    assert bench.done.keys() == {"t"}


@pytest.mark.parametrize("result", [bytes(100_000), "small"], ids=["large", "small"])
def test_the_store_holds_nothing_of_it(bench, result):
    """Neither a large result nor a failure is told of."""
    gate = Gate()
    bench.put("t", lambda: (gate(), result)[1])
    gate.wait_begun()
    bench.executor.abandon()
    gate.opened.set()
    bench.put("next", lambda: 1)
    bench.wait("next")
    assert bench.done.keys() == {"next"}
    assert len(bench.store) == 0


def spin() -> None:
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        pass


def interrupt(run: Any) -> None:
    """As the worker does it: again and again."""
    end = time.monotonic() + BOUND
    while run.interrupt():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_an_interrupted_task_ends_and_its_thread_goes_on(bench):
    """With whatever comes next."""
    for number in range(10):
        gate = threading.Event()
        bench.put(f"t{number}", lambda gate=gate: (gate.set(), spin()))
        assert gate.wait(BOUND)
        (run,) = bench.executor.abandon([f"t{number}"])
        interrupt(run)
        bench.put(f"next{number}", lambda: 1)
        assert bench.value(f"next{number}") == 1
    assert not bench.failed
    assert len(bench.executor._runners) == 1


def test_a_task_that_waits_for_a_place_can_be_interrupted(bench):
    """And the place is not lost by it."""
    left, other = Gate(), Gate()
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
    bench.put("other", other)
    other.wait_begun()
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


def test_starting_over_keeps_no_thread_waiting(bench, wait_until):
    """What still runs has its thread for itself, and is interrupted; the functions are gone."""
    gate = Gate()
    bench.put("runs", gate)
    gate.wait_begun()
    bench.put("waits", lambda: 1)
    bench.executor.start_over()
    assert len(bench.executor.functions) == 0
    bench.put("new", lambda: 2)
    assert bench.value("new") == 2
    gate.opened.set()
    wait_until(lambda: bench.executor.idle)
    bench.take()
    assert bench.done.keys() == {"new"}
    wait_until(lambda: len(bench.executor._runners) == 1)


# -- what tasks may be and return ------------------------------------------------------------------


def test_a_coroutine_is_run(bench):
    """In an event loop of its own; what it raises has its own frames."""

    async def double() -> int:
        await asyncio.sleep(0)
        return 2 * len(running.key or "")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("inside")

    bench.put("four", double)
    assert bench.value("four") == 8
    bench.put("fails", fail)
    with pytest.raises(ValueError, match="inside") as caught:
        bench.value("fails")
    text = str(caught.value.__cause__)
    assert "in fail" in text
    assert "asyncio" not in text


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


def nest(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def exhaust() -> None:
    raise MemoryError("no more")


@pytest.mark.parametrize(
    ("task", "kind", "words"),
    [
        (lambda: (x for x in "abc"), SerializationError, "return them as a list"),
        (lambda: nest(100_000), SerializationError, "nested too deeply"),
        (lambda: threading.Lock(), SerializationError, "lock"),
        (exhaust, MemoryError, "no more"),
        (lambda: exec("raise SystemExit(3)"), TaskError, "SystemExit: 3"),
        (lambda: exec("raise KeyboardInterrupt"), TaskError, "KeyboardInterrupt"),
        (lambda: exec("raise OSError('x') from BaseException()"), OSError, "x"),
    ],
)
def test_bad_tasks_fail_by_themselves(bench, task, kind, words):
    """In words, and nothing else suffers."""
    bench.put("bad", task)
    with pytest.raises(kind, match=words):
        bench.value("bad")
    bench.put("good", lambda: 1)
    assert bench.value("good") == 1


def test_an_unknown_function_is_a_failure_in_words(bench):
    """It cannot happen; should it, nothing hangs."""
    bench.executor.put(Item("t", b"f", dumps(()), None))
    with pytest.raises(TaskError, match="submit the task again"):
        bench.value("t")


def test_a_result_can_be_kept_here(bench):
    """However small, and only that one."""
    bench.put("stays", lambda: (bench.executor.keep_here(), 1)[1])
    bench.put("leaves", lambda: 1)
    bench.wait("stays", "leaves")
    assert bench.done["stays"] is None
    assert bench.store.get("stays") == 1
    assert bench.done["leaves"] is not None


def adopt(key: str) -> str:
    return f"future of {key}"


class Reference:
    """What a future is, seen from here."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return reduce_reference(self, adopt)


@pytest.mark.parametrize("padding", [0, 100_000], ids=["small", "large"])
def test_futures_inside_results_are_told_of(bench, padding):
    """All of them, each once, also if the result is too large to be sent along."""
    references = [Reference(f"r{number}") for number in range(1000)]
    few = references[:2]
    bench.put("t", lambda: (few[0], few, bytes(padding), references if padding else None))
    bench.wait("t")
    keys = [future.key for future in bench.mentions["t"]]
    assert sorted(keys) == sorted(future.key for future in (references if padding else few))
    assert bench.value("t")[1] == ["future of r0", "future of r1"]


def test_futures_that_a_task_pickles_for_itself_are_its_own_affair(bench):
    """Only those in its result count."""
    bench.put("t", lambda: len(dumps(Reference("r"))))
    bench.wait("t")
    assert bench.mentions == {}


# -- everything at once ----------------------------------------------------------------------------


class Storm:
    """Tasks of all kinds, and whatever may happen to them, in an order that a seed decides."""

    def __init__(self, bench: Bench, seed: int) -> None:
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
