"""A worker in this process, against a scheduler that says what the test says."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from jobqueue.errors import DataLost
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload
from jobqueue.protocol.references import reduce_reference, resolve
from jobqueue.protocol.running import host
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker import interrupts
from jobqueue.worker import search as module
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
    shares_process = options.pop("shares_process", False)
    worker = Worker(WorkerOptions(**{**fields, **options}), shares_process=shares_process)
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
            assert await worker.hears(m.LINGERING) == (m.LINGERING, ["runs"])
            assert await worker.hears(m.RETURNED) == (m.RETURNED, ["two"])
            opened.set()
            heard = [await worker.hears(m.LINGERING, m.DONE) for _ in range(2)]  # in any order
            assert (m.LINGERING, []) in heard
            (done,) = (results for operation, results in heard if operation == m.DONE)
            assert [key for key, *_ in done] == ["three"], "nothing comes of what was cancelled"

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
            assert results.keys() == {"new"}, "the scheduler that came back has asked for no other"
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


def test_it_shows_that_it_lives(fake_scheduler: Make):
    """As often as the scheduler wants it, also with nothing to do."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            worker.say(m.BEAT, 0.01)
            for _ in range(2):
                _, numbers = await worker.hears(m.HEARTBEAT)
            assert numbers["results"] == 1
            worker.say(m.HEARTBEAT, {})

    run(main())


def test_asked_to_drain_it_says_so_and_waits_for_the_scheduler(fake_scheduler: Make):
    """Which takes over what is only here, and then ends it; meanwhile it works on."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM", BOUND)
            assert await worker.hears(m.DRAIN) == (m.DRAIN, "SIGTERM", BOUND, {})
            worker.run("a", divmod, 7, 2)
            assert loads((await worker.done())["a"]) == (3, 1)
            running.worker.drain("later", 2 * BOUND)
            worker.run("b", time.sleep, 0.5)
            async with asyncio.timeout(BOUND):
                while not running.worker._duties.executor.ran():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            running.worker.drain("sooner", BOUND / 2)
            *told, ran = await worker.hears(m.DRAIN)
            assert told == [m.DRAIN, "sooner", BOUND / 2]
            assert 0 <= ran.pop("b") < BOUND and not ran  # noqa: PT018
            await worker.done()
            assert not running.done()
            worker.say(m.END, "retired")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END

    run(main())


def test_draining_without_a_scheduler_has_no_point(fake_scheduler: Make):
    """It ends at once: what it had belonged to the scheduler that is gone."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("its time is over", BOUND)
            await worker.hears(m.DRAIN)
            await scheduler.stop()
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END

    run(main())


def test_leaving_has_an_end(fake_scheduler: Make, caplog: Any):
    """A batch system kills soon; without a scheduler there is nothing to wait for at all."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM", 0.0625)
            assert await worker.hears(m.LEAVING) == (m.LEAVING, "SIGTERM")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END
        async with working(f"{scheduler.address}-nobody") as running:
            running.worker.drain("SIGTERM", BOUND)
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


# -- interrupted, and begun anew -------------------------------------------------------------------


def spin(name: str) -> None:
    """A task that never ends by itself."""
    gates[name][0].set()
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        pass


def test_a_cancelled_task_that_runs_is_interrupted(fake_scheduler: Make, gate: Any):
    """If that is wanted by force; nothing comes of it, and its thread goes on."""
    name, began, _ = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("endless", spin, name)
            await soon(began)
            worker.say(m.CANCEL, True, ["endless", "unheard-of"])
            worker.run("next", divmod, 7, 2)
            assert list(await worker.done()) == ["next"]

    run(main())


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that cannot be interrupted are noticed soon."""
    monkeypatch.setattr(interrupts, "INTERVAL", 0.005)
    monkeypatch.setattr(interrupts, "GRACE", 0.02)


@pytest.mark.usefixtures("no_grace")
def test_a_task_that_cannot_be_interrupted_costs_the_worker(fake_scheduler: Make, gate: Any):
    """It hands over what it has, and its agent starts another in its place."""
    name, began, opened = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            worker.run("sleeps", gated, name)
            await soon(began)
            worker.say(m.CANCEL, True, ["sleeps"])
            _, reason = await worker.hears(m.LEAVING)
            assert reason == "task 'sleeps' was cancelled and does not end"
            assert not running.done()
            worker.say(m.END, "retired")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.RESTART
            assert not running.worker.idle, "its process has to be ended"
            opened.set()

    run(main())


@pytest.mark.usefixtures("no_grace")
def test_in_a_users_program_it_begins_anew_instead(
    fake_scheduler: Make, gate: Any, monkeypatch: pytest.MonkeyPatch
):
    """The thread is lost, the program is not."""
    monkeypatch.setattr(module, "RETRY", 0.01)
    name, began, opened = gate

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, shares_process=True) as running,
        ):
            worker = await scheduler.worker()
            worker.run("sleeps", gated, name)
            await soon(began)
            worker.say(m.CANCEL, True, ["sleeps"])
            await worker.hears(m.LEAVING)
            worker.say(m.END, "retired")
            worker = await scheduler.worker()
            worker.run("next", divmod, 7, 2)
            assert await worker.done() == {"next": dumps((3, 1))}
            assert not running.done()
            opened.set()

    run(main())


