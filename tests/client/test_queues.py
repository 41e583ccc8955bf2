"""Queues and variables, among threads, tasks and programs."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from jobqueue import Client, Queue, Variable
from jobqueue.errors import ConfigError, CoordinationError, SerializationError


def test_a_queue_gives_what_was_put(client):
    """In that order, one by one or several at a time."""
    queue = Queue("q", client)
    for value in (1, "two", [3], None, 5, 6):
        queue.put(value)
    assert queue.qsize() == 6
    assert queue.get() == 1
    assert queue.get(batch=2) == ["two", [3]]
    assert queue.get() is None
    assert queue.get(batch=True) == [5, 6]
    assert queue.get(batch=True) == []
    assert repr(queue) == "<Queue q>"


def test_a_full_queue_and_an_empty_one(client):
    """Whoever waits for too long hears so, and nothing is lost by that."""
    queue = Queue("bounded", client, maxsize=1)
    queue.put(1)
    with pytest.raises(TimeoutError, match="queue 'bounded' was full for 0"):
        queue.put(2, timeout=0.01)
    with pytest.raises(ConfigError, match="a batch of 2 never comes"):
        queue.get(batch=2)
    assert queue.get() == 1
    with pytest.raises(TimeoutError, match="queue 'bounded' had nothing to get within 0"):
        queue.get(timeout=0)
    queue.put(3)
    assert queue.get(timeout=30) == 3


def test_the_first_bound_named_counts(client):
    """Tasks that name the queue only by its name find it bounded."""
    queue = Queue("named before", client, maxsize=1)
    queue.put(1)

    def put() -> str:
        try:
            Queue("named before").put(2, timeout=0.01)
        except TimeoutError:
            return "full"
        return "put"

    assert client.submit(put).result() == "full"
    queue.close()
    assert client.submit(put).result() == "put"


def test_tasks_and_programs_talk(client):
    """A task works off what it is sent, and sends back what it makes of it."""
    there, back = Queue("there", client), Queue("back", client)

    def work(there: Queue, back: Queue) -> str:
        while (value := there.get()) is not None:
            back.put(value * 2)
        return "end"

    future = client.submit(work, there, back)
    for value in (1, 2, 3, None):
        there.put(value)
    assert [back.get() for _ in range(3)] == [2, 4, 6]
    assert future.result() == "end"


def test_a_future_travels_through_a_queue(client):
    """Its result is kept meanwhile, though nobody else holds a future of it."""
    queue = Queue("futures", client)
    queue.put({"future": client.submit(pow, 2, 10, key="travels")})
    gc.collect()
    assert client.submit(lambda q: q.get()["future"].result() + 1, queue).result() == 1025


def test_a_task_hands_futures_of_its_own_on(client):
    """As they are: the task that made them need not wait for them."""
    queue = Queue("from a task", client)

    def submit(queue: Queue) -> None:
        from jobqueue.client.in_task import get_client

        queue.put([get_client().submit(pow, 3, number) for number in range(3)])

    client.submit(submit, queue).result()
    assert client.gather(queue.get()) == [1, 3, 9]


def test_a_closed_queue_lets_nobody_wait(client, cluster):
    """Whoever waits hears so."""
    queue = Queue("to be closed", client)
    waiting = client.submit(lambda q: q.get(), queue)
    things = cluster.scheduler.questions._coordination._things
    while ("queue", "to be closed") not in things:  # until somebody waits for it
        time.sleep(0.001)
    queue.close()
    with pytest.raises(CoordinationError, match="'to be closed' was closed"):
        waiting.result()


def test_a_variable_has_one_value(client):
    """The last one that was set; without one, readers wait."""
    variable = Variable("v", client)
    with pytest.raises(TimeoutError, match="variable 'v' had nothing to get"):
        variable.get(timeout=0.01)
    reader = client.submit(lambda v: v.get(), variable)
    variable.set({"loss": 0.5})
    assert reader.result() == {"loss": 0.5}
    variable.set(client.submit(pow, 2, 3))
    gc.collect()
    assert variable.get().result() == 8
    assert variable.get().result() == 8
    variable.delete()
    with pytest.raises(TimeoutError):
        variable.get(timeout=0)


def test_threads_share_a_queue(client):
    """Each value comes once."""
    queue, got = Queue("threads", client), []

    def take() -> None:
        got.extend(queue.get() for _ in range(20))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for value in range(60):
        queue.put(value)
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(60))


def test_what_cannot_be_meant_is_refused(client):
    """With the value, and what it may be."""
    with pytest.raises(ConfigError, match="maxsize=-1"):
        Queue("x", client, maxsize=-1)
    with pytest.raises(ConfigError, match="batch=-1"):
        Queue("x", client).get(batch=-1)
    with pytest.raises(SerializationError, match="cannot be pickled"):
        Queue("x", client).put(threading.Lock())
    assert Queue("x", client).qsize() == 0


def test_they_are_awaited_where_the_client_is_asynchronous(cluster):
    """Futures inside belong to the reader's client."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            queue, variable = Queue("async", client), Variable("async", client)
            getting = asyncio.create_task(queue.get())
            await queue.put([client.submit(pow, 2, 2)])
            assert [await future for future in await getting] == [4]
            await variable.set(1)
            assert await variable.get() == 1
            assert await queue.qsize() == 0

    asyncio.run(main())


def test_a_cancelled_get_takes_nothing(cluster):
    """The next one gets it."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            queue = Queue("cancelled", client)
            getting = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            getting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await getting
            await queue.put(1)
            assert await queue.get(timeout=30) == 1

    asyncio.run(main())
