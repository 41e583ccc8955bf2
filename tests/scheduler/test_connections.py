"""Peers of a scheduler: how they come, speak and go."""

from __future__ import annotations

import asyncio
import logging

import pytest

from jobqueue.comm import connect
from jobqueue.errors import FrameError, HandshakeRefused, KilledWorker
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON
from jobqueue.scheduler.connections import PRESENT
from jobqueue.scheduler.info import WorkerJoined, WorkerLeft


def test_another_python_is_refused_in_words(site, run):
    """Pickled functions do not run there; whoever started it reads why."""

    async def main() -> None:
        async with site() as here:
            with pytest.raises(HandshakeRefused, match=rf"worker runs Python 2\.7.*{PYTHON}"):
                await here.worker(python="2.7")
            with pytest.raises(HandshakeRefused, match="0 threads"):
                await here.worker(nthreads=0)
            hello = {"role": "worker", "name": "w", "nthreads": 1, "python": PYTHON}
            with pytest.raises(HandshakeRefused, match="did not say its 'addresses'"):
                await connect(here.scheduler.local_address, hello=hello)
            assert here.scheduler.workers() == []
            await here.check_works()

    run(main())


def test_an_agent_may_come_and_look(site, run):
    """It counts neither as a worker nor as a client, and garbage from it ends its connection."""

    async def main() -> None:
        async with site() as here:
            agent = await here.agent()
            await here.check_works()
            assert agent.reason is None
            agent.say(m.DONE, [])
            await agent.ends()
            other = await here.agent()
            await here.check_works()
            await here.scheduler.close()
            await other.ends()

    run(main())


def test_a_client_inside_of_a_task_is_a_client(site, run):
    """It submits and hears of results as all others do."""

    async def main() -> None:
        async with site() as here:
            task = await here.client(role="task")
            worker = await here.worker()
            await here.submit(task, "a")
            await worker.hears(m.RUN)
            worker.say(m.DONE, [("a", b"1", 1, 0.1)])
            assert await task.hears(m.FINISHED) == (m.FINISHED, [("a", b"1")])

    run(main())


def test_workers_that_come_and_go_are_told_of(site, run):
    """With what is known of them, and of why they went."""

    async def main() -> None:
        async with site() as here:
            worker = await here.worker("w", nthreads=3)
            (info,) = here.scheduler.workers()
            assert (info.name, info.nthreads, info.idle) == ("w", 3, True)
            worker.comm.abort()
            await worker.comm.wait_closed()
            await here.check_works()
            joined, left = here.events[:2]
            assert joined == WorkerJoined(info)
            assert isinstance(left, WorkerLeft)
            assert left.worker == info
            assert not left.expected
            assert left.reason.startswith("its connection ended")

    run(main())


def test_two_workers_of_one_name(site, run, jump):
    """The second one is refused, and told why; it may come once the first is silent."""

    async def main() -> None:
        async with site() as here:
            first = await here.worker("w", host="node1", agent=10, pid=11)
            for other in ({"host": "node2", "agent": 10}, {"host": "node1", "agent": 20}):
                with pytest.raises(HandshakeRefused, match=r"node1 \(process 11\) .* another name"):
                    await here.worker("w", **other)
            await here.check_works()
            again = await here.worker("w", host="node1", agent=10, pid=12)
            assert (await first.hears(m.END))[1] == "it connected anew"
            jump(PRESENT * here.scheduler.state.losses.heartbeat + 1)
            await here.worker("w", host="node2", agent=20)
            assert (await again.hears(m.END))[1] == "it connected anew"

    run(main())


def test_a_worker_that_comes_again_under_its_name_takes_its_own_place(site, run):
    """Its tasks are run anew, without blame; the old connection is told to end."""

    async def main() -> None:
        async with site() as here:
            client, old = await here.client(), await here.worker("w")
            await here.submit(client, "a")
            await old.hears(m.RUN)
            new = await here.worker("w")
            assert (await old.hears(m.END))[1] == "it connected anew"
            await old.ends()
            _, ((key, *_),) = await new.hears(m.RUN)
            assert here.scheduler.state.tasks[key].deaths == 0
            assert [info.name for info in here.scheduler.workers()] == ["w"]
            old.say(m.DONE, [("a", b"too late", 8, 0.1)])
            new.say(m.DONE, [("a", b"in time", 7, 0.1)])
            assert await client.hears(m.FINISHED) == (m.FINISHED, [("a", b"in time")])
            assert [type(event) for event in here.events] == [
                WorkerJoined,
                WorkerLeft,
                WorkerJoined,
            ]
            assert here.events[1].expected

    run(main())