@pytest.mark.parametrize("shares_process", [False, True])
def test_it_begins_anew_when_it_is_told_to(fake_scheduler: Make, shares_process: bool):
    """In a process of its own by ending, in a user's program by dropping everything."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, shares_process=shares_process) as running,
        ):
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            worker.say(m.RESTART, "the user has asked for it")
            if not shares_process:
                assert await asyncio.wait_for(running, BOUND) == ExitCode.RESTART
                return
            worker = await scheduler.worker()
            worker.say(m.SEND, 1, "a")
            assert await worker.hears(m.NO_DATA) == (m.NO_DATA, 1, None)
            worker.say(m.END, "retired")
            assert await asyncio.wait_for(running, BOUND) == ExitCode.TOLD_TO_END

    run(main())


def test_at_its_end_a_users_program_is_rid_of_its_tasks(fake_scheduler: Make, gate: Any):
    """They are interrupted: nobody wants them any more, and the program goes on."""
    name, began, _ = gate

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, shares_process=True) as running,
        ):
            worker = await scheduler.worker()
            worker.run("endless", spin, name)
            await soon(began)
            worker.say(m.END, "retired")
            await asyncio.wait_for(running, BOUND)
            assert running.worker.idle

    run(main())


# -- what tasks see of it --------------------------------------------------------------------------


def secede_and_rejoin(name: str) -> str:
    host().secede()
    gated(name)
    host().rejoin()
    return host().name


def test_a_task_may_leave_its_place_and_come_back(fake_scheduler: Make, gate: Any):
    """The scheduler hears of both before the result."""
    name, _, opened = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("t", secede_and_rejoin, name)
            assert await worker.hears(m.SECEDED) == (m.SECEDED, "t")
            worker.run("other", divmod, 7, 2)
            assert list(await worker.done()) == ["other"]
            opened.set()
            assert await worker.hears(m.REJOINED) == (m.REJOINED, "t")
            assert await worker.done() == {"t": dumps("w-0")}

    run(main())


def make_actor(key: str) -> str:
    host().keep_actor(key, [1, 2, 3])
    return "a handle"


def test_an_actor_stays_and_is_called(fake_scheduler: Make):
    """Its task's result, however small, stays as well; freed, both are gone."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("list", make_actor, "list")
            assert await worker.done() == {"list": None}
            worker.say(m.CALL, 1, dumps(("append", (4,), {})), "list")
            worker.say(m.CALL, 2, dumps(("__len__", (), {})), "list")
            assert await worker.hears(m.CALLED) == (m.CALLED, 1, dumps(None), None)
            assert await worker.hears(m.CALLED) == (m.CALLED, 2, dumps(4), None)
            worker.say(m.FREE, ["list"])
            worker.say(m.CALL, 3, dumps(("__len__", (), {})), "list")
            _, _, value, failure = await worker.hears(m.CALLED)
            assert value is None
            assert isinstance(Failure(*failure).to_exception(), DataLost)

    run(main())


def test_functions_are_called_while_all_threads_are_busy(fake_scheduler: Make, gate: Any):
    """They are no tasks."""
    name, began, opened = gate

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("busy", gated, name)
            await soon(began)
            worker.say(m.CALL, 1, dumps((divmod, (7, 2), {})), None)
            assert await worker.hears(m.CALLED) == (m.CALLED, 1, dumps((3, 1)), None)
            opened.set()

    run(main())


class Reference:
    """What a future is, seen from here."""

    alive: ClassVar[weakref.WeakSet[Reference]] = weakref.WeakSet()

    def __init__(self, key: str) -> None:
        self.key = key
        Reference.alive.add(self)

    def __reduce__(self) -> Any:
        return reduce_reference(self, str)


def test_futures_inside_a_result_are_told_of_before_it(fake_scheduler: Make):
    """And live until the scheduler keeps what they stand for."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.run("t", Reference, "r")
            assert await worker.hears(m.MENTIONS) == (m.MENTIONS, "t", ["r"])
            assert {key: loads(value) for key, value in (await worker.done()).items()} == {"t": "r"}
            assert len(Reference.alive) == 1
            worker.say(m.MENTIONED, ["t", "unheard-of"])
            await worker.answers()
            async with asyncio.timeout(BOUND):
                while Reference.alive:  # in its thread, for a moment
                    gc.collect()
                    await asyncio.sleep(0.001)

    run(main())


class FakeClient:
    """What a task may have opened."""

    closed = 0

    def close(self) -> None:
        FakeClient.closed += 1
        raise OSError("already gone")


def open_client() -> None:
    host().clients["client"] = FakeClient()  # type: ignore[attr-defined]


def test_what_tasks_have_opened_is_closed(
    fake_scheduler: Make, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    """With the connection, and at the end; what fails then is only told."""
    monkeypatch.setattr(module, "RETRY", 0.01)
    monkeypatch.setattr(FakeClient, "closed", 0)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            for _ in range(2):
                worker = await scheduler.worker()
                worker.run("t", open_client)
                await worker.done()
                assert len(running.worker.clients) == 1
                await scheduler.stop()
                await scheduler.start()
            worker = await scheduler.worker()
            worker.run("t", open_client)
            await worker.done()
            assert running.worker.scheduler_addresses[0] == scheduler.address
            assert running.worker.credentials is None

    run(main())
    assert FakeClient.closed == 3
    assert "already gone" in caplog.text


def test_several_workers_live_in_one_program(fake_scheduler: Make):
    """Each with its own threads and its own place where others get its results."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, name="one"),
            working(scheduler.address, name="two"),
        ):
            workers = {w.facts.name: w for w in [await scheduler.worker() for _ in range(2)]}
            one, two = workers["one"], workers["two"]
            one.run("large", bytes, 100_000)
            assert await one.done() == {"large": None}
            two.run("len", len, Input("large"), inputs=[("large", None, [one.facts.addresses])])
            assert await two.done() == {"len": dumps(100_000)}

    run(main())
