"""Calls of functions and of actors' methods, beside the tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.errors import DataLost, SerializationError, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.running import running
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.calls import Calls

BOUND = 20.0  # seconds after which a test is broken


class FakeHost:
    name = "w-0"


class FakeLink:
    """Notes down what is said."""

    def __init__(self) -> None:
        self.answers: dict[int, asyncio.Future[Any]] = {}
        self.loop = asyncio.get_running_loop()

    def say(self, message: Any) -> None:
        operation, number, value, failure = message
        assert operation == m.CALLED
        self.answers[number].set_result((value, failure))

    def in_loop(self, function: Callable[..., object], *arguments: Any) -> None:
        self.loop.call_soon_threadsafe(function, *arguments)


class Bench:
    """Calls, and their answers."""

    def __init__(self) -> None:
        self.host, self.link = FakeHost(), FakeLink()
        self.calls = Calls(self.host, self.link)  # type: ignore[arg-type]

    def begin(self, function: Any, *args: Any, actor: str | None = None, **kwargs: Any) -> Any:
        number = len(self.link.answers)
        answer = self.link.answers[number] = asyncio.get_running_loop().create_future()
        self.calls.call(number, dumps((function, args, kwargs)), actor)
        return answer

    async def call(self, function: Any, *args: Any, **options: Any) -> Any:
        return open_answer(*await self.begin(function, *args, **options))


def open_answer(value: Any, failure: Failure | None) -> Any:
    if failure is not None:
        raise failure.to_exception()
    return loads(value)


def scene(test: Callable[[Bench], Any]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def wrapped() -> None:
        async def main() -> None:
            bench = Bench()
            async with asyncio.timeout(BOUND):
                await test(bench)
            bench.calls.clear()

        asyncio.run(main())

    wrapped.__doc__ = test.__doc__
    wrapped.__name__ = test.__name__
    return wrapped


# -- functions -------------------------------------------------------------------------------------


@scene
async def test_a_function_runs_in_a_thread_of_its_own(bench):
    """Positional and keyword arguments reach it, its value comes back."""
    assert await bench.call(divmod, 7, 2) == (3, 1)
    assert await bench.call(sorted, [1, 3], reverse=True) == [3, 1]
    assert await bench.call(threading.get_ident) != threading.get_ident()
    assert bench.calls.idle


def whose(worker: Any) -> str:
    return f"{worker.name}, {running.host.name}, {running.key}"


def whose_too(number: int, *, dask_worker: Any) -> str:
    return f"{dask_worker.name} {number}"


@scene
async def test_a_function_may_ask_for_the_worker(bench):
    """By a parameter's name; it finds it as tasks do, too, but is none."""
    assert await bench.call(whose) == "w-0, w-0, None"
    assert await bench.call(whose_too, 7) == "w-0 7"
    with pytest.raises(AttributeError, match="'str'"):
        await bench.call(whose, "given")


async def wait_for(number: int) -> tuple[int, int]:
    await asyncio.sleep(0)
    return number, threading.get_ident()


@scene
async def test_a_coroutine_runs_in_the_workers_event_loop(bench):
    """Where the worker's own things live."""
    assert await bench.call(wait_for, 7) == (7, threading.get_ident())


def fail() -> None:
    raise ValueError("no")


def leave() -> None:
    raise SystemExit(3)


@scene
async def test_what_fails_is_answered_too(bench):
    """Whatever it is: an exception, the end of a program, a value that cannot travel, garbage."""
    with pytest.raises(ValueError, match="no") as caught:
        await bench.call(fail)
    assert "on worker w-0" in str(caught.value.__cause__)
    with pytest.raises(TaskError, match="SystemExit: 3"):
        await bench.call(leave)
    with pytest.raises(SerializationError, match="lock"):
        await bench.call(threading.Lock)
    with pytest.raises(TypeError):
        await bench.call(divmod, 1)
    bench.link.answers[99] = asyncio.get_running_loop().create_future()
    bench.calls.call(99, b"garbage", None)
    with pytest.raises(SerializationError, match="could not be read here"):
        open_answer(*await bench.link.answers[99])


# -- actors ----------------------------------------------------------------------------------------


class Counter:
    """An actor."""

    def __init__(self) -> None:
        self.n = 0
        self.keys: set[Any] = set()
        self.began, self.opened = threading.Event(), threading.Event()

    def add(self, amount: int = 1) -> int:
        n = self.n
        self.keys.add((running.key, threading.get_ident()))
        self.n = n + amount
        return self.n

    async def later(self) -> int:
        await asyncio.sleep(0)
        return self.add()

    def block(self) -> str:
        self.began.set()
        assert self.opened.wait(BOUND)
        return "opened"


@scene
async def test_an_actors_methods_run_one_after_the_other(bench):
    """In the order in which they were called, in one thread, under the actor's key."""
    counter = Counter()
    bench.calls.keep_actor("c", counter)
    answers = [bench.begin("add", actor="c") for _ in range(100)]
    assert [open_answer(*await answer) for answer in answers] == list(range(1, 101))
    assert await bench.call("add", 10, actor="c") == 110
    assert await bench.call("later", actor="c") == 111
    assert {key for key, _ in counter.keys} >= {"c"}
    assert len({thread for key, thread in counter.keys if key == "c"}) == 1


@scene
async def test_an_actors_attributes_are_read(bench):
    """And what is none is said as at home."""
    bench.calls.keep_actor("c", Counter())
    assert await bench.call("n", actor="c") == 0
    with pytest.raises(AttributeError, match="nothing_like_it"):
        await bench.call("nothing_like_it", actor="c")
    with pytest.raises(TypeError, match="not callable"):
        await bench.call("n", 1, actor="c")


@scene
async def test_an_actor_that_blocks_keeps_nobody_else(bench):
    """Other actors and functions go on."""
    counter = Counter()
    bench.calls.keep_actor("blocks", counter)
    bench.calls.keep_actor("other", Counter())
    blocked = bench.begin("block", actor="blocks")
    await asyncio.to_thread(counter.began.wait, BOUND)
    assert await bench.call("add", actor="other") == 1
    assert await bench.call(divmod, 7, 2) == (3, 1)
    assert not bench.calls.idle
    counter.opened.set()
    assert open_answer(*await blocked) == "opened"


@scene
async def test_an_actor_that_is_gone_says_so(bench):
    """Also to those whose calls have waited for it; what runs comes to its end."""
    counter = Counter()
    bench.calls.keep_actor("c", counter)
    runs, waits = bench.begin("block", actor="c"), bench.begin("add", actor="c")
    await asyncio.to_thread(counter.began.wait, BOUND)
    bench.calls.drop_actor("c")
    bench.calls.drop_actor("never heard of")
    counter.opened.set()
    assert open_answer(*await runs) == "opened"
    with pytest.raises(DataLost, match="actor 'c' is not on worker 'w-0' any more"):
        open_answer(*await waits)
    with pytest.raises(DataLost, match="create it again"):
        await bench.call("add", actor="c")


@scene
async def test_after_a_new_start_nobody_is_answered(bench):
    """The next scheduler has not asked."""
    counter = Counter()
    bench.calls.keep_actor("c", counter)
    answer = bench.begin("block", actor="c")
    await asyncio.to_thread(counter.began.wait, BOUND)
    bench.calls.clear()
    assert bench.calls.idle
    counter.opened.set()
    with pytest.raises(DataLost):
        await bench.call("add", actor="c")
    assert not answer.done()
