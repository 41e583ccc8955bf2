"""`as_completed`."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobqueue import Client, as_completed, wait
from jobqueue.errors import JobQueueError, TaskCancelled


def test_as_completed_goes_by_the_order_of_ends(client, gate):
    """What ends first comes first; each comes once."""
    slow, fast = client.submit(gate.function, 1), client.submit(abs, -2)
    order = []
    for future in as_completed([slow, fast]):
        if future is fast:
            gate.open()
        order.append(future.result(30))
    assert order == [2, 1]


def test_as_completed_of_nothing():
    """Nothing to wait for is the end of the loop."""
    assert list(as_completed([])) == []
    assert list(as_completed()) == []


def test_as_completed_of_futures_that_are_done(client):
    """They come at once; the same future given twice comes twice, as do two of one key."""
    first = client.submit(abs, -1, key="one")
    first.result(30)
    again = client.submit(abs, -1, key="one")
    assert sorted(map(id, as_completed([first, first, again]))) == sorted(
        map(id, [first, first, again])
    )


def test_adding_while_iterating(client):
    """`add` and `update` give the loop more to do; `count` says how much is left."""
    completed = as_completed(client.map(abs, [-1, -2]))
    assert completed.count() == 2
    assert not completed.is_empty()
    results = []
    for future in completed:
        results.append(future.result(30))
        if len(results) == 1:
            completed.add(client.submit(abs, -10))
        if len(results) == 3:
            completed.update(client.map(abs, [-20, -30]))
    assert sorted(results) == [1, 2, 10, 20, 30]
    assert completed.is_empty()
    assert completed.count() == 0


def test_a_tree_is_summed_as_results_come(client):
    """The loop users write: two results at a time are added, ahead of the leaves."""
    completed = as_completed(client.map(abs, range(-64, 0)))
    for future in completed:
        if not completed.is_empty():
            other = next(completed)
            completed.add(client.submit(lambda a, b: a + b, future, other, priority=1))
    assert future.result(30) == sum(range(65))


def test_with_results(client):
    """Pairs of future and result; a failed task raises, and the loop may go on."""
    futures = client.map(lambda x: 10 // x, [1, 0, 2])
    completed = as_completed(futures, with_results=True)
    results = {}
    errors = 0
    while not completed.is_empty():
        try:
            future, result = next(completed)
        except ZeroDivisionError:
            errors += 1
        else:
            results[future.key] = result
    assert errors == 1
    assert results == {futures[0].key: 10, futures[2].key: 5}


def test_with_results_of_a_task_that_raised_stop_iteration(client):
    """It is an error, not the end of the loop."""
    completed = as_completed([client.submit(next, iter(()))], with_results=True)
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        list(completed)


def test_batches(client, gate):
    """What has ended by now comes as a list."""
    futures = client.map(abs, range(-10, 0))
    wait(futures, timeout=30)
    completed = as_completed(futures)
    assert set(completed.next_batch()) == set(futures)
    slow = client.submit(gate.function, 1)
    completed.add(slow)
    assert completed.next_batch(block=False) == []
    gate.open()
    assert [future for batch in completed.batches() for future in batch] == [slow]
    assert completed.next_batch() == []
    pairs = as_completed(futures, with_results=True).next_batch()
    assert sorted(result for _, result in pairs) == list(range(1, 11))


def test_a_failure_in_a_batch_loses_nothing(client):
    """With results a failed task raises; all others of the batch come again."""
    futures = client.map(lambda x: 10 // x, [1, 0, 2])
    wait(futures, timeout=30)
    completed = as_completed(futures, with_results=True)
    with pytest.raises(ZeroDivisionError):
        completed.next_batch()
    assert [result for _, result in completed.next_batch()] == [10, 5]


def test_as_completed_from_several_threads(client):
    """Threads may share one: each future goes to one of them."""
    futures = client.map(abs, range(-200, 0))
    completed = as_completed(futures)
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(f.result() for f in completed))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(seen) == list(range(1, 201))


def test_cancelled_tasks_complete(client, gate):
    """A cancelled future comes out of the loop like others."""
    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    future = client.submit(abs, 1)
    future.cancel()
    assert [f.cancelled() for f in as_completed([future])] == [True]
    with pytest.raises(TaskCancelled):
        next(as_completed([future], with_results=True))
    gate.open(2)
    client.gather(blocked)


def test_asynchronous_iteration(cluster, gate):
    """`async for`, with results, adding while iterating, and batches."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            slow, fast = client.submit(gate.function, 1), client.submit(abs, -2)
            results = []
            completed = as_completed([slow, fast], with_results=True)
            async for future, result in completed:
                results.append(result)
                if future is fast:
                    completed.add(client.submit(bytes, 100_000))
                if len(results) == 2:
                    gate.open()
            assert results == [2, bytes(100_000), 1]
            assert [f async for f in as_completed([slow])] == [slow]
            assert [f async for f in as_completed()] == []
            batches = [batch async for batch in as_completed([slow, fast]).batches()]
            assert {future for batch in batches for future in batch} == {slow, fast}

    asyncio.run(main())


