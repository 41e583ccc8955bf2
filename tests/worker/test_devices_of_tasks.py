"""Tasks that take GPUs of their worker, against a scheduler that says what the test says."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jobqueue import devices, get_worker, secede
from jobqueue.errors import JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import dumps, loads

BOUND = 20.0  # seconds after which a test is broken
CUDA = "CUDA_VISIBLE_DEVICES"
Make = Callable[..., Any]

together = threading.Barrier(2, timeout=BOUND)
opened = threading.Event()


def seen() -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    return devices(), get_worker().devices, os.environ.get(CUDA)


def both() -> tuple[str, ...]:
    together.wait()
    return devices()


def fails() -> None:
    raise OSError(*devices())


async def later() -> tuple[str, ...]:
    await asyncio.sleep(0)
    return devices()


def steps_aside() -> tuple[str, ...]:
    secede()
    assert opened.wait(BOUND)
    return devices()


@pytest.fixture
def lending(connected: Make) -> Make:
    """A worker with two devices: ``async with lending(nthreads=2) as worker``."""
    return partial(connected, devices={CUDA: ("4", "7")})


def take(worker: Any, key: str, function: Make, amount: float = 1.0, inputs: Any = None) -> None:
    """Have a worker run a task that takes devices."""
    worker.say(m.RESERVED, [(key, {"GPU": amount, "MEM": 3.0})])
    worker.run(key, function, inputs=inputs)


async def results(worker: Any, *keys: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    while not values.keys() >= set(keys):
        values |= {key: loads(value) for key, value in (await worker.done()).items()}
    return values


def test_each_task_has_devices_of_its_own(lending: Make) -> None:
    """Two at once get different ones; who asks for none has none, and for two has both.

    They are given back when a task fails, or is a coroutine, or has inputs.
    """

    async def main() -> None:
        async with lending(nthreads=2) as worker:
            take(worker, "a", both)
            take(worker, "b", both)
            values = await results(worker, "a", "b")
            assert sorted(values.values()) == [("4",), ("7",)]
            for number in range(3):
                take(worker, f"bad-{number}", fails)
                _, ((_, _failure, _),) = await worker.hears(m.FAILED)
                take(worker, f"later-{number}", later, inputs=[("x", dumps(1), [])])
                await results(worker, f"later-{number}")
            worker.run("none", seen)
            take(worker, "two", seen, 2.0)
            values = await results(worker, "none", "two")
            assert values["none"][:2] == ((), ("4", "7"))
            assert values["two"][:2] == (("4", "7"), ("4", "7"))

    asyncio.run(main())


def test_a_process_that_runs_one_task_at_a_time_shows_its_devices(
    lending: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable names what the task has, for libraries that look there, and then all again."""
    monkeypatch.setenv(CUDA, "4,7")

    async def main() -> None:
        async with lending() as worker:
            take(worker, "one", seen)
            worker.run("none", seen)
            values = await results(worker, "one", "none")
            assert values["one"][0] == (values["one"][2],)
            assert values["none"][2] == "4,7"

    asyncio.run(main())


def test_a_task_that_makes_way_keeps_its_devices(lending: Make) -> None:
    """Others get the rest, until it ends; then they are there again."""

    opened.clear()

    async def main() -> None:
        async with lending() as worker:
            take(worker, "aside", steps_aside)
            await worker.hears(m.SECEDED)
            take(worker, "other", seen)
            other = (await results(worker, "other"))["other"][0]
            opened.set()
            aside = (await results(worker, "aside"))["aside"]
            assert sorted(other + aside) == ["4", "7"]
            take(worker, "two", seen, 2.0)
            assert (await results(worker, "two"))["two"][0] == ("4", "7")

    asyncio.run(main())


def test_what_is_recalled_takes_nothing(lending: Make) -> None:
    """A task that comes again under its key, and takes none, gets none."""

    async def main() -> None:
        async with lending() as worker:
            take(worker, "waits", seen, inputs=[("nowhere", None, [])])
            worker.say(m.RECALL, ["waits"])
            _, keys = await worker.hears(m.RETURNED)
            assert keys == ["waits"]
            worker.run("waits", seen)
            assert (await results(worker, "waits"))["waits"][0] == ()

    asyncio.run(main())


def test_only_tasks_have_devices() -> None:
    """Elsewhere there is no worker that could lend any."""
    with pytest.raises(JobQueueError, match="not running inside of a task"):
        devices()
