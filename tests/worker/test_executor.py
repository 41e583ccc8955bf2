"""The threads that run tasks."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobqueue.errors import SerializationError, TaskError
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.references import resolve
from jobqueue.protocol.serialize import dumps, dumps_function, loads
from jobqueue.worker.executor import Executor
from jobqueue.worker.items import Inputs, Item
from jobqueue.worker.outcomes import Outcomes
from jobqueue.worker.store import Store

BOUND = 20.0  # seconds after which a test is broken


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


class Bench:
    """An executor, and its results by key."""

    def __init__(self, nthreads: int, data: Any) -> None:
        self.store = Store(data)
        self.done: dict[str, Any] = {}
        self.failed: dict[str, Failure] = {}
        self.gone: dict[str, str] = {}
        self.mentions: list[tuple[str, list[Any]]] = []
        self.wakes = 0
        self._woken = threading.Semaphore(0)
        self.executor = Executor(nthreads, self.store, where="w-0", wake=self._wake)
        self.executor.inline_limit = 4096

    def _wake(self) -> None:
        self.wakes += 1
        self._woken.release()

    def put(
        self, key: str, function: Callable[..., Any], *args: Any, inputs: Inputs | None = None
    ) -> None:
        fid, pickle = dumps_function(function)
        self.executor.functions.add(fid, function.__name__, pickle)
        self.executor.put(Item(key, fid, dumps(args), inputs))

    def take(self) -> None:
        done, failed, gone, mentions, _ = self.executor.take_results()
        self.done.update((key, fields) for key, *fields in done)
        self.failed.update((key, failure) for key, failure, _ in failed)
        self.gone.update(gone)
        self.mentions.extend(mentions)

    def wait(self, count: int) -> None:
        """Wait for as many results."""
        while len(self.done) + len(self.failed) + len(self.gone) < count:
            assert self._woken.acquire(timeout=BOUND), "no result has come"
            self.take()

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Run one task and give its result, small or large; or raise what it raised."""
        key = f"task-{len(self.done) + len(self.failed)}"
        self.put(key, function, *args, **options)
        self.wait(len(self.done) + len(self.failed) + 1)
        if key in self.failed:
            raise self.failed[key].to_exception()
        value, _, _ = self.done[key]
        return self.store.get(key) if value is None else loads(value)


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Make executors; their threads end with the test."""
    benches: list[Bench] = []

    def make(nthreads: int = 1, data: Any = None) -> Bench:
        benches.append(Bench(nthreads, {} if data is None else data))
        return benches[-1]

    yield make
    for bench in benches:
        bench.executor.close()
    for thread in threading.enumerate():
        if thread.name.startswith("jobqueue-task-"):
            thread.join(BOUND)
            assert not thread.is_alive()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """An executor with one thread."""
    return make_bench()


class Gate:
    """A task that runs until it is let go; found again by its number, since tasks are pickled."""

    gates: dict[int, Gate] = {}  # noqa: RUF012 - the registry

    def __init__(self) -> None:
        self.began, self.opened = threading.Event(), threading.Event()
        self.number = len(Gate.gates)
        Gate.gates[self.number] = self

    def wait_begun(self) -> None:
        assert self.began.wait(BOUND)


def pass_through(number: int) -> None:
    gate = Gate.gates[number]
    gate.began.set()
    assert gate.opened.wait(BOUND)


# -- running ---------------------------------------------------------------------------------------


def test_results_come_back(bench):
    """With their size and how long the task took."""
    assert bench.run(divmod, 17, 5) == (3, 2)
    _, size, seconds = bench.done["task-0"]
    assert size == len(dumps((3, 2)))
    assert 0 <= seconds < BOUND


def test_keywords(bench):
    """A list of a tuple and a dict stands for a call with keywords."""
    fid, pickle = dumps_function(sorted)
    bench.executor.functions.add(fid, "sorted", pickle)
    bench.executor.put(Item("k", fid, dumps([([3, 1, 2],), {"reverse": True}]), None))
    bench.wait(1)
    assert loads(bench.done["k"][0]) == [3, 2, 1]


def test_one_thread_runs_tasks_in_order(bench):
    """As they were put."""
    order: list[int] = []
    Gate.order = order  # type: ignore[attr-defined]

    def note(number: int) -> None:
        from_registry = sys.modules[Gate.__module__].Gate
        from_registry.order.append(number)

    for number in range(50):
        bench.put(f"t{number}", note, number)
    bench.wait(50)
    assert order == list(range(50))


def test_threads_run_at_the_same_time(make_bench):
    """As many as there are."""
    bench = make_bench(nthreads=2)
    one, two = Gate(), Gate()
    bench.put("one", pass_through, one.number)
    bench.put("two", pass_through, two.number)
    one.wait_begun()
    two.wait_begun()
    two.opened.set()
    bench.wait(1)
    assert list(bench.done) == ["two"]
    one.opened.set()
    bench.wait(2)


def test_what_has_not_begun_can_be_taken_back(bench):
    """What runs cannot; what was taken back may come again."""
    gate = Gate()
    bench.put("runs", pass_through, gate.number)
    gate.wait_begun()
    bench.put("waits", divmod, 7, 2)
    bench.put("again", divmod, 7, 2)
    assert not bench.executor.idle
    assert bench.executor.withdraw("waits")
    assert not bench.executor.withdraw("waits")
    assert not bench.executor.withdraw("runs")
    assert bench.executor.withdraw("again")
    bench.put("again", divmod, 9, 2)
    gate.opened.set()
    bench.wait(2)
    assert set(bench.done) == {"runs", "again"}
    assert loads(bench.done["again"][0]) == (4, 1)
    assert bench.executor.idle


def test_everything_can_be_forgotten(bench, wait_until):
    """When the scheduler is lost nothing more begins, and nothing comes of what runs."""
    gate = Gate()
    bench.put("runs", pass_through, gate.number)
    gate.wait_begun()
    for number in range(5):
        bench.put(f"t{number}", divmod, 7, 2)
    bench.executor.start_over()
    assert bench.run(divmod, 1, 1) == (1, 0), "although a thread is not free yet"
    gate.opened.set()
    wait_until(lambda: bench.executor.idle)
    bench.take()
    assert set(bench.done) == {"task-0"}
    assert not bench.failed


def test_nobody_is_woken_twice_for_what_waits(bench):
    """One wake for all that has come before it was looked at."""
    gate = Gate()
    bench.put("gate", pass_through, gate.number)
    gate.opened.set()
    for number in range(100):
        bench.put(f"t{number}", divmod, 7, 2)
    last = Gate()
    bench.put("last", pass_through, last.number)
    last.wait_begun()
    assert bench.wakes == 1
    last.opened.set()
    bench.wait(102)


# -- results ---------------------------------------------------------------------------------------


def test_results_over_the_limit_stay(bench):
    """In the store, as they are, with an estimate of their size."""
    bench.executor.inline_limit = 100
    result = bench.run(bytes, 5000)
    assert result == bytes(5000)
    value, size, _ = bench.done["task-0"]
    assert value is None
    assert size >= 5000
    assert "task-0" in bench.store


def test_without_a_limit_even_nothing_stays(bench):
    """A scheduler that holds too much wants nothing more."""
    bench.executor.inline_limit = 0
    assert bench.run(print) is None
    assert "task-0" in bench.store


def test_a_result_that_cannot_be_sent_fails_its_task(bench):
    """In words, with what it was; a generator is the usual one."""

    def generate() -> Iterator[int]:
        yield 1

    with pytest.raises(SerializationError, match=r"task-0.*cannot be sent.*generat"):
        bench.run(generate)
    with pytest.raises(SerializationError, match="lock"):
        bench.run(threading.Lock)
    assert bench.run(divmod, 7, 2) == (3, 1), "the thread lives on"


class Full(dict[str, Any]):
    """A user's mapping on a disk that is full."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise OSError(28, "No space left on device")


