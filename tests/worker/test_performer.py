"""What a thread does with one task: arguments, call, result or failure."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue.errors import SerializationError, TaskError
from jobqueue.protocol.references import reduce_reference, resolve
from jobqueue.protocol.running import running
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.items import Inputs, Item

BOUND = 20.0  # seconds after which a test is broken


# -- arguments -------------------------------------------------------------------------------------


def test_keywords(bench):
    """A list of a tuple and a dict stands for a call with keywords."""
    bench.executor.functions.loaded[b"f"] = sorted
    bench.executor.put(Item("k", b"f", dumps([([3, 1, 2],), {"reverse": True}]), None))
    assert bench.value("k") == [3, 2, 1]


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


def test_inputs_stand_in_their_places(bench):
    """Those of the store, and those that came along."""
    bench.store.put("large", [1, 2, 3])
    inputs = Inputs(("large",), (("small", dumps(10)),))
    assert bench.run(divmod, Input("small"), 3, inputs=inputs) == (3, 1)
    assert bench.run(len, Input("large"), inputs=inputs) == 3


def test_an_input_that_is_gone_hands_the_task_back(bench):
    """It has not failed: it may be run elsewhere."""
    bench.put("t", len, Input("freed"), inputs=Inputs(("freed",), ()))
    bench.wait("t")
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
    bench.wait("t0", "t1")
    for failure in bench.failed.values():
        assert "function 'my_function'" in failure.summary
        assert "not_there" in failure.summary


def test_an_unknown_function_is_a_failure_in_words(bench):
    """It cannot happen; should it, nothing hangs."""
    bench.executor.put(Item("t", b"f", dumps(()), None))
    with pytest.raises(TaskError, match="submit the task again"):
        bench.value("t")


# -- results ---------------------------------------------------------------------------------------


def test_results_come_back(bench):
    """With their size and how long the task took."""
    assert bench.run(divmod, 17, 5) == (3, 2)
    assert bench.sizes["task-0"] == len(dumps((3, 2)))
    assert 0 <= bench.seconds["task-0"] < BOUND


def test_results_over_the_limit_stay(bench):
    """In the store, as they are, with an estimate of their size."""
    bench.executor.set_inline_limit(100)
    result = bench.run(bytes, 5000)
    assert result == bytes(5000)
    assert bench.done["task-0"] is None
    assert bench.sizes["task-0"] >= 5000
    assert "task-0" in bench.store


def test_without_a_limit_even_nothing_stays(bench):
    """A scheduler that holds too much wants nothing more."""
    bench.executor.set_inline_limit(0)
    assert bench.run(print) is None
    assert "task-0" in bench.store


def test_a_result_can_be_kept_here(bench):
    """However small, and only that one."""
    bench.put("stays", lambda: (bench.executor.keep_here(), 1)[1])
    bench.put("leaves", lambda: 1)
    bench.wait("stays", "leaves")
    assert bench.done["stays"] is None
    assert bench.store.get("stays") == 1
    assert bench.done["leaves"] is not None


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
    bench.executor.set_inline_limit(0)
    with pytest.raises(OSError, match="No space left"):
        bench.run(divmod, 7, 2)
    bench.executor.set_inline_limit(4096)
    assert bench.run(divmod, 7, 2) == (3, 1)


class Bad:
    """What it holds cannot be asked for."""

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        raise RuntimeError("not now")


def test_a_result_whose_own_code_fails_fails_the_task(bench):
    """And not the thread."""
    with pytest.raises(SerializationError, match="not now"):
        bench.run(Bad)
    assert bench.run(divmod, 7, 2) == (3, 1)


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
def test_the_last_result_leaves_without_waking_the_loop(make_bench, wait_until, takes):
    """Whoever waits for a single task does not wait for the worker's event loop as well."""
    connection = Connection(takes=takes)
    bench = make_bench(link=connection)
    bench.put("a", int, "1")
    if not takes:
        assert bench.value("a") == 1
        assert connection.refused == 1
        return
    wait_until(lambda: bench.executor.idle)
    ((operation, ((key, value, _size, _seconds),)),) = connection.told
    assert (operation, key, loads(value)) == ("done", "a", 1)
    assert bench.wakes == 0
    bench.take()
    assert bench.done == {}


# -- futures in results ----------------------------------------------------------------------------


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


# -- failures --------------------------------------------------------------------------------------


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
    assert "worker/performer.py" not in text


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
