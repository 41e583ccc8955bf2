"""A worker in this process, against a scheduler that says what the test says."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload
from jobqueue.protocol.references import resolve
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker import worker as module
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.worker import Worker

BOUND = 20.0  # seconds after which a test is broken


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


gates: dict[str, tuple[threading.Event, threading.Event]] = {}


def gated(name: str) -> str:
    """A task that runs until it is let go."""
    began, opened = gates[name]
    began.set()
    assert opened.wait(BOUND)
    return name


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> tuple[str, threading.Event, threading.Event]:
    """A name for `gated`, and its two events."""
    began, opened = gates[request.node.name] = threading.Event(), threading.Event()
    return request.node.name, began, opened


async def soon(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, BOUND)


@asynccontextmanager
async def working(address: str, **options: Any) -> AsyncIterator[asyncio.Task[ExitCode]]:
    """A worker that runs until it has been told to end."""
    fields: dict[str, Any] = {"addresses": (address,), "name": "w-0", "death_timeout": BOUND}
    worker = Worker(WorkerOptions(**{**fields, **options}))
    running = asyncio.create_task(worker.run())
    running.worker = worker  # type: ignore[attr-defined]
    try:
        yield running
    finally:
        worker._end("the test ends")
        await asyncio.wait_for(running, BOUND)


def run(coroutine: Any) -> None:
    """Run a test; nothing may reach the event loop's exception handler."""
    errors: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        async with asyncio.timeout(2 * BOUND):
            await coroutine

    asyncio.run(watched())
    assert errors == []


Make = Callable[..., Any]


# -- tasks -----------------------------------------------------------------------------------------


def test_a_worker_says_what_it_is_and_runs_tasks(fake_scheduler: Make):
    """Small results come along, large ones stay until they are asked for."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address, nthreads=2):
            worker = await scheduler.worker()
            assert (worker.facts.name, worker.facts.nthreads) == ("w-0", 2)
            assert worker.facts.pid == os.getpid()
            assert worker.facts.addresses[0].startswith("unix://")
            worker.run("small", divmod, 17, 5)
            assert loads((await worker.done())["small"]) == (3, 2)
            worker.run("large", bytes, 100_000)
            assert await worker.done() == {"large": None}
            worker.say(m.SEND, 7, "large")
            _, number, value = await worker.hears(m.DATA)
            assert (number, loads(value)) == (7, bytes(100_000))

    run(main())


def test_the_scheduler_decides_what_rides_along(fake_scheduler: Make):
    """By the limit it says, at any time."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say(m.INLINE_LIMIT, 0)
            worker.run("a", divmod, 17, 5)
            assert await worker.done() == {"a": None}

    run(main())


def test_failures_are_told(fake_scheduler: Make):
    """With the worker's name in their traceback."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("bad", divmod, 1, 0)
            _, ((key, failure, seconds),) = await worker.hears(m.FAILED)
            assert key == "bad"
            assert 0 <= seconds < BOUND
            error = Failure(*failure).to_exception()
            assert isinstance(error, ZeroDivisionError)
            assert "on worker w-0" in str(error.__cause__)

    run(main())


def test_tasks_are_handed_back_or_cancelled_before_they_begin(fake_scheduler: Make, gate: Any):
    """The one that runs stays."""
    name, began, opened = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("runs", gated, name)
            await soon(began)
            for key in ("one", "two", "three"):
                worker.run(key, divmod, 7, 2)
            worker.say(m.CANCEL, False, ["runs", "one"])
            worker.say(m.RECALL, ["runs", "one", "two", "unheard-of"])
            assert await worker.hears(m.RETURNED) == (m.RETURNED, ["two"])
            opened.set()
            results = await worker.done()
            while "three" not in results:
                results |= await worker.done()
            assert set(results) == {"three"}, "what ran was cancelled, and nothing comes of it"

    run(main())


# -- results ---------------------------------------------------------------------------------------


def test_results_are_sent_kept_and_freed(fake_scheduler: Make):
    """As the scheduler says; what is not here, or cannot be sent, is said to be so."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1)), ("b", dumps(2))])
            assert await worker.hears(m.COPIED) == (m.COPIED, ["a"], [])
            assert await worker.hears(m.COPIED) == (m.COPIED, ["b"], [])
            worker.say(m.FREE, ["a", "unheard-of"])
            worker.say(m.SEND, 1, "a")
            assert await worker.hears(m.NO_DATA) == (m.NO_DATA, 1, None)
            worker.run("task", divmod, Input("b"), 2, inputs=[("b", None, ())])
            assert loads((await worker.done())["task"]) == (1, 0)
            worker.say(m.INLINE_LIMIT, 0)
            worker.run("thread", threading.current_thread)
            _, ((key, failure, _),) = await worker.hears(m.FAILED)
            assert key == "thread"
            assert "cannot be sent" in failure[1]

    run(main())


