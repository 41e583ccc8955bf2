"""What clients ask of a scheduler, and what they hear."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.errors import ConfigError, TaskError, WorkersUnavailable
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.serialize import dumps, loads


async def ask(client, question: str, arguments: Any = None) -> Any:
    """Ask something and return the answer; raise what the scheduler refuses it with."""
    client.say(m.ASK, 1, question, arguments)
    operation, number, answer = await client.wait_for(
        lambda peer: next((x for x in peer.heard if x[0] in (m.ANSWER, m.REFUSED)), None)
    )
    client.heard.clear()
    assert number == 1
    if operation == m.REFUSED:
        raise Failure(*answer).to_exception()
    return answer


async def compute(here, client, worker, key: str, nbytes: int = 10_000) -> None:
    """Have a worker compute something large, which stays there."""
    await here.submit(client, key)
    await worker.hears(m.RUN)
    worker.say(m.DONE, [(key, None, nbytes, 0.1)])
    await client.hears(m.FINISHED)


def test_a_question_nobody_understands_is_refused_in_words(site, run):
    """A newer client may ask an older scheduler; a wrong argument is refused as well."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            with pytest.raises(ConfigError, match="does not know the question 'meaning-of-life'"):
                await ask(client, "meaning-of-life")
            with pytest.raises(TypeError):
                await ask(client, "nthreads", 5)
            await here.check_works()

    run(main())


def test_how_things_stand_is_answered_at_once(site, run):
    """Who holds what, who works at what, and how many threads there are."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            one = await here.worker("one", nthreads=2)
            await compute(here, client, one, "a")
            two = await here.worker("two")
            await here.submit(client, "b", "c")
            await two.hears(m.RUN)
            assert await ask(client, "nthreads") == {"one": 2, "two": 1}
            assert await ask(client, "nthreads", ["two"]) == {"two": 1}
            assert await ask(client, "who-has", ["a", "b", "x"]) == {"a": ["one"], "b": [], "x": []}
            assert (await ask(client, "who-has"))["a"] == ["one"]
            assert await ask(client, "has-what") == {"one": ["a"], "two": []}
            processing = await ask(client, "processing")
            assert sorted(processing["one"] + processing["two"]) == ["b", "c"]
            assert await ask(client, "task-counts") == {"memory": 1, "assigned": 2}

    run(main())


def test_workers_are_described_and_known_by_more_than_their_names(site, run):
    """With what they measured last; a host or a job means all workers there."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            await here.worker("w1", host="node1", job_id="17", memory_limit=10**9)
            worker = await here.worker("w2", host="node1", resources={"GPU": 1.0})
            worker.say(m.HEARTBEAT, {"memory": 5, "spilled": 6, "cpu": 80.5})
            await worker.hears(m.HEARTBEAT)
            known = await ask(client, "workers")
            assert list(known) == ["w1", "w2"]
            assert known["w1"]["memory_limit"] == 10**9
            assert known["w1"]["status"] == "running"
            assert known["w1"]["memory"] is None
            assert known["w2"]["resources"] == {"GPU": 1.0}
            assert [known["w2"][name] for name in ("memory", "spilled", "cpu")] == [5, 6, 80.5]
            assert await ask(client, "nthreads", ["node1"]) == {"w1": 1, "w2": 1}
            assert await ask(client, "nthreads", ["17"]) == {"w1": 1}
            with pytest.raises(ConfigError, match=r"known as 'w3'; connected are: w1, w2"):
                await ask(client, "has-what", ["w3"])

    run(main())


def test_the_situation_says_what_is_waited_for(site, run):
    """Workers, tasks, and what the owner says of jobs under way."""

    async def main() -> None:
        async with site() as here:
            here.scheduler.describe_supply = lambda: "2 jobs pending"
            client = await here.client()
            await here.worker("w", nthreads=2)
            await here.submit(client, "a", "b", "c", "d", "e")
            assert (await ask(client, "situation"))["workers"] == 1
            answer = await ask(client, "situation")
            assert answer["running"] == 4
            assert answer["text"] == (
                "1 workers with 2 threads; tasks: 4 assigned, 1 ready; 2 jobs pending"
            )
            assert repr(here.scheduler) == "<Scheduler test workers=1 clients=1 tasks=5>"

    run(main())