def test_a_worker_that_says_it_leaves_is_retired(site, run):
    """What it holds alone moves, then it is told to end; its tasks are not to blame."""

    async def main() -> None:
        async with site() as here:
            client, leaving = await here.client(), await here.worker("leaving")
            await here.submit(client, "a", "b")
            await leaving.hears(m.RUN)
            leaving.say(m.LEAVING, "SIGTERM")
            assert (await leaving.hears(m.RECALL))[1] == ["a", "b"]
            leaving.say(m.RETURNED, ["b"])
            leaving.comm.close()
            await leaving.ends()
            other = await here.worker("other", nthreads=2)
            await other.hears(m.RUN)
            assert here.scheduler.state.tasks["a"].deaths == 0
            assert here.events[1].reason == "SIGTERM"
            assert here.events[1].expected

    run(main())


def test_a_worker_that_dies_is_blamed_on_what_it_ran(site, run):
    """The client hears after as many as are allowed, with what the job agent has to say of it."""

    async def main() -> None:
        async with site(allowed_failures=2) as here:
            client = await here.client()
            await here.submit(client, "a")
            agent = await here.agent()
            for name in ("w1", "w2"):
                worker = await here.worker(name, agent=True, pid=7)
                await worker.hears(m.RUN)
                worker.comm.abort()
                await worker.comm.wait_closed()
                agent.say(m.WORKER_ENDED, name, "killed by SIGSEGV", True, ["last words"], ["a"], 7)
            _, ((_, failure),) = await client.hears(m.FAILED)
            error = Failure(*failure).to_exception()
            assert isinstance(error, KilledWorker)
            assert all(text in str(error) for text in ("w2", "SIGSEGV", "last words"))

    run(main())


def test_without_a_report_the_verdict_comes_soon(site, run, jump):
    """The agent may have died with its worker."""

    async def main() -> None:
        async with site(allowed_failures=1) as here:
            client, worker = await here.client(), await here.worker("w1")
            await here.submit(client, "a")
            await worker.hears(m.RUN)
            worker.comm.abort()
            await worker.comm.wait_closed()
            await pass_time(jump, 10)
            _, ((_, failure),) = await client.hears(m.FAILED)
            assert isinstance(Failure(*failure).to_exception(), KilledWorker)

    run(main())


def test_a_client_may_want_keep_and_try_again_what_another_submitted(site, run):
    """Each by one message; and forget a function that it will not name again."""

    async def main() -> None:
        async with site() as here:
            one, two, worker = await here.client(), await here.client(), await here.worker()
            await here.submit(one, "a")
            one.say(m.FORGET_FUNCTIONS, [b"f"])
            two.say(m.WANT, ["a"])
            two.say(m.KEEP, ["a"])
            await worker.hears(m.RUN)
            worker.say(m.FAILED, [("a", (b"", "ValueError", ""), 0.1)])
            await one.hears(m.FAILED)
            await two.hears(m.FAILED)
            two.say(m.RETRY, ["a"])
            assert await two.hears(m.LOST) == (m.LOST, ["a"])
            await worker.hears(m.RUN)
            worker.say(m.SECEDED, "a")
            worker.say(m.REJOINED, "a")
            worker.say(m.MENTIONS, "a", [])
            worker.say(m.DONE, [("a", b"1", 1, 0.1)])
            await worker.hears(m.MENTIONED)
            assert await two.hears(m.FINISHED) == (m.FINISHED, [("a", b"1")])

    run(main())