def test_an_input_comes_straight_from_another_worker(fake_scheduler: Make):
    """Once, for all tasks that need it."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, name="w-0", slot=0),
            working(scheduler.address, name="w-1", slot=1),
        ):
            holder, other = await scheduler.worker(), await scheduler.worker()
            holder.run("data", bytes, 100_000)
            await holder.done()
            inputs = [("data", None, [list(holder.facts.addresses)])]
            results: dict[str, Any] = {}
            for key in ("t1", "t2", "t3"):
                other.run(key, len, Input("data"), inputs=inputs)
            assert await other.hears(m.COPIED) == (m.COPIED, ["data"], [])
            while len(results) < 3:
                results |= await other.done()
            assert {loads(value) for value in results.values()} == {100_000}
            assert not [message for message in other.heard if message[0] == m.COPIED]
            other.say(m.COPY, [("data", [list(holder.facts.addresses)])])
            assert await other.hears(m.COPIED) == (m.COPIED, ["data"], [])

    run(main())


def test_an_input_out_of_reach_is_asked_for(fake_scheduler: Make):
    """The scheduler passes it on, or says that it is not to be had: now, or ever."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            nowhere = [["unix:///nonexistent/w"]]
            for key in "abc":
                worker.run(f"t-{key}", len, Input(key), inputs=[(key, None, nowhere)])
            asked = {(await worker.hears(m.RELAY))[1] for _ in "abc"}
            assert asked == set("abc")
            large = dumps(bytes(100_000))
            assert isinstance(large, Payload)
            worker.say(m.RELAYED, "a", large, None)
            assert loads((await worker.done())["t-a"]) == 100_000
            worker.say(m.RELAYED, "b", None, None)
            assert await worker.hears(m.INPUT_GONE) == (m.INPUT_GONE, "t-b", "b")
            worker.say(m.RELAYED, "c", None, (b"", "it cannot be pickled", ""))
            _, ((key, failure, _),) = await worker.hears(m.FAILED)
            assert (key, failure[1]) == ("t-c", "it cannot be pickled")
            worker.say(m.RELAYED, "never asked for", b"", None)

    run(main())


# -- the scheduler ---------------------------------------------------------------------------------


