"""What a worker does with what its scheduler tells it, as the scheduler hears of it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

from jobqueue.errors import DataLost
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload
from jobqueue.protocol.references import reduce_reference, resolve
from jobqueue.protocol.running import host
from jobqueue.protocol.serialize import dumps, loads

BOUND = 20.0  # seconds after which a test is broken

Make = Callable[..., Any]


# -- tasks -----------------------------------------------------------------------------------------


def test_the_scheduler_decides_what_rides_along(connected, run):
    """By the limit it says, at any time."""

    async def main() -> None:
        async with connected() as worker:
            worker.say(m.INLINE_LIMIT, 0)
            worker.run("a", divmod, 17, 5)
            assert await worker.done() == {"a": None}

    run(main())


def test_failures_are_told(connected, run):
    """With the worker's name in their traceback."""

    async def main() -> None:
        async with connected() as worker:
            worker.run("bad", divmod, 1, 0)
            _, ((key, failure, seconds),) = await worker.hears(m.FAILED)
            assert key == "bad"
            assert 0 <= seconds < BOUND
            error = Failure(*failure).to_exception()
            assert isinstance(error, ZeroDivisionError)
            assert "on worker w-0" in str(error.__cause__)

    run(main())


def test_tasks_are_handed_back_or_cancelled_before_they_begin(connected, run):
    """The one that runs stays."""

    async def main() -> None:
        async with connected() as worker:
            gate = await worker.begin("runs")
            for key in ("one", "two", "three"):
                worker.run(key, divmod, 7, 2)
            worker.say(m.CANCEL, False, ["runs", "one"])
            worker.say(m.RECALL, ["runs", "one", "two", "unheard-of"])
            assert await worker.hears(m.LINGERING) == (m.LINGERING, ["runs"])
            assert await worker.hears(m.RETURNED) == (m.RETURNED, ["two"])
            gate.opened.set()
            heard = [await worker.hears(m.LINGERING, m.DONE) for _ in range(2)]  # in any order
            assert (m.LINGERING, []) in heard
            (done,) = (results for operation, results in heard if operation == m.DONE)
            assert [key for key, *_ in done] == ["three"], "nothing comes of what was cancelled"

    run(main())


def test_a_cancelled_task_that_runs_is_interrupted(connected, run):
    """If that is wanted by force; nothing comes of it, and its thread goes on."""

    async def main() -> None:
        async with connected() as worker:
            await worker.begin("endless", spins=True)
            worker.say(m.CANCEL, True, ["endless", "unheard-of"])
            worker.run("next", divmod, 7, 2)
            assert list(await worker.done()) == ["next"]

    run(main())


def secede_and_rejoin(gate: Make) -> str:
    host().secede()
    gate()
    host().rejoin()
    return host().name


def test_a_task_may_leave_its_place_and_come_back(connected, run, gate):
    """The scheduler hears of both before the result."""

    async def main() -> None:
        async with connected() as worker:
            worker.run("t", secede_and_rejoin, gate)
            assert await worker.hears(m.SECEDED) == (m.SECEDED, "t")
            worker.run("other", divmod, 7, 2)
            assert list(await worker.done()) == ["other"]
            gate.opened.set()
            assert await worker.hears(m.REJOINED) == (m.REJOINED, "t")
            assert await worker.done() == {"t": dumps("w-0")}

    run(main())


# -- results ---------------------------------------------------------------------------------------


class Input:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return resolve, (self.key,)


def test_results_are_sent_kept_and_freed(connected, run):
    """As the scheduler says; what is not here, or cannot be sent, is said to be so."""

    async def main() -> None:
        async with connected() as worker:
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


def test_an_input_comes_straight_from_another_worker(fake_scheduler, working, run):
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
            for key in ("t1", "t2", "t3"):
                other.run(key, len, Input("data"), inputs=inputs)
            results: dict[str, Any] = {}
            copied: list[str] = []
            while not copied or len(results) < 3:  # a result may overtake what else is said
                operation, items, *_ = await other.hears(m.COPIED, m.DONE)
                if operation == m.DONE:
                    results |= {key: loads(value) for key, value, _, _ in items}
                else:
                    copied += items
            assert results == {"t1": 100_000, "t2": 100_000, "t3": 100_000}
            assert copied == ["data"]
            assert not [message for message in other.heard if message[0] == m.COPIED]
            other.say(m.COPY, [("data", [list(holder.facts.addresses)])])
            assert await other.hears(m.COPIED) == (m.COPIED, ["data"], [])

    run(main())


def test_an_input_out_of_reach_is_asked_for(connected, run):
    """The scheduler passes it on, or says that it is not to be had: now, or ever."""

    async def main() -> None:
        async with connected() as worker:
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


class Reference:
    """What a future is, seen from here."""

    alive: ClassVar[weakref.WeakSet[Reference]] = weakref.WeakSet()

    def __init__(self, key: str) -> None:
        self.key = key
        Reference.alive.add(self)

    def __reduce__(self) -> Any:
        return reduce_reference(self, str)


def test_futures_inside_a_result_are_told_of_before_it(connected, run):
    """And live until the scheduler keeps what they stand for."""

    async def main() -> None:
        async with connected() as worker:
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


# -- beside the tasks ------------------------------------------------------------------------------


def make_actor(key: str) -> str:
    host().keep_actor(key, [1, 2, 3])
    return "a handle"


def test_an_actor_stays_and_is_called(connected, run):
    """Its task's result, however small, stays as well; freed, both are gone."""

    async def main() -> None:
        async with connected() as worker:
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


def test_functions_are_called_while_all_threads_are_busy(connected, run):
    """They are no tasks."""

    async def main() -> None:
        async with connected() as worker:
            gate = await worker.begin("busy")
            worker.say(m.CALL, 1, dumps((divmod, (7, 2), {})), None)
            assert await worker.hears(m.CALLED) == (m.CALLED, 1, dumps((3, 1)), None)
            gate.opened.set()

    run(main())
