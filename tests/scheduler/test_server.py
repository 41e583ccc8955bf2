"""The scheduler's shell: what its owner asks of it, its addresses and its clock."""

from __future__ import annotations

import asyncio

import pytest

from jobqueue.comm import Credentials, connect
from jobqueue.errors import AuthenticationFailed, CommError, WorkersUnavailable
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON, WorkerFacts
from jobqueue.scheduler.server import Scheduler


def test_retiring_returns_when_the_workers_are_gone(site, run):
    """What they hold alone has moved before."""

    async def main() -> None:
        async with site() as here:
            client, goes = await here.client(), await here.worker("goes")
            await here.submit(client, "a")
            await goes.hears(m.RUN)
            goes.say(m.DONE, [("a", None, 10_000, 0.1)])
            await client.hears(m.FINISHED)
            stays = await here.worker("stays")
            retiring = asyncio.create_task(
                here.scheduler.retire(["goes", "unheard-of"], timeout=20.0)
            )
            assert (await stays.hears(m.COPY))[1] == [("a", [()])]
            assert not retiring.done()
            stays.say(m.COPIED, ["a"], [])
            await goes.hears(m.END)
            goes.comm.close()
            await retiring
            assert [info.name for info in here.scheduler.workers()] == ["stays"]
            assert here.events[-1].expected

    run(main())


def test_retiring_has_an_end(site, run, jump):
    """A worker that goes on with its task is told to end, and the task runs elsewhere."""

    async def main() -> None:
        async with site() as here:
            client, goes = await here.client(), await here.worker("goes")
            await here.submit(client, "a")
            await goes.hears(m.RUN)
            retiring = asyncio.create_task(here.scheduler.retire(["goes"], timeout=5))
            await goes.hears(m.RECALL)
            goes.say(m.RETURNED, [])
            jump(6)
            assert "did not retire within 5 s" in (await goes.hears(m.END))[1]
            await retiring
            other = await here.worker("other")
            _, ((key, *_),) = await other.hears(m.RUN)
            assert here.scheduler.state.tasks[key].deaths == 0

    run(main())


def test_an_outage_is_told_to_all_clients(site, run):
    """To those that come later as well, until it is over."""

    async def main() -> None:
        async with site() as here:
            early = await here.client()
            here.scheduler.set_outage(WorkersUnavailable("the queue is closed"))
            late = await here.client()
            for client in (early, late):
                _, failure = await client.hears(m.OUTAGE)
                assert str(Failure(*failure).to_exception()) == "the queue is closed"
            here.scheduler.set_outage(None)
            for client in (early, late):
                assert await client.hears(m.OUTAGE) == (m.OUTAGE, None)

    run(main())


def test_the_end_of_an_outage_is_known_when_the_call_returns(site, run):
    """Who scales in one thread and then waits is not told of trouble that is over."""

    async def main() -> None:
        async with site() as here:
            client = await here.client()
            here.scheduler.set_outage(WorkersUnavailable("the queue is closed"))
            await client.hears(m.OUTAGE)

            async def mend() -> None:
                here.scheduler.set_outage(None)

            count = len(client.heard)
            await asyncio.create_task(mend())
            assert client.heard[count:] == [(m.OUTAGE, None)]

    run(main())


def test_closing_tells_workers_to_end(site, run):
    """And clients that nothing more will come; closing twice is as good as once."""

    async def main() -> None:
        async with site() as here:
            client, worker = await here.client(), await here.worker()
            await here.scheduler.close()
            assert (await worker.hears(m.END))[1] == "the scheduler closes"
            await worker.ends()
            await client.ends()
            await here.scheduler.close()
            with pytest.raises(CommError, match="nobody listens"):
                await here.client()

    run(main())


# -- addresses -------------------------------------------------------------------------------------


def test_workers_and_clients_can_have_addresses_of_their_own(run):
    """Each is refused, in words, where the others belong."""

    async def main() -> None:
        credentials = Credentials.create("c")
        scheduler = Scheduler(
            name="c",
            credentials=credentials,
            listen=["tcp://127.0.0.1:0"],
            listen_clients=["tcp://127.0.0.1:0"],
        )
        await scheduler.start()
        (workers,), (clients,) = scheduler.addresses, scheduler.client_addresses
        assert workers != clients
        hellos = {
            "worker": WorkerFacts("w", 1).to_hello(),
            "agent": {"role": "agent", "python": PYTHON},
            "task": {"role": "task", "python": PYTHON},
            "client": {"role": "client", "python": PYTHON},
        }
        for role, hello in hellos.items():
            right, wrong = (clients, workers) if role == "client" else (workers, clients)
            with pytest.raises(AuthenticationFailed, match=rf"the peer is a '{role}'"):
                await connect(wrong, hello=hello, credentials=credentials)
            comm = await connect(right, hello=hello, credentials=credentials)
            comm.abort()
            await comm.wait_closed()
        await scheduler.close()

    run(main())


def test_one_address_serves_all_unless_told_otherwise(run):
    """Workers and clients find the scheduler at the same place."""

    async def main() -> None:
        scheduler = Scheduler(
            name="c", credentials=Credentials.create("c"), listen=["tcp://127.0.0.1:0"]
        )
        await scheduler.start()
        assert scheduler.addresses == scheduler.client_addresses
        assert len(scheduler.addresses) == 1
        await scheduler.close()

    run(main())


def test_a_scheduler_that_cannot_listen_everywhere_listens_nowhere(run):
    """The addresses that were free are free again."""

    async def main() -> None:
        credentials = Credentials.create("c")
        first = Scheduler(name="c", credentials=credentials, listen=["tcp://127.0.0.1:0"])
        await first.start()
        second = Scheduler(
            name="c", credentials=credentials, listen=["tcp://127.0.0.1:0", *first.addresses]
        )
        with pytest.raises(CommError, match="in use"):
            await second.start()
        with pytest.raises(CommError, match="nobody listens"):
            await connect(second.local_address, hello={"role": "client", "python": PYTHON})
        await first.close()

    run(main())