def test_a_blocking_loop_in_an_event_loop_is_refused(cluster, gate):
    """An asynchronous client's futures in a plain `for` loop would stop the event loop for ever."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            future = client.submit(gate.function)
            with pytest.raises(JobQueueError, match="async for"):
                next(iter(as_completed([future])))
            gate.open()
            await future

    asyncio.run(main())


def test_exceptions_may_stand_in_for_results(client):
    """With `raise_errors=False` a failed or cancelled task does not end the loop."""
    futures = client.map(lambda x: 1 / x, [1, 0])
    futures.append(client.submit(abs, -1, resources={"none": 1}))
    futures[2].cancel()
    pairs = dict(as_completed(futures, with_results=True, raise_errors=False))
    assert pairs[futures[0]] == 1
    assert isinstance(pairs[futures[1]], ZeroDivisionError)
    assert isinstance(pairs[futures[2]], TaskCancelled)
    batch = as_completed(futures[1:2], with_results=True, raise_errors=False).next_batch()
    assert isinstance(batch[0][1], ZeroDivisionError)


def test_as_completed_has_a_time_limit(client, gate):
    """It counts from the beginning; what has ended is yielded all the same."""
    slow, fast = client.submit(gate.function), client.submit(abs, -1)
    fast.result(30)
    completed = as_completed([slow, fast], timeout=0.05)
    assert next(completed) is fast
    with pytest.raises(TimeoutError, match=r"1 tasks have not ended within 0.05 s"):
        next(completed)
    with pytest.raises(TimeoutError):
        completed.next_batch()
    assert completed.next_batch(block=False) == []
    gate.open()
    slow.result(30)
    assert list(completed) == [slow]


def test_as_completed_is_cleared(client, gate):
    """Nothing of what was added is yielded; more may be added."""
    slow, fast = client.submit(gate.function), client.submit(abs, -1)
    fast.result(30)
    completed = as_completed([slow, fast])
    assert completed.has_ready()
    completed.clear()
    assert not completed.has_ready()
    assert completed.is_empty()
    assert list(completed) == []
    completed.add(slow)
    assert completed.count() == 1
    gate.open()
    assert list(completed) == [slow]


def test_asynchronous_iteration_with_a_time_limit(cluster, gate):
    """The same in an event loop."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            slow = client.submit(gate.function)
            with pytest.raises(TimeoutError, match="1 tasks have not ended within"):
                async for _ in as_completed([slow], timeout=0.01):
                    pass
            gate.open()
            pairs = [pair async for pair in as_completed([slow], with_results=True, timeout=30)]
            assert pairs == [(slow, None)]

    asyncio.run(main())