# -- garbage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        ("unheard-of", 1),
        (m.DONE,),
        (m.DONE, [("a", b"1")]),
        (m.DONE, [], "too much"),
        (m.DONE, 5),
        (m.DONE, [("a", b"1", "many", 0.1)]),
        (m.DONE, [("a", None, "many", 0.1)]),
        (m.DONE, [("a", b"1", 1, "long")]),
        (m.FAILED, [("a", (b"", "no summary"), 0.1)]),
        (m.FAILED, [("a", None, 0.1)]),
        (m.COPIED, ["a"]),
        (m.SUBMIT, b"f", None, []),  # a client's message
        (["unhashable"],),
        (),
    ],
    ids=repr,
)
def test_garbage_ends_a_workers_connection_and_nothing_else(message, caplog, site, run):
    """Its task goes to another worker, and the log tells of it."""

    async def main() -> None:
        async with site() as here:
            client, bad = await here.client(), await here.worker("bad")
            await here.submit(client, "a")
            await bad.hears(m.RUN)
            bad.comm.send([message])
            await bad.ends()
            other = await here.worker("other")
            _, ((key, *_),) = await other.hears(m.RUN)
            other.say(m.DONE, [(key, b"1", 1, 0.1)])
            assert await client.hears(m.FINISHED) == (m.FINISHED, [("a", b"1")])
            await here.check_works()

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "worker left name=bad" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        ("unheard-of",),
        (m.SUBMIT, b"a function that nobody sent", None, [("k", b"", None)]),
        (m.SUBMIT, b"f", {"priority": "high"}, [("k", b"", None)]),
        (m.SUBMIT, b"f", {"priority": float("nan")}, [("k", b"", None)]),
        (m.SUBMIT, b"f", None, [("k",)]),
        (m.SCATTER, None, [("k", 5)]),
        (m.ASK, 1),
        (m.DONE, []),
    ],
    ids=repr,
)
def test_garbage_ends_a_clients_connection_and_nothing_else(message, site, run):
    """What it had submitted goes with it."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            await here.submit(client, "a")
            client.comm.send([message])
            await client.ends()
            await here.check_works()
            assert here.scheduler.task_counts() == {}

    run(main())


# -- silence ---------------------------------------------------------------------------------------


def pass_time(jump, seconds: int):
    """Put the clock forward in small steps: the scheduler is not to think that it was away."""

    async def steps() -> None:
        for _ in range(seconds // 2):
            jump(2)
            await asyncio.sleep(0.001)

    return steps()


def test_a_silent_worker_is_set_aside_and_welcome_again(site, run, jump):
    """What it was running is done elsewhere; its connection stays; what it ends still counts."""

    async def main() -> None:
        async with site(worker_ttl=10.0) as here:
            client, silent = await here.client(), await here.worker("silent")
            await here.submit(client, "a", "b")
            await silent.hears(m.RUN)
            client.say(m.CALL, 1, ["silent"], b"call", None)
            await silent.hears(m.CALL)
            await pass_time(jump, 12)
            (info,) = here.scheduler.workers()
            assert (info.status, info.processing) == ("set aside", 0)
            _, _, ((_, _, failure),) = await client.hears(m.CALLED)
            assert "does not say anything any more" in failure[1]
            assert silent.reason is None
            other = await here.worker("other")
            await other.hears(m.RUN)
            silent.say(m.DONE, [("a", b"1", 1, 70.0)])
            assert await client.hears(m.FINISHED) == (m.FINISHED, [("a", b"1")])
            assert (await other.hears(m.CANCEL))[2] == ["a"]
            assert [info.status for info in here.scheduler.workers()] == ["running", "running"]

    run(main())


def test_a_worker_that_speaks_now_and_then_is_not_silent(site, run, jump):
    """And it hears that the scheduler is there, too."""

    async def main() -> None:
        async with site(worker_ttl=10.0) as here:
            worker = await here.worker("lively")
            for _ in range(4):
                await pass_time(jump, 6)
                worker.say(m.HEARTBEAT, {"memory": 5})
                await worker.hears(m.HEARTBEAT)
            (info,) = here.scheduler.workers()
            assert (info.status, info.memory) == ("running", 5)

    run(main())


@pytest.mark.parametrize(("ttl", "seconds"), [(300.0, 10.0), (2.0, 0.5)])
def test_workers_hear_how_often_to_speak(site, run, ttl, seconds):
    """So often that one which is well never counts as silent, however short that time is."""

    async def main() -> None:
        async with site(worker_ttl=ttl) as here:
            worker = await here.worker("w")
            assert await worker.hears(m.BEAT) == (m.BEAT, seconds)

    run(main())


def test_a_paused_worker_gets_nothing_new(site, run):
    """Until it says that it is over."""

    async def main() -> None:
        async with site() as here:
            client, worker = await here.client(), await here.worker("w")
            worker.say(m.PAUSED, "memory")
            worker.say(m.HEARTBEAT, {})
            await worker.hears(m.HEARTBEAT)
            assert here.scheduler.workers()[0].status == "paused"
            await here.submit(client, "a")
            worker.say(m.HEARTBEAT, {})
            await worker.hears(m.HEARTBEAT)
            worker.say(m.PAUSED, None)
            await worker.hears(m.RUN)

    run(main())


# -- what cannot be said ---------------------------------------------------------------------------


def narrow(comm, *operations: str) -> None:
    """Let no message of these kinds through."""
    send = comm.send

    def refuse(messages):
        if any(message[0] in operations for message in messages):
            raise FrameError("too large")
        send(messages)

    comm.send = refuse


def test_who_waits_for_what_cannot_be_sent_is_told(site, run, caplog):
    """A task that fits into no frame fails; so do answers and values."""

    async def main() -> None:
        async with site() as here:
            client, worker = await here.client(), await here.worker()
            comms = here.scheduler.connections._comms
            (to_client,) = (comms[peer] for peer in here.scheduler.state.clients.values())
            (to_worker,) = (comms[peer] for peer in here.scheduler.state.workers.values())
            narrow(to_worker, m.RUN)
            await here.submit(client, "a")
            _, ((key, failure),) = await client.hears(m.FAILED)
            assert key == "a"
            assert isinstance(Failure(*failure).to_exception(), FrameError)
            client.say(m.SCATTER, None, [("b", b"value")])
            narrow(to_client, m.FETCHED, m.ANSWER)
            client.say(m.FETCH, ["b"])
            assert (await client.hears(m.FETCH_FAILED))[1] == "b"
            client.say(m.ASK, 7, "nthreads", None)
            assert (await client.hears(m.REFUSED))[1] == 7
            assert worker.reason is None

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "cannot be sent message=run to=w error=too large" in caplog.text