def test_a_store_that_fails_fails_the_task(make_bench):
    """With the mapping's own exception; the thread lives on."""
    bench = make_bench(data=Full())
    bench.executor.inline_limit = 0
    with pytest.raises(OSError, match="No space left"):
        bench.run(divmod, 7, 2)
    bench.executor.inline_limit = 4096
    assert bench.run(divmod, 7, 2) == (3, 1)


class Bad:
    """Its size cannot be asked for."""

    @property
    def nbytes(self) -> int:
        raise RuntimeError("not now")


def test_a_result_whose_own_code_fails_fails_the_task(bench):
    """And not the thread."""
    with pytest.raises(RuntimeError, match="not now"):
        bench.run(Bad)
    assert bench.run(divmod, 7, 2) == (3, 1)


# -- inputs ----------------------------------------------------------------------------------------


def test_inputs_stand_in_their_places(bench):
    """Those of the store, and those that came along."""
    bench.store.put("large", [1, 2, 3])
    inputs = Inputs(("large",), (("small", dumps(10)),))
    assert bench.run(divmod, Input("small"), 3, inputs=inputs) == (3, 1)
    assert bench.run(len, Input("large"), inputs=inputs) == 3


def test_an_input_that_is_gone_hands_the_task_back(bench):
    """It has not failed: it may be run elsewhere."""
    bench.put("t", len, Input("freed"), inputs=Inputs(("freed",), ()))
    bench.wait(1)
    assert bench.gone == {"t": "freed"}


def test_an_input_that_cannot_be_read_fails_the_task(bench):
    """A module that is missing here, for instance."""
    bench.store.put_serialized("a", b"garbage")
    with pytest.raises(SerializationError, match="could not be read here"):
        bench.run(len, Input("a"), inputs=Inputs(("a",), ()))


def test_a_function_that_cannot_be_read_fails_each_of_its_tasks(bench):
    """With its name, which the user knows."""
    bench.executor.functions.add(b"f", "my_function", b"\x80\x04\x8c\x09not_there\x8c\x01f\x93.")
    for number in range(2):
        bench.executor.put(Item(f"t{number}", b"f", dumps(()), None))
    bench.wait(2)
    for failure in bench.failed.values():
        assert "function 'my_function'" in failure.summary
        assert "not_there" in failure.summary


