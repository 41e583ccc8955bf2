"""Ending tasks that were cancelled, with runs that end when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jobqueue.worker import interrupts as module
from jobqueue.worker.interrupts import Interrupts, wait_ended
from jobqueue.worker.items import Item

BOUND = 20.0  # seconds after which a test is broken


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop turn until something holds; the test's timeout bounds it."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


class FakeRun:
    """Ends of its n-th interruption."""

    def __init__(self, key: str, stands: int) -> None:
        self.item = Item(key, b"f", b"", None)
        self.interrupted = 0
        self.stands = stands

    def interrupt(self) -> bool:
        self.interrupted += 1
        return self.interrupted <= self.stands


def scene(test: Any, monkeypatch: Any, grace: float) -> list[str]:
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    monkeypatch.setattr(module, "GRACE", grace)
    stuck: list[str] = []

    async def main() -> None:
        async with asyncio.timeout(BOUND):
            await test(Interrupts(stuck.append), stuck)

    asyncio.run(main())
    return stuck


def test_a_task_is_interrupted_until_it_ends(monkeypatch):
    """It may have caught the first; afterwards it is left in peace."""
    first, second = FakeRun("a", 3), FakeRun("b", 0)

    async def test(interrupts: Interrupts, stuck: list[str]) -> None:
        interrupts.add([first])
        interrupts.add([second])
        await until(lambda: interrupts._timer is None)

    assert scene(test, monkeypatch, BOUND) == []
    assert (first.interrupted, second.interrupted) == (4, 1)


def test_a_task_that_does_not_end_is_told_of_once(monkeypatch):
    """After the grace that it gets."""
    endless = FakeRun("a", 10**9)

    async def test(interrupts: Interrupts, stuck: list[str]) -> None:
        interrupts.add([endless])
        await until(lambda: stuck)
        assert interrupts._timer is None

    assert scene(test, monkeypatch, 0.01) == ["a"]
    assert endless.interrupted > 1


def test_it_can_be_called_off(monkeypatch):
    """When the scheduler is gone, for instance."""
    endless = FakeRun("a", 10**9)

    async def test(interrupts: Interrupts, stuck: list[str]) -> None:
        interrupts.add([endless])
        interrupts.clear()
        interrupts.clear()
        await asyncio.sleep(0.01)
        assert endless.interrupted == 1

    assert scene(test, monkeypatch, 0.001) == []


def test_at_the_end_tasks_are_waited_for_a_little(monkeypatch):
    """And whoever waits hears whether they have ended."""

    async def test(interrupts: Interrupts, stuck: list[str]) -> None:
        assert await wait_ended([])  # type: ignore[arg-type]
        assert await wait_ended([FakeRun("a", 2), FakeRun("b", 0)])  # type: ignore[list-item]
        monkeypatch.setattr(module, "GRACE", 0.01)
        assert not await wait_ended([FakeRun("c", 10**9)])  # type: ignore[list-item]

    scene(test, monkeypatch, BOUND)
