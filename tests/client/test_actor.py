"""Actors: objects that live on one worker, called from programs and from tasks."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal

import pytest

from jobqueue import Client, LocalCluster, get_client
from jobqueue.client.actor import Actor, ActorFuture
from jobqueue.errors import DataLost, JobQueueError


class Counter:
    """What the tests count with."""

    unit = "times"

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.history: list[int] = []

    def add(self, number: int = 1) -> int:
        self.count += number
        self.history.append(number)
        return self.count

    def fail(self) -> None:
        raise ValueError(f"not {self.count}")

    def pid(self) -> int:
        return os.getpid()

    async def later(self, number: int) -> int:
        await asyncio.sleep(0)
        return self.add(number)


@pytest.fixture
def counter(client: Client) -> Actor:
    """An actor on one of the module's workers."""
    return client.submit(Counter, 10, actor=True).result()


def test_methods_return_futures_of_their_results(counter: Actor) -> None:
    """The object keeps its state between calls."""
    future = counter.add(5)
    assert isinstance(future, ActorFuture)
    assert future.result(timeout=30) == 15
    assert future.done()
    assert repr(future) == "<ActorFuture: Counter.add, done>"
    assert counter.add().result() == 16


def test_attributes_are_read(counter: Actor) -> None:
    """The object's own and its class's, as they are now."""
    counter.add(2).result()
    assert counter.count == 12
    assert counter.unit == "times"
    assert counter.history == [2]


def test_attributes_are_not_set(counter: Actor) -> None:
    """What is set here would not be there."""
    with pytest.raises(AttributeError, match="have a method of the object do it"):
        counter.count = 3


def test_an_attribute_that_is_not_there_is_not_asked_for(counter: Actor) -> None:
    """Much code asks any object for some; none of it means a remote call."""
    with pytest.raises(AttributeError, match="had no attribute 'nbytes' when it was made"):
        _ = counter.nbytes
    assert not hasattr(counter, "_repr_html_")
    assert not hasattr(counter, "__array__")


def test_it_says_what_it_is(counter: Actor) -> None:
    """For people, and for completion in a shell."""
    assert repr(counter).startswith("<Actor: Counter, key: Counter-")
    assert {"add", "fail"} <= set(dir(counter))


def test_calls_run_in_their_order(counter: Actor) -> None:
    """Of one client: a thousand of them, none waited for before the next."""
    futures = [counter.add(number) for number in range(200)]
    assert [future.result() for future in futures][-1] == 10 + sum(range(200))
    assert counter.history == [*range(200)]


def test_exceptions_come_as_themselves(counter: Actor) -> None:
    """And the object is as well as before."""
    future = counter.fail()
    with pytest.raises(ValueError, match="not 10"):
        future.result()
    assert isinstance(future.exception(), ValueError)
    assert counter.add().exception() is None
    assert counter.count == 11


def test_one_that_cannot_be_made_fails_as_a_task(client: Client) -> None:
    """By its own exception."""
    with pytest.raises(TypeError, match="unexpected keyword"):
        client.submit(Counter, nothing=1, actor=True).result()


def test_coroutine_methods_work(counter: Actor) -> None:
    """They run in the worker's event loop."""
    assert counter.later(1).result() == 11


def test_a_result_that_takes_too_long_is_a_timeout(client: Client) -> None:
    """The call goes on."""

    class Slow:
        def wait(self, seconds):
            import time

            time.sleep(seconds)
            return "done"

    slow = client.submit(Slow, actor=True).result()
    future = slow.wait(0.2)
    with pytest.raises(TimeoutError, match=r"Slow\.wait has not ended within 0.01 s"):
        future.result(timeout=0.01)
    assert future.result() == "done"


def test_actors_share_a_worker_and_each_has_its_state(client: Client) -> None:
    """`map` makes several."""
    counters = client.gather(client.map(Counter, [1, 2, 3], actors=True))
    assert [counter.add(1).result() for counter in counters] == [2, 3, 4]


def test_tasks_call_actors(client: Client, counter: Actor) -> None:
    """Wherever they run: the handle is an argument like any other."""

    def use(counter, number):
        return counter.add(number).result()

    futures = client.map(use, [counter] * 6, range(6))
    client.gather(futures)
    assert counter.count == 10 + 15


def test_tasks_get_the_handle_for_the_future(client: Client) -> None:
    """As they get any other result."""
    future = client.submit(Counter, actor=True)
    assert client.submit(lambda counter: counter.add(3).result(), future).result() == 3


def test_a_task_passes_a_handle_on(client: Client, counter: Actor) -> None:
    """To a task of its own, and in its result."""

    def outer(counter):
        inner = get_client().submit(lambda counter: counter.add(1).result(), counter)
        return inner.result(), [counter]

    number, [same] = client.submit(outer, counter).result()
    assert number == 11
    assert same.add(1).result() == 12
    assert counter.count == 12


def test_a_task_makes_an_actor_and_returns_it(client: Client) -> None:
    """It lives on when the task has ended."""

    def make():
        return get_client().submit(Counter, 7, actor=True).result()

    assert client.submit(make).result().add(1).result() == 8


def test_it_lives_as_long_as_a_handle_does(client: Client, wait_until) -> None:
    """The future may be gone; without handles, the object is."""
    counter = client.submit(Counter, 3, actor=True).result()
    key = counter._held.key
    client.submit(abs, 1).result()
    assert counter.count == 3
    copy = pickle.loads(pickle.dumps(counter))
    del counter
    assert copy.add().result() == 4
    del copy
    wait_until(lambda: not client.who_has([key]).get(key), message="the object to be released")


def test_the_event_loop_is_used_with_await(cluster: LocalCluster) -> None:
    """With an asynchronous client: future, call and attribute."""

    async def main() -> tuple[int, int, object]:
        async with Client(cluster, asynchronous=True) as client:
            counter = await client.submit(Counter, actor=True)
            added = await counter.add(4)
            with pytest.raises(ValueError, match="not 4"):
                await counter.fail()
            return added, await counter.count, await counter.fail().exception()

    added, count, error = asyncio.run(main())
    assert (added, count) == (4, 4)
    assert isinstance(error, ValueError)


def test_waiting_where_it_would_never_end_is_refused(client: Client, counter: Actor) -> None:
    """In the client's own event loop."""

    async def wait() -> None:
        counter.add().result()

    with pytest.raises(JobQueueError, match="use 'await'"):
        client._loop_thread.run(wait())


def test_its_worker_gone_it_is_lost(own_client: Client, wait_until) -> None:
    """Calls say so, those under way and those made later; nothing is made again."""
    future = own_client.submit(Counter, actor=True)
    counter = future.result()
    os.kill(counter.pid().result(), signal.SIGKILL)
    with pytest.raises(DataLost, match=r"Counter-\d.*(its state is lost|make another)"):
        counter.add().result(timeout=30)
    wait_until(lambda: future.status == "lost", message="the future to be lost")
    with pytest.raises(DataLost):
        future.result()
    assert own_client.submit(abs, -1).result() == 1