# -- failures --------------------------------------------------------------------------------------


def test_an_exception_arrives_with_the_tasks_own_frames(bench):
    """And not with ours above it, which are of no use to its author."""

    def outer() -> None:
        inner()

    def inner() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        bench.run(outer)
    text = str(caught.value.__cause__)
    assert "Traceback on worker w-0:" in text
    assert "in outer" in text
    assert "in inner" in text
    assert "worker/executor.py" not in text


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit("x")], ids=repr
)
def test_what_would_end_a_program_ends_the_task_only(bench, error):
    """sys.exit() in a task must end neither the worker nor the client."""

    def leave() -> None:
        raise error

    with pytest.raises(TaskError, match=f"the task raised {type(error).__name__}"):
        bench.run(leave)
    assert bench.run(divmod, 7, 2) == (3, 1)


def test_endless_recursion_fails_the_task(bench):
    """And nothing else."""

    def endless(depth: int) -> int:
        return endless(depth + 1) + 1

    with pytest.raises(RecursionError):
        bench.run(endless, 0)
    assert bench.run(divmod, 7, 2) == (3, 1)


def test_a_profile_function_that_a_task_leaves_behind(bench):
    """What it raises comes out of the task's own return; its thread is rid of it."""

    def profile(*event: Any) -> None:
        raise ValueError("from the profile function")

    def leave() -> None:
        sys.setprofile(profile)

    with pytest.raises(ValueError, match="from the profile function"):
        bench.run(leave)
    assert bench.run(abs, -1) == 1


class Short(Outcomes):
    """Runs out of memory when a failure is to be noted."""

    def raised(self, *fields: Any) -> None:
        raise MemoryError


def test_trouble_outside_of_a_task_ends_no_thread(bench):
    """The task fails in words for which nothing is needed; its thread goes on."""
    bench.executor._outcomes = Short()
    with pytest.raises(TaskError, match=r"came upon MemoryError outside of it: .* memory short\?"):
        bench.run(int, "no number")
    assert bench.run(abs, -1) == 1


class Unspeakable(Exception):
    """Not even its message can be had."""

    def __str__(self) -> str:
        raise SystemExit

    __reduce__ = __str__  # type: ignore[assignment]


def test_an_exception_of_which_nothing_can_be_said_fails_the_task(bench):
    """At least it is said which one it was."""

    def fail() -> None:
        raise Unspeakable

    with pytest.raises(TaskError, match="the task raised Unspeakable, of which SystemExit came"):
        bench.run(fail)


def test_the_child_of_a_fork_gives_no_result(bench):
    """It ends where the task does, whether that returns there or raises."""

    def fork(how: str) -> tuple[str, int]:
        child = os.fork()
        if child:
            return "parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if how == "raises":
            raise ValueError("child")
        return "child", 0

    assert bench.run(fork, "returns") == ("parent", 1)
    assert bench.run(fork, "raises") == ("parent", 1)
    assert bench.run(abs, -1) == 1


def test_a_wrong_call_is_the_callers_error(bench):
    """As it would be at home."""
    with pytest.raises(TypeError, match="divmod"):
        bench.run(divmod, 1)


def test_tasks_may_log(bench, caplog):
    """Threads are ordinary threads."""

    def speak() -> None:
        logging.getLogger("user").warning("spoken")

    with caplog.at_level(logging.WARNING):
        bench.run(speak)
    assert "spoken" in caplog.text


class Connection:
    """A connection that takes what it is told at once, or refuses to."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.told: list[Any] = []
        self.refused = 0

    @property
    def comm(self) -> Any:
        """It is the link as well: what a scheduler is reached by."""
        return self

    def send_now(self, messages: Any) -> bool:
        if self.takes:
            self.told.extend(messages)
        else:
            self.refused += 1
        return self.takes


@pytest.mark.parametrize("takes", [True, False])
def test_the_last_result_leaves_without_waking_the_loop(takes: bool) -> None:
    """Whoever waits for a single task does not wait for the worker's event loop as well."""
    connection, woken, begun = Connection(takes=takes), threading.Semaphore(0), threading.Event()
    link: Any = connection
    executor = Executor(1, Store({}), where="w-0", wake=woken.release, link=link)
    executor.inline_limit = 4096
    fid, pickle = dumps_function(int)
    executor.functions.add(fid, "int", pickle)
    try:
        executor.put(Item("a", fid, dumps(("1",)), None))
        if not takes:
            assert woken.acquire(timeout=BOUND)
            assert [key for key, *_ in executor.take_results().done] == ["a"]
            assert connection.refused == 1
            return
        while not executor.idle:
            begun.wait(0.001)
        ((operation, ((key, value, _size, _seconds),)),) = connection.told
        assert (operation, key, loads(value)) == ("done", "a", 1)
        assert not woken.acquire(blocking=False)
        assert executor.take_results().done == []
    finally:
        executor.close()
