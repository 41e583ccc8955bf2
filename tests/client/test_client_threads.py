"""One client in several threads, and the garbage collector at its worst."""

from __future__ import annotations

import gc
import threading

import pytest

from jobqueue import as_completed


def in_threads(count, target):
    """Run a function in threads, each with its number; raise what one raised."""
    errors: list[BaseException] = []

    def run(number):
        try:
            target(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_eight_threads_submit_and_gather(client):
    """Each gets its own results, whatever the others do."""

    def work(number):
        function = lambda x: x * 1000 + number  # noqa: E731 - a function object of this thread's
        for _ in range(5):
            futures = client.map(function, range(50))
            single = [client.submit(function, x) for x in range(20)]
            assert client.gather(futures) == [x * 1000 + number for x in range(50)]
            assert [f.result(30) for f in single] == [x * 1000 + number for x in range(20)]
            done = {f.result(30) for f in as_completed(client.map(function, range(10)))}
            assert len(done) == 10

    in_threads(8, work)


def test_threads_that_use_the_same_new_function(client):
    """Whoever is first to name a function, nobody's task arrives before it."""
    for _ in range(20):
        function = eval("lambda x: -x")
        barrier = threading.Barrier(4)

        def work(number, function=function, barrier=barrier):
            barrier.wait()
            assert client.submit(function, number).result(30) == -number

        in_threads(4, work)


def test_threads_share_and_drop_the_same_pure_calls(client):
    """A pure call submitted here while its last future goes there is still computed."""

    def work(number):
        for x in range(200):
            assert client.submit(abs, -(x % 3), pure=True).result(30) == x % 3

    in_threads(4, work)


@pytest.fixture
def storm():
    """Collect garbage all the time."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


def test_futures_in_cycles_are_collected_while_others_are_made(client, storm):
    """Futures that only a collection drops may go in the middle of anything the client does."""

    class Knot:
        def __init__(self, future):
            self.future = future
            self.me = self

    for _ in range(5):
        for future in client.map(abs, range(-300, 0)):
            Knot(future)
        kept = client.map(abs, range(-300, 0))
        for future in as_completed(kept[:50]):
            Knot(client.submit(abs, -1))
            Knot(future)
        assert client.gather(kept) == list(range(300, 0, -1))


def test_collections_while_threads_wait(client, wait_until, cluster):
    """Futures dropped by collections in one thread hold up no loop in another."""
    stop = threading.Event()

    def collect():
        while not stop.is_set():
            futures = client.map(abs, range(20))
            futures.append(futures)  # type: ignore[arg-type]
            del futures
            gc.collect(0)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for _ in range(20):
            assert sum(f.result(30) for f in as_completed(client.map(abs, range(50)))) == 1225
    finally:
        stop.set()
        thread.join()

    def forgotten():
        gc.collect()  # does nothing while another thread is at it
        return not cluster.scheduler.state.tasks

    wait_until(forgotten, message="the tasks to be forgotten")
