"""`wait`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobqueue import Client, as_completed, wait
from jobqueue.errors import ClientClosed, ConfigError


def test_wait_for_all(client):
    """Both sets are returned; failed tasks have ended as well."""
    futures = client.map(lambda x: 1 / x, range(3))
    done, not_done = wait(futures, timeout=30)
    assert done == set(futures)
    assert not_done == set()
    assert wait(futures).done == done
    assert wait([]) == (set(), set())


def test_wait_for_the_first(client, gate):
    """With FIRST_COMPLETED one is enough, and it may be there already."""
    slow = client.submit(gate.function)
    fast = client.submit(abs, -1)
    for _ in range(2):
        done, not_done = wait([slow, fast], timeout=30, return_when="FIRST_COMPLETED")
        assert done == {fast}
        assert not_done == {slow}
    gate.open()
    assert wait([slow, fast], timeout=30).done == {slow, fast}


def test_whatever_holds_futures_can_be_waited_for(client):
    """A single one, a dict, a generator; what is no future is refused, and nothing hangs."""
    one, other = client.map(abs, [-1, -2])
    for futures in (one, {"x": one, "y": [other]}, (future for future in [one, other])):
        assert wait(futures, timeout=30).not_done == set()
    assert list(as_completed(one)) == [one]
    assert client.gather(future for future in [one, other]) == [1, 2]
    assert client.gather({"x": one}.values()) == [1]
    for function in (wait, as_completed, as_completed().add, client.cancel, client.retry):
        with pytest.raises(ConfigError, match="'abs' is no future"):
            function("abs")
    assert client.gather(client.submit(divmod, 1, 0), errors="skip") is None


def test_wait_gives_up(client, gate):
    """It says how many of how many are missing."""
    futures = [client.submit(abs, 1), client.submit(gate.function)]
    futures[0].result(30)
    with pytest.raises(TimeoutError, match=r"1 of 2 tasks have not ended within 0\.01 s"):
        wait(futures, timeout=0.01)
    gate.open()
    wait(futures, timeout=30)


def test_wait_with_the_same_future_twice(client):
    """A future may stand in the list several times, and several futures may have one key."""
    future = client.submit(abs, -1, key="twice")
    again = client.submit(abs, -1, key="twice")
    assert wait([future, future, again], timeout=30).done == {future, again}


def test_wait_refuses_nonsense(client, cluster):
    """An unknown `return_when`; futures of two clients."""
    with pytest.raises(ConfigError, match="return_when='ANY'"):
        wait([], return_when="ANY")
    with Client(cluster) as other, pytest.raises(ConfigError, match="of one client"):
        wait([client.submit(abs, 1), other.submit(abs, 1)])


def test_waits_end_with_the_client(cluster, gate):
    """Closing the client from another thread ends a loop and a wait that will never be served."""
    client = Client(cluster)
    futures = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    errors: list[BaseException | None] = []

    def loop():
        errors.extend(future.exception() for future in as_completed(futures))

    def block():
        errors.extend(future.exception() for future in wait(futures).done)

    threads = [threading.Thread(target=target) for target in (loop, block)]
    for thread in threads:
        thread.start()
    client.close()
    for thread in threads:
        thread.join(30)
    gate.open(2)
    assert [type(error) for error in errors] == [ClientClosed] * 4


def test_asynchronous_wait(cluster, gate):
    """`await wait(...)`; of nothing as well."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            slow, fast = client.submit(gate.function, 1), client.submit(abs, -2)
            done, not_done = await wait([slow, fast], return_when="FIRST_COMPLETED")
            assert (done, not_done) == ({fast}, {slow})
            with pytest.raises(TimeoutError, match="1 of 2 tasks"):
                await wait([slow, fast], timeout=0.01)
            gate.open()
            assert (await wait([slow, fast], timeout=30)).not_done == set()
            assert await wait([]) == (set(), set())

    asyncio.run(main())
