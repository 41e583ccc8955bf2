"""A worker in this process: what it says of itself, how it ends, and how it begins anew."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.references import resolve
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker import interrupts, search
from jobqueue.worker.exit_codes import ExitCode

BOUND = 20.0  # seconds after which a test is broken


def test_a_worker_says_what_it_is_and_runs_tasks(connected, run):
    """Small results come along, large ones stay until they are asked for."""

    async def main() -> None:
        async with connected(nthreads=2) as worker:
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


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


def test_several_workers_live_in_one_program(fake_scheduler, working, run):
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


def test_results_may_be_kept_in_a_mapping_of_the_users(connected, run):
    """A folder, a database, ..."""
    data: dict[str, Any] = {}

    async def main() -> None:
        async with connected(data=data) as worker:
            worker.run("large", bytes, 100_000)
            await worker.done()
            assert data == {"large": bytes(100_000)}

    run(main())


def test_it_shows_that_it_lives(connected, run):
    """As often as the scheduler wants it, also with nothing to do."""

    async def main() -> None:
        async with connected() as worker:
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            worker.say(m.BEAT, 0.01)
            for _ in range(2):
                _, numbers = await worker.hears(m.HEARTBEAT)
            assert numbers["results"] == 1
            worker.say(m.HEARTBEAT, {})

    run(main())


def test_garbage_ends_the_connection_and_not_the_worker(fake_scheduler, working, run, monkeypatch):
    """It connects anew, as after any loss."""
    monkeypatch.setattr(search, "RETRY", 0.01)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address):
            worker = await scheduler.worker()
            worker.say("unheard-of", 1, 2, 3)
            await worker.ends()
            worker = await scheduler.worker()
            worker.run("a", divmod, 7, 2)
            assert loads((await worker.done())["a"]) == (3, 1)

    run(main())


def test_told_to_end_it_ends(fake_scheduler, working, run, caplog):
    """And its last line says why."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            worker.say(m.END, "retired")
            assert await running.ends() == ExitCode.TOLD_TO_END
            await worker.ends()

    with caplog.at_level(logging.INFO, "jobqueue.worker"):
        run(main())
    assert caplog.messages[-1] == "worker ends name=w-0 cause=retired"


# -- begun anew ------------------------------------------------------------------------------------


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks that cannot be interrupted are noticed soon."""
    monkeypatch.setattr(interrupts, "INTERVAL", 0.005)
    monkeypatch.setattr(interrupts, "GRACE", 0.02)


@pytest.mark.usefixtures("no_grace")
def test_a_task_that_cannot_be_interrupted_costs_the_worker(fake_scheduler, working, run):
    """It hands over what it has, and its agent starts another in its place."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            gate = await worker.begin("sleeps")
            worker.say(m.CANCEL, True, ["sleeps"])
            _, reason = await worker.hears(m.LEAVING)
            assert reason == "task 'sleeps' was cancelled and does not end"
            assert not running.ended
            worker.say(m.END, "retired")
            assert await running.ends() == ExitCode.RESTART
            assert not running.worker.idle, "its process has to be ended"
            gate.opened.set()

    run(main())


@pytest.mark.usefixtures("no_grace")
def test_in_a_users_program_it_begins_anew_instead(fake_scheduler, working, run, monkeypatch):
    """The thread is lost, the program is not."""
    monkeypatch.setattr(search, "RETRY", 0.01)

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, shares_process=True) as running,
        ):
            worker = await scheduler.worker()
            gate = await worker.begin("sleeps")
            worker.say(m.CANCEL, True, ["sleeps"])
            await worker.hears(m.LEAVING)
            worker.say(m.END, "retired")
            worker = await scheduler.worker()
            worker.run("next", divmod, 7, 2)
            assert await worker.done() == {"next": dumps((3, 1))}
            assert not running.ended
            gate.opened.set()

    run(main())


@pytest.mark.parametrize("shares_process", [False, True])
def test_it_begins_anew_when_it_is_told_to(fake_scheduler, working, run, shares_process):
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
                assert await running.ends() == ExitCode.RESTART
                return
            worker = await scheduler.worker()
            worker.say(m.SEND, 1, "a")
            assert await worker.hears(m.NO_DATA) == (m.NO_DATA, 1, None)
            worker.say(m.END, "retired")
            assert await running.ends() == ExitCode.TOLD_TO_END

    run(main())


def test_at_its_end_a_users_program_is_rid_of_its_tasks(fake_scheduler, working, run):
    """They are interrupted: nobody wants them any more, and the program goes on."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, shares_process=True) as running,
        ):
            worker = await scheduler.worker()
            await worker.begin("endless", spins=True)
            worker.say(m.END, "retired")
            await running.ends()
            assert running.worker.idle

    run(main())
