"""A worker that is short of memory: what its scheduler hears, and what becomes of its tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import loads
from jobqueue.worker import memory as module
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.memory import Monitor

BOUND = 20.0  # seconds after which a test is broken
LIMIT = 10**9

Make = Callable[..., Any]

opened = threading.Event()


def wait_until_opened() -> bool:
    """A task that ends when it may."""
    return opened.wait(BOUND)


class Process:
    """How much of its memory a worker takes to be in use, percent."""

    percent = 10


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """A process whose size the test sets, and that is looked at often."""
    process = Process()
    monkeypatch.setattr(Monitor, "taken", property(lambda self: process.percent * LIMIT // 100))
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    return process


def test_a_paused_worker_begins_no_task(fake_scheduler: Make, working: Make, process: Process):
    """It says why, hands tasks back when asked, and goes on when there is room again."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, memory_limit=LIMIT) as running,
        ):
            connection = await scheduler.worker()
            await connection.answers()
            process.percent = 85
            _, reason = await connection.hears(m.PAUSED)
            assert reason.startswith("it uses 811 MiB of its 954 MiB memory limit (85 %)")
            connection.run("a", wait_until_opened)
            connection.run("b", divmod, 19, 5)
            connection.say(m.RECALL, ["b"])
            assert await connection.hears(m.RETURNED) == (m.RETURNED, ["b"])
            assert not any(said[0] == m.DONE for said in connection.heard)
            process.percent = 70
            assert await connection.hears(m.PAUSED) == (m.PAUSED, None)
            opened.set()  # what it says of its tasks may overtake what it says of itself
            assert loads((await connection.done())["a"]) is True
            connection.say(m.END, "the test ends")
            assert await running.ends() == ExitCode.TOLD_TO_END

    asyncio.run(main())


def test_a_new_scheduler_hears_it_too(fake_scheduler: Make, working: Make, process: Process):
    """A worker that is paused when it connects says so."""

    async def main() -> None:
        process.percent = 90
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, memory_limit=LIMIT) as running,
        ):
            for _ in range(2):
                connection = await scheduler.worker()
                _, reason = await connection.hears(m.PAUSED)
                assert "(90 %)" in reason
                await scheduler.stop()
                await scheduler.start()
            connection = await scheduler.worker()
            connection.say(m.END, "the test ends")
            await running.ends()

    asyncio.run(main())


def test_a_worker_that_cannot_be_helped_begins_anew(
    fake_scheduler: Make, working: Make, process: Process, monkeypatch: pytest.MonkeyPatch
):
    """Nothing runs, nothing can be put on disk, and still no room: it leaves, and comes back."""
    monkeypatch.setattr(module, "HOPELESS", 0.0)

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, memory_limit=LIMIT) as running,
        ):
            connection = await scheduler.worker()
            await connection.answers()
            process.percent = 85
            _, reason = await connection.hears(m.LEAVING)
            assert reason.endswith(
                "has no result left that could be put on disk, while nothing runs"
            )
            connection.say(m.END, "drained")
            assert await running.ends() == ExitCode.RESTART

    asyncio.run(main())


class Full(dict[str, Any]):
    """A mapping of the user's whose disk is full."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise OSError(28, "No space left on device")


class Gone(dict[str, Any]):
    """A mapping of the user's whose disk is gone."""

    def __getitem__(self, key: str) -> Any:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize(("data", "error"), [(Full(), "No space left"), (Gone(), "Input/output")])
def test_what_a_users_mapping_raises_is_that_tasks_error(
    connected: Make, data: MutableMapping[str, Any], error: str
):
    """Whether it is the one that stores or the one that reads; the worker works on."""

    async def main() -> None:
        async with connected(data=data) as connection:
            connection.run("large", bytes, 100_000)
            if isinstance(data, Full):
                _, [(key, failure, _)] = await connection.hears(m.FAILED)
                assert key == "large"
                assert error in str(failure)
            else:
                assert await connection.done() == {"large": None}
                connection.say(m.SEND, 1, "large")
                _, _, failure = await connection.hears(m.NO_DATA)
                assert error in str(failure)
            connection.say(m.FREE, ["large"])
            connection.run("small", divmod, 17, 5)
            assert loads((await connection.done())["small"]) == (3, 2)

    asyncio.run(main())
