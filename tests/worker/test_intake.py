"""Tasks that wait for their inputs, with peers that answer when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.errors import SerializationError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.messages import Message
from jobqueue.worker.intake import Intake
from jobqueue.worker.items import Inputs, Item
from jobqueue.worker.store import Store

FAILURE = Failure.of(SerializationError("cannot be sent"))


class FakeExecutor:
    """Notes down what it is to run."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def put(self, item: Item) -> None:
        self.items[item.key] = item

    def withdraw(self, key: str) -> bool:
        return self.items.pop(key, None) is not None


class FakePeers:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answers: dict[str, asyncio.Future[Any]] = {}

    async def get(self, key: str, holders: Any) -> Any:
        self.asked.append((key, holders))
        self._answers[key] = asyncio.get_running_loop().create_future()
        return await self._answers[key]

    def answer(self, key: str, answer: Any) -> None:
        self._answers.pop(key).set_result(answer)


class Bench:
    """An intake among fakes."""

    def __init__(self) -> None:
        self.executor, self.peers, self.store = FakeExecutor(), FakePeers(), Store({})
        self.said: list[Message] = []
        self.intake = Intake(
            self.executor,  # type: ignore[arg-type]
            self.store,
            self.peers,  # type: ignore[arg-type]
            self.said.append,
        )

    def run(self, key: str, *inputs: Any) -> None:
        self.intake.run([(key, b"f", b"arguments", inputs or None)])

    async def turn(self) -> None:
        """Let the event loop do all that it has to do."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def answer(self, key: str, answer: Any) -> None:
        await self.turn()
        self.peers.answer(key, answer)
        await self.turn()

    def hears(self) -> list[Message]:
        """Take what the scheduler was told."""
        said = self.said[:]
        self.said.clear()
        return said


def scene(test: Callable[[Bench], Any]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def wrapped() -> None:
        async def main() -> None:
            bench = Bench()
            await test(bench)
            assert bench.said == [], "the scheduler was told this too"
            bench.intake.clear()
            await bench.turn()

        asyncio.run(main())

    wrapped.__doc__ = test.__doc__
    wrapped.__name__ = test.__name__
    return wrapped


def far(key: str, *addresses: str) -> Any:
    """An input that lies elsewhere."""
    return (key, None, [(address,) for address in addresses])


@scene
async def test_without_inputs_a_task_goes_straight_on(bench):
    """The usual case costs nothing more."""
    bench.run("t")
    assert bench.executor.items == {"t": Item("t", b"f", b"arguments", None)}
    assert bench.intake.idle


@scene
async def test_inputs_that_are_here_need_no_fetching(bench):
    """Those in the message, and those in the store."""
    bench.store.put("a", 1)
    bench.run("t", far("a"), ("b", b"pickled", ()))
    assert bench.executor.items["t"].inputs == Inputs(("a",), (("b", b"pickled"),))
    assert bench.peers.asked == []


@scene
async def test_a_task_waits_for_what_is_elsewhere(bench):
    """It begins when the last input is here; each is kept as a copy that others can be sent to."""
    bench.run("t", far("a", "w1", "w2"), far("b", "w1"))
    await bench.answer("a", b"1")
    assert bench.peers.asked == [("a", [("w1",), ("w2",)]), ("b", [("w1",)])]
    assert bench.executor.items == {}
    assert not bench.intake.idle
    await bench.answer("b", b"2")
    assert bench.executor.items["t"].inputs == Inputs(("a", "b"), ())
    assert bench.store.get_serialized("a") == b"1"
    assert bench.hears() == [(m.COPIED, ["a"], []), (m.COPIED, ["b"], [])]
    assert bench.intake.idle


@scene
async def test_an_input_is_fetched_once_for_many_tasks(bench):
    """Also when it is to be copied at the same time."""
    for number in range(10):
        bench.run(f"t{number}", far("a", "w1"))
    bench.intake.copy([("a", [("w1",)])])
    await bench.answer("a", b"1")
    assert len(bench.peers.asked) == 1
    assert len(bench.executor.items) == 10
    assert bench.hears() == [(m.COPIED, ["a"], [])]


@scene
async def test_without_an_input_the_tasks_are_handed_back(bench):
    """All that waited for it; they may be run elsewhere, or later."""
    bench.run("t1", far("a", "w1"), far("b", "w1"))
    bench.run("t2", far("a", "w1"))
    await bench.answer("a", None)
    assert bench.hears() == [
        (m.COPIED, [], ["a"]),
        (m.INPUT_GONE, "t1", "a"),
        (m.INPUT_GONE, "t2", "a"),
    ]
    await bench.answer("b", b"2")
    assert bench.hears() == [(m.COPIED, ["b"], [])]
    assert bench.executor.items == {}
    assert bench.intake.idle


@scene
async def test_an_input_that_can_never_be_had_fails_the_tasks(bench):
    """Its holder cannot pickle it: nobody else will have more luck."""
    bench.run("t", far("a", "w1"))
    await bench.answer("a", FAILURE)
    assert bench.hears() == [(m.COPIED, [], ["a"]), (m.FAILED, [("t", FAILURE, 0.0)])]


@scene
async def test_an_input_computed_here_meanwhile_is_as_good(bench):
    """Whatever the peers say in the end."""
    bench.run("t", far("a", "w1"))
    bench.store.put("a", 1)
    await bench.answer("a", None)
    assert "t" in bench.executor.items
    assert bench.hears() == [(m.COPIED, ["a"], [])]


@scene
async def test_a_copy_is_made_for_the_scheduler(bench):
    """Which hears whether it is here."""
    bench.intake.copy([("a", [("w1",)]), ("b", [("w1",)])])
    await bench.answer("a", b"1")
    await bench.answer("b", None)
    bench.intake.copy([("a", [("w1",)])])
    assert bench.hears() == [
        (m.COPIED, ["a"], []),
        (m.COPIED, [], ["b"]),
        (m.COPIED, ["a"], []),
    ]


@scene
async def test_what_was_freed_on_its_way_is_not_kept(bench):
    """Unless a task wants it again, or still."""
    bench.intake.copy([("a", [("w1",)])])
    bench.intake.freed("a")
    bench.intake.freed("never heard of")
    await bench.answer("a", b"1")
    assert "a" not in bench.store
    assert bench.hears() == [(m.COPIED, [], ["a"])]
    bench.run("t", far("b", "w1"))
    bench.intake.freed("b")
    await bench.answer("b", b"1")
    assert "t" in bench.executor.items
    assert bench.store.get_serialized("b") == b"1"
    assert bench.hears() == [(m.COPIED, ["b"], [])]


@scene
async def test_what_waits_can_be_taken_back(bench):
    """Here or at the executor; its input comes all the same, and is kept."""
    bench.run("waits", far("a", "w1"))
    bench.run("ready")
    assert bench.intake.withdraw("waits")
    assert bench.intake.withdraw("ready")
    assert not bench.intake.withdraw("ready")
    await bench.answer("a", b"1")
    assert bench.executor.items == {}
    assert bench.hears() == [(m.COPIED, ["a"], [])]


@scene
async def test_when_the_scheduler_is_lost_everything_is_forgotten(bench):
    """Fetches too: nothing of them reaches the next scheduler."""
    bench.run("waits", far("a", "w1"))
    await bench.turn()
    bench.intake.clear()
    await bench.turn()
    assert bench.intake.idle
    with pytest.raises(asyncio.InvalidStateError):
        bench.peers.answer("a", b"1")
    bench.run("again", far("a", "w1"))
    await bench.answer("a", b"1")
    assert list(bench.executor.items) == ["again"]
    assert bench.hears() == [(m.COPIED, ["a"], [])]
