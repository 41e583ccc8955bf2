"""Waiting while no worker will come: with a scheduler, and no worker at all."""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import threading
import types

import pytest

from jobqueue import Client, Future, as_completed, progress, wait
from jobqueue.client import waits
from jobqueue.comm.loop import LoopThread
from jobqueue.errors import JobQueueError, WorkersUnavailable
from jobqueue.scheduler.server import Scheduler


@pytest.fixture
def scheduler():
    """A scheduler in the shared loop, without any worker."""
    loop = LoopThread.shared()
    scheduler = Scheduler(name="alone")
    loop.run(scheduler.start())
    yield scheduler
    loop.run(scheduler.close())


@pytest.fixture
def client(scheduler):
    """Its client."""
    cluster = types.SimpleNamespace(scheduler=scheduler, loop=LoopThread.shared())
    with Client(cluster) as client:
        yield client


@pytest.fixture
def outage(scheduler, client, wait_until):
    """Sets, with a text, or ends, with None, an outage; the client knows of it."""

    def set_outage(text):
        error = None if text is None else WorkersUnavailable(text)
        LoopThread.shared().call(scheduler.set_outage, error)
        wait_until(lambda: (client._waits.outage is None) is (text is None))

    return set_outage


def test_whoever_waits_learns_of_an_outage(client, outage):
    """Each way of waiting ends with the reason, those that begin later as well."""
    future = client.submit(abs, -1)
    ways = (
        future.result,
        future.exception,
        lambda: client.gather([future]),
        lambda: wait([future]),
        lambda: next(as_completed([future])),
        client.wait_for_workers,
    )
    raised: list[BaseException] = []

    def use(way):
        try:
            way()
        except WorkersUnavailable as error:
            raised.append(error)

    threads = [threading.Thread(target=use, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    outage("no partition of this name")
    for thread in threads:
        thread.join(30)
    assert len(raised) == len(ways)
    for way in ways:
        with pytest.raises(WorkersUnavailable, match="no partition of this name"):
            way()


def test_an_outage_may_end(client, outage):
    """Then one waits as before."""
    future = client.submit(abs, -1)
    outage("nothing free")
    with pytest.raises(WorkersUnavailable):
        future.result(30)
    outage(None)
    with pytest.raises(TimeoutError):
        future.result(0.01)


def test_values_that_are_here_come_in_an_outage(client, outage):
    """What the scheduler itself holds is no worker's concern."""
    data = client.scatter([bytes(100_000)])
    pending = client.submit(abs, -1)
    outage("nothing free")
    with pytest.raises(WorkersUnavailable):
        pending.result(30)
    assert data[0].result(30) == bytes(100_000)


@pytest.mark.parametrize(
    "waiting",
    [
        Future.result,
        Future.exception,
        lambda future: future.result(1000),
        lambda future: future.client.gather([future]),
        lambda future: wait([future], timeout=1000).done.pop().exception(),
        lambda future: next(as_completed([future])).exception(),
        lambda future: next(as_completed([future], with_results=True)),
        lambda future: asyncio.run(_awaited(future)),
        lambda future: future.client.get_executor()._follow(future).result(),
        lambda future: (progress(future, file=io.StringIO()), future.exception())[1],
    ],
    ids=[
        "result",
        "exception",
        "timeout",
        "gather",
        "wait",
        "as_completed",
        "pairs",
        "await",
        "executor",
        "progress",
    ],
)
def test_a_future_released_meanwhile(client, wait_until, waiting):
    """Whoever waits for it learns that; nothing else would ever come."""
    future = client.submit(abs, -1)

    def release():
        wait_until(lambda: client._waits._running)
        future.release()

    releasing = threading.Thread(target=release)
    releasing.start()
    try:
        outcome = waiting(future)
    except concurrent.futures.CancelledError as error:
        outcome = error
    releasing.join()
    assert isinstance(outcome, concurrent.futures.CancelledError)
    wait_until(lambda: not client._waits._running)


async def _awaited(future):
    return await future


def test_a_future_released_before_it_is_waited_for(client, wait_until):
    """As `as_completed` holds it; callbacks are called as well."""
    future, called = client.submit(abs, -1), threading.Event()
    future.add_done_callback(lambda future: called.set())
    completed = as_completed([future])
    future.release()
    assert next(completed) is future
    assert called.wait(30)


def test_a_future_released_beside_another_of_the_same_task(client, scheduler, wait_until):
    """The task is still wanted, and so is waited for."""
    future, again = client.submit(abs, -1, key="twice"), client.submit(abs, -1, key="twice")
    completed = as_completed([again])
    future.release()
    wait_until(lambda: not client._book.dropped)
    assert again.status == "pending"
    assert not completed.has_ready()
    again.release()
    assert next(completed) is again


def test_errors_do_not_pile_up_tracebacks(client, outage):
    """Each wait raises an exception of its own."""
    future = client.submit(abs, -1)
    outage("nothing free")
    with pytest.raises(WorkersUnavailable) as first:
        future.result(30)
    with pytest.raises(WorkersUnavailable) as second:
        future.result(30)
    assert first.value is not second.value


def test_long_waits_are_explained(client, monkeypatch, caplog, wait_until):
    """The log says what is waited for, and how many workers there are."""
    monkeypatch.setattr(waits, "EXPLAIN_AFTER", 0.01)
    future = client.submit(abs, -1)
    with pytest.raises(TimeoutError):
        future.result(0.05)
    wait_until(lambda: "waiting for 1 task: 0 workers" in caplog.text)


def test_blocking_in_the_loop_itself_is_refused(client):
    """In the thread of the event loop nothing may wait for what only that loop can bring."""
    future = client.submit(abs, -1)

    async def block():
        future.result()

    with pytest.raises(JobQueueError, match="would stop the event loop"):
        LoopThread.shared().run(block())


def test_asynchronous_waits_learn_of_an_outage():
    """The same in the user's event loop."""

    async def main():
        scheduler = Scheduler(name="alone")
        await scheduler.start()
        cluster = types.SimpleNamespace(scheduler=scheduler, loop=None)
        async with Client(cluster, asynchronous=True) as client:
            future = client.submit(abs, -1)
            waiting = [
                asyncio.ensure_future(future.result()),
                asyncio.ensure_future(client.gather([future])),
                asyncio.ensure_future(wait([future])),
                asyncio.ensure_future(anext(as_completed([future]))),
                asyncio.ensure_future(client.wait_for_workers()),
            ]
            await asyncio.sleep(0)
            scheduler.set_outage(WorkersUnavailable("nothing free"))
            errors = await asyncio.gather(*waiting, return_exceptions=True)
            assert [str(error) for error in errors] == ["nothing free"] * 5
        await scheduler.close()

    asyncio.run(main())