def test_clients_can_wait_for_workers(site, run):
    """The answer comes when as many are there."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            client.say(m.ASK, 1, "wait-for-workers", 2)
            client.say(m.ASK, 2, "nthreads", None)
            assert await client.hears(m.ANSWER) == (m.ANSWER, 2, {})
            await here.worker("w1")
            await here.worker("w2", nthreads=4)
            assert await client.hears(m.ANSWER) == (m.ANSWER, 1, None)

    run(main())


def test_who_waits_for_more_workers_than_will_come_is_told_why(site, run):
    """Those that are there are enough for some; nobody waits in vain for the others."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            await here.worker("w1")
            client.say(m.ASK, 1, "wait-for-workers", 2)
            client.say(m.ASK, 2, "nthreads", None)
            assert await client.hears(m.ANSWER) == (m.ANSWER, 2, {"w1": 1})
            here.scheduler.set_shortage(WorkersUnavailable("the pool has paused"))
            _, number, failure = await client.hears(m.ANSWER)
            assert number == 1
            assert str(Failure(*failure).to_exception()) == "the pool has paused"
            client.say(m.ASK, 3, "wait-for-workers", 1)
            assert await client.hears(m.ANSWER) == (m.ANSWER, 3, None)

    run(main())


def test_nobody_works_on_an_answer_for_a_client_that_is_gone(site, run):
    """It waited for workers, and went."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            client.say(m.ASK, 1, "wait-for-workers", 2)
            client.say(m.ASK, 2, "nthreads", None)
            await client.hears(m.ANSWER)
            others = len(asyncio.all_tasks())
            client.comm.close()
            await client.comm.wait_closed()
            await here.check_works()
            assert len(asyncio.all_tasks()) < others

    run(main())


def test_workers_can_be_retired_by_a_client(site, run):
    """The answer names them, and comes when they are gone."""

    async def main() -> None:
        async with site() as here:
            client, worker = await here.client(), await here.worker("w1", job_id="17")
            await here.worker("w2")
            client.say(m.ASK, 1, "retire-workers", [["17"], 10.0])
            await worker.hears(m.END)
            assert not client.heard
            worker.comm.close()
            assert await client.hears(m.ANSWER) == (m.ANSWER, 1, ["w1"])
            assert await ask(client, "nthreads") == {"w2": 1}

    run(main())


def test_a_restart_is_over_when_all_workers_are_back(site, run):
    """Tasks are gone; nobody is to blame for workers that were told to end."""

    async def main() -> None:
        async with site() as here:
            client, old = await here.client(), await here.worker("w")
            await here.submit(client, "a")
            await old.hears(m.RUN)
            client.say(m.ASK, 1, "restart", None)
            await old.hears(m.RESTART)
            assert await client.hears(m.CANCELLED) == (m.CANCELLED, ["a"])
            old.comm.close()
            await old.ends()
            assert not client.heard
            await here.worker("w")
            assert await client.hears(m.ANSWER) == (m.ANSWER, 1, None)
            assert here.events[1].expected
            assert await ask(client, "task-counts") == {}
            await here.check_works()

    run(main())


def test_a_restart_names_the_workers_that_do_not_come_back(site, run, jump):
    """Those that were started by hand, say."""

    async def main() -> None:
        async with site() as here:
            client, one = await here.client(), await here.worker("one")
            await here.worker("two")
            client.say(m.ASK, 1, "restart", 30)
            await one.hears(m.RESTART)
            one.comm.close()
            await one.ends()
            await here.worker("one")
            jump(31)
            _, _, failure = await client.hears(m.REFUSED)
            error = Failure(*failure).to_exception()
            assert isinstance(error, TimeoutError)
            assert str(error).startswith("1 of 2 workers are not back 30 s after")
            assert ": two;" in str(error)

    run(main())


def test_results_are_replicated_and_the_answer_says_when(site, run):
    """And what could not be copied is named in a refusal."""

    async def main() -> None:
        async with site() as here:
            client, one = await here.client(), await here.worker("one")
            await compute(here, client, one, "a")
            two = await here.worker("two")
            client.say(m.ASK, 1, "replicate", [["a"], 2, None])
            assert (await two.hears(m.COPY))[1][0][0] == "a"
            assert not client.heard
            two.say(m.COPIED, ["a"], [])
            assert await client.hears(m.ANSWER) == (m.ANSWER, 1, None)
            assert await ask(client, "who-has", ["a"]) == {"a": ["one", "two"]}
            with pytest.raises(TaskError, match=r"not copied .* 1 in all: 'unheard-of'"):
                await ask(client, "replicate", [["unheard-of"], None, ["one"]])
            with pytest.raises(ConfigError, match="n=0"):
                await ask(client, "replicate", [["a"], 0, None])

    run(main())


def test_results_are_rebalanced(site, run):
    """The answer comes when they have moved."""

    async def main() -> None:
        async with site() as here:
            client, one = await here.client(), await here.worker("one")
            await compute(here, client, one, "a")
            await compute(here, client, one, "b")
            two = await here.worker("two")
            client.say(m.ASK, 1, "rebalance", [None, None])
            _, ((key, *_),) = await two.hears(m.COPY)
            two.say(m.COPIED, [key], [])
            assert await client.hears(m.ANSWER) == (m.ANSWER, 1, None)
            has = await ask(client, "has-what")
            assert sorted(map(len, has.values())) == [1, 1]

    run(main())


def test_a_lock_is_released_by_a_client_that_goes(site, run):
    """Whoever waits for it has it then."""

    async def main() -> None:
        async with site() as here:
            one, two = await here.client(), await here.client()
            acquire = ["lock", "x", "acquire", [1]]
            held = await ask(one, "coordinate", acquire)
            two.say(m.ASK, 1, "coordinate", acquire)
            two.say(m.ASK, 2, "nthreads", None)
            assert await two.hears(m.ANSWER) == (m.ANSWER, 2, {})
            one.comm.close()
            assert await two.hears(m.ANSWER) == (m.ANSWER, 1, held)
            with pytest.raises(ConfigError, match="does not know 'key', 'turn'"):
                await ask(two, "coordinate", ["key", "x", "turn", []])

    run(main())


def test_a_task_is_explained(site, run):
    """With what the owner says of workers to come."""

    async def main() -> None:
        async with site() as here:
            here.scheduler.describe_supply = lambda: "2 jobs pending"
            client = await here.client()
            await here.submit(client, "a")
            assert await ask(client, "explain", "a") == (
                "a is ready to run, but no worker is connected; 2 jobs pending."
            )

    run(main())


# -- functions that run in the scheduler -----------------------------------------------------------


def name_of(scheduler):
    return scheduler.name


async def workers_of(more, scheduler=None, *, again=0):
    await asyncio.sleep(0)
    return [worker.name for worker in scheduler.workers()] * again + more


def end_by(kind):
    raise kind


def test_a_function_runs_where_the_scheduler_is(site, run):
    """It is given the scheduler if it has a parameter of that name; coroutines are awaited.

    What would end a program ends the call, as in a task.
    """

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            await here.worker("w")

            async def call(function, *args, **kwargs):
                value = await ask(client, "run-on-scheduler", dumps((function, args, kwargs)))
                return loads(value)

            assert await call(name_of) == "test"
            assert await call(workers_of, ["more"], again=2) == ["w", "w", "more"]
            assert await call(divmod, 7, 2) == (3, 1)
            with pytest.raises(ZeroDivisionError) as caught:
                await call(divmod, 7, 0)
            assert "on the scheduler" in str(caught.value.__cause__)
            for kind in (SystemExit, KeyboardInterrupt, asyncio.CancelledError):
                with pytest.raises(TaskError, match=f"the function raised {kind.__name__}"):
                    await call(end_by, kind)
            with pytest.raises(Exception, match="pickle"):
                await ask(client, "run-on-scheduler", b"no pickle")
            await here.check_works()

    run(main())