def test_told_to_end_it_ends(fake_scheduler: Make, caplog: Any):
    """And its last line says why."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            worker.say(m.END, "retired")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END
            await worker.ends()

    with caplog.at_level(logging.INFO, "jobqueue.worker"):
        run(main())
    assert caplog.messages[-1] == "worker ends name=w-0 cause=retired"


def test_without_a_scheduler_it_ends(folder, caplog, monkeypatch):
    """After the death timeout; one line says that none was reached, and what was tried."""
    monkeypatch.setattr(module, "RETRY", 0.01)

    async def main() -> None:
        async with working(f"unix://{folder}/nobody", death_timeout=0.1) as running:
            assert await asyncio.wait_for(running, BOUND) == ExitCode.NO_SCHEDULER

    run(main())
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    text = line.getMessage()
    assert "worker ends name=w-0 cause=no scheduler for 0.1 s; it was never reached" in text
    assert f"{folder}/nobody: no such socket" in text


def test_a_scheduler_that_comes_back_finds_it_again(
    fake_scheduler: Make, gate: Any, monkeypatch: pytest.MonkeyPatch
):
    """With nothing of what was here before: what it ran is forgotten, what it held is dropped."""
    monkeypatch.setattr(module, "RETRY", 0.01)
    name, began, opened = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            worker.run("runs", gated, name)
            worker.run("waits", divmod, 7, 2)
            await soon(began)
            await scheduler.stop()
            await scheduler.start()
            worker = await scheduler.worker()
            assert worker.facts.name == "w-0"
            worker.say(m.SEND, 1, "a")
            assert await worker.hears(m.NO_DATA) == (m.NO_DATA, 1, None)
            opened.set()
            worker.run("new", divmod, 9, 2)
            results = await worker.done()
            while "new" not in results:
                results |= await worker.done()
            assert "waits" not in results
            assert not running.done()

    run(main())


def test_a_scheduler_that_stays_away_is_not_waited_for(
    fake_scheduler: Make, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    """Not longer than the death timeout, counted from when it went."""
    monkeypatch.setattr(module, "RETRY", 0.01)

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, death_timeout=0.1) as running,
        ):
            await scheduler.worker()
            await scheduler.stop()
            assert await asyncio.wait_for(running, BOUND) == ExitCode.NO_SCHEDULER

    run(main())
    assert "no scheduler for 0.1 s; the connection ended" in caplog.messages[-1]


def test_refused_it_ends_at_once(fake_scheduler: Make, caplog: Any):
    """Trying again would not help; the scheduler's words stand in the log."""

    async def main() -> None:
        refuse = lambda hello: "this cluster wants Python 4"  # noqa: E731
        async with fake_scheduler(admit=refuse) as scheduler, working(scheduler.address) as running:
            assert await asyncio.wait_for(running, BOUND) == ExitCode.REFUSED

    run(main())
    assert "worker ends name=w-0 cause=refused" in caplog.messages[-1]
    assert "this cluster wants Python 4" in caplog.messages[-1]


def test_garbage_ends_the_connection_and_not_the_worker(
    fake_scheduler: Make, monkeypatch: pytest.MonkeyPatch
):
    """It connects anew, as after any loss."""
    monkeypatch.setattr(module, "RETRY", 0.01)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say("unheard-of", 1, 2, 3)
            await worker.ends()
            worker = await scheduler.worker()
            worker.run("a", divmod, 7, 2)
            assert loads((await worker.done())["a"]) == (3, 1)

    run(main())


def test_it_shows_that_it_lives(fake_scheduler: Make, monkeypatch: pytest.MonkeyPatch):
    """From time to time, also with nothing to do."""
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            for _ in range(2):
                _, numbers = await worker.hears(m.HEARTBEAT)
            assert numbers["results"] == 1
            worker.say(m.HEARTBEAT, {})

    run(main())


def test_asked_to_leave_it_says_so_and_waits_for_the_scheduler(fake_scheduler: Make):
    """Which takes over what is only here, and then ends it."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM")
            assert await worker.hears(m.LEAVING) == (m.LEAVING, "SIGTERM")
            assert not running.done()
            worker.say(m.END, "retired")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END

    run(main())


def test_leaving_has_an_end(fake_scheduler: Make, monkeypatch: pytest.MonkeyPatch, caplog: Any):
    """A batch system kills soon; without a scheduler there is nothing to wait for at all."""
    monkeypatch.setattr(module, "DRAIN", 0.05)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM")
            await worker.hears(m.LEAVING)
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END
        async with working(f"{scheduler.address}-nobody") as running:
            running.worker.drain("SIGTERM")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END

    with caplog.at_level(logging.INFO, "jobqueue.worker"):
        run(main())
    assert "cause=SIGTERM; not drained within 0.05 s" in caplog.text
    assert caplog.messages[-1] == "worker ends name=w-0 cause=SIGTERM"


def test_results_may_be_kept_in_a_mapping_of_the_users(fake_scheduler: Make):
    """A folder, a database, ..."""
    data: dict[str, Any] = {}

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            options = WorkerOptions((scheduler.address,), "w-0", death_timeout=BOUND)
            running = asyncio.create_task(Worker(options, data=data).run())
            worker = await scheduler.worker()
            worker.run("large", bytes, 100_000)
            await worker.done()
            assert data == {"large": bytes(100_000)}
            worker.say(m.END, "done")
            await asyncio.wait_for(running, BOUND)

    run(main())
