"""Locks, semaphores and events, among threads, tasks and programs."""

from __future__ import annotations

import asyncio
import pickle
import threading
from datetime import timedelta

import pytest

from jobqueue import Client, Event, Lock, Semaphore
from jobqueue.errors import ConfigError, CoordinationError


def test_a_lock_has_one_holder(client):
    """Others have to wait, or go without; it is known by its name."""
    lock = Lock("one", client)
    assert lock.acquire() is True
    assert lock.locked() is True
    assert Lock("one", client).acquire(blocking=False) is False
    assert Lock("one", client).acquire(timeout=0.01) is False
    assert Lock("other", client).acquire(timeout=timedelta(seconds=9)) is True
    lock.release()
    assert lock.locked() is False
    assert repr(lock) == "<Lock one>"


def test_a_lock_without_a_name_is_nobody_elses(client):
    """Unless it is passed on."""
    lock = Lock(client=client)
    with lock:
        assert Lock(client=client).acquire(timeout=0) is True
        assert pickle.loads(pickle.dumps(lock)).name == lock.name


def test_who_does_not_hold_a_lock_cannot_release_it(client):
    """Nor a copy of it."""
    lock = Lock("mine", client)
    with pytest.raises(CoordinationError, match="lock 'mine' is released, but this object does"):
        lock.release()
    with lock, pytest.raises(RuntimeError, match="acquire it first"):
        Lock("mine", client).release()


def test_a_lock_goes_to_who_waits(client):
    """As soon as it is released."""
    lock, order = Lock("handed on", client), []
    lock.acquire()

    def wait() -> None:
        with Lock("handed on", client):
            order.append("waited")

    thread = threading.Thread(target=wait)
    thread.start()
    order.append("released")
    lock.release()
    thread.join()
    assert order == ["released", "waited"]


def test_tasks_exclude_each_other(client, tmp_path):
    """All tasks of all workers; the lock finds its way by its name, or as an argument."""
    path = str(tmp_path / "count")
    (tmp_path / "count").write_text("0")

    def count(lock) -> None:
        with lock if isinstance(lock, Lock) else Lock(lock):
            with open(path) as file:
                number = int(file.read())
            with open(path, "w") as file:
                file.write(str(number + 1))

    futures = client.map(count, ["counting"] * 10 + [Lock("counting")] * 10)
    client.gather(futures)
    assert (tmp_path / "count").read_text() == "20"


def test_a_task_that_waits_makes_way(client):
    """Two workers with one thread each: four tasks wait, and what they wait for is a task."""
    event = Event("made way", client)
    waiting = client.map(lambda event, _: event.wait(), [event] * 4, range(4))
    client.submit(event.set).result()
    assert client.gather(waiting) == [True] * 4


def test_who_is_gone_holds_nothing(client, cluster):
    """Its locks go to those who wait."""
    other = Client(cluster)
    Lock("left", other).acquire()
    Semaphore(1, "left", other).acquire()
    other.close()
    assert Lock("left", client).acquire(timeout=30) is True
    assert Semaphore(1, "left", client).acquire(timeout=30) is True


def test_a_semaphore_has_several_holders(client):
    """As many as it says, and all must say the same."""
    semaphore = Semaphore(2, "two", client)
    assert semaphore.max_leases == 2
    with semaphore:
        assert semaphore.acquire() is True
        assert semaphore.get_value() == 2
        assert semaphore.acquire(timeout=0.01) is False
        with pytest.raises(ConfigError, match="in use with max_leases=2, not 3"):
            Semaphore(3, "two", client).acquire()
        semaphore.release()
        assert client.submit(lambda s: s.acquire() and s.get_value(), semaphore).result() == 2
    with pytest.raises(ConfigError, match="max_leases=0"):
        Semaphore(0)


def test_a_closed_semaphore_lets_nobody_wait(client):
    """Whoever waits hears so, and whoever comes later."""
    semaphore = Semaphore(1, "closed", client)
    semaphore.acquire()
    waiting = client.submit(lambda: Semaphore(1, "closed").acquire())
    client.submit(lambda: None).result()
    semaphore.close()
    with pytest.raises(CoordinationError, match="'closed' was closed"):
        waiting.result()
    with pytest.raises(CoordinationError, match="use one with another name"):
        semaphore.acquire()


def test_an_event_lets_all_go_on(client):
    """Until it is cleared."""
    event = Event("go", client)
    assert event.is_set() is False
    assert event.wait(timeout=0.01) is False
    futures = client.map(lambda event, _: event.wait(), [event] * 3, range(3))
    event.set()
    assert client.gather(futures) == [True] * 3
    assert event.wait() is True
    event.clear()
    assert event.is_set() is False


def test_what_cannot_be_meant_is_refused(client):
    """With the value, and what it may be."""
    with pytest.raises(ConfigError, match="Lock\\(7\\): a name is text"):
        Lock(7)
    with pytest.raises(ConfigError, match="nothing to wait for"):
        Lock("x", client).acquire(blocking=False, timeout=1)
    with pytest.raises(ConfigError, match="timeout='long'"):
        Event("x", client).wait(timeout="long")


def test_they_are_awaited_where_the_client_is_asynchronous(cluster):
    """Whoever waits in one coroutine lets others run."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            lock, event = Lock("async", client), Event("async", client)
            waiting = asyncio.create_task(event.wait())
            async with lock:
                assert await lock.locked()
                assert await Lock("async").acquire(timeout=0.01) is False
                with pytest.raises(CoordinationError, match="use 'async with'"):
                    lock.__enter__()
            await event.set()
            assert await waiting is True
            async with Semaphore(2, "async", client) as semaphore:
                assert await semaphore.get_value() == 1

    asyncio.run(main())


def test_a_cancelled_wait_takes_no_lock(cluster):
    """The next one gets it."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            lock = Lock("cancelled", client)
            await lock.acquire()
            waiting = asyncio.create_task(Lock("cancelled", client).acquire())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await lock.release()
            assert await Lock("cancelled", client).acquire(timeout=30) is True

    asyncio.run(main())


def test_a_coroutine_may_use_a_synchronous_clients_lock(client):
    """From any event loop, which goes on meanwhile."""

    async def main() -> bool:
        async with Lock("any loop", client) as lock:
            return await asyncio.to_thread(lock.locked)

    assert asyncio.run(main()) is True
