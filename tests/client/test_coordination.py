"""What is shared by name: how it finds its client, and what ends a wait for it."""

from __future__ import annotations

import asyncio
import pickle
import signal
import threading
import time

import pytest

from jobqueue import Client, Event, Lock, Queue, Semaphore, Variable
from jobqueue.errors import ClientClosed, WorkersUnavailable


@pytest.mark.parametrize(
    "thing", [Lock("x"), Event("x"), Semaphore(3, "x"), Queue("x", maxsize=3), Variable("x")]
)
def test_a_copy_means_the_same(thing):
    """Pickled, it is a name and its settings."""
    copy = pickle.loads(pickle.dumps(thing))
    assert type(copy) is type(thing)
    assert copy.name == thing.name
    assert getattr(copy, "maxsize", None) == getattr(thing, "maxsize", None)
    assert getattr(copy, "max_leases", None) == getattr(thing, "max_leases", None)


def test_without_a_client_the_last_one_made_is_meant(own_client):
    """And in a task, the task's."""
    assert Lock("x").client is own_client
    assert own_client.submit(lambda: Lock("x").acquire()).result() is True


def test_without_any_client_it_says_so():
    """An error that says what to do, instead of a wait."""
    with pytest.raises(ClientClosed, match="make one"):
        Lock("x").acquire()


def test_a_closed_client_ends_a_wait(own_cluster):
    """From another thread, say; and later questions are refused."""
    client = Client(own_cluster)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            Event("never", client).wait()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert Event("other", client).is_set() is False
    client.close()
    thread.join()
    assert isinstance(ended[0], ClientClosed)
    with pytest.raises(ClientClosed):
        Event("never", client).is_set()


def test_an_outage_ends_a_wait_but_not_the_rest(own_cluster):
    """Nobody will put anything; what is there can be had all the same."""
    with Client(own_cluster) as client:
        queue = Queue("outage", client)
        queue.put(1)
        error = WorkersUnavailable("no job starts")
        client._waits.loop.call_soon_threadsafe(own_cluster.scheduler.set_outage, error)
        with pytest.raises(WorkersUnavailable, match="no job starts"):
            Event("outage", client).wait()
        assert queue.get() == 1
        with pytest.raises(WorkersUnavailable, match="no job starts"):
            queue.get()


def test_ctrl_c_ends_a_wait(own_client):
    """And what it waited for goes to the next one."""
    lock = Lock("interrupted", own_client)
    lock.acquire()

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.main_thread().ident

    def interrupt_once_it_waits() -> None:
        while not own_client._connection._questions:
            time.sleep(0.001)
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt_once_it_waits)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Lock("interrupted", own_client).acquire()
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join()
    lock.release()
    assert Lock("interrupted", own_client).acquire(timeout=30) is True


def test_what_is_awaited_is_itself(cluster):
    """`await Queue("q")` is how programs for an asynchronous client make one."""

    async def main():
        client = Client(cluster, asynchronous=True)
        for kind in (Lock, Semaphore, Event, Queue, Variable):
            with pytest.raises(ClientClosed, match="not started"):
                await kind(name="made", client=client)
        async with client:
            for kind in (Lock, Semaphore, Event, Queue, Variable):
                made = kind(name="made", client=client)
                assert await made is made
            variable = await Variable("timed", client)
            await variable.set(1, timeout="30 s")
            assert await variable.get() == 1

    asyncio.run(main())
