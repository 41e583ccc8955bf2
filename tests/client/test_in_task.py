"""Inside of tasks: a client, the worker, and places left to others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.client.in_task import get_client, get_worker, rejoin, secede, worker_client
from jobqueue.errors import ClientClosed, JobQueueError


@pytest.fixture(scope="module")
def one_place() -> Iterator[LocalCluster]:
    """One worker with one thread."""
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=30)
        yield cluster


@pytest.fixture
def single(one_place: LocalCluster) -> Iterator[Client]:
    """A client of it."""
    with Client(one_place) as client:
        yield client


def test_tasks_that_wait_for_tasks_end_on_one_thread(single: Client) -> None:
    """Waiting makes way: a recursion deeper than there are threads comes to its end."""

    def fib(n):
        if n < 2:
            return n
        client = get_client()
        one, other = client.map(fib, [n - 1, n - 2])
        return one.result() + other.result()

    assert single.submit(fib, 10).result() == 55


def test_tasks_that_secede_themselves_end_as_well(single: Client) -> None:
    """The three calls as users of distributed write them."""

    def fib(n):
        if n < 2:
            return n
        client = get_client()
        futures = client.map(fib, [n - 1, n - 2])
        secede()
        values = client.gather(futures)
        rejoin()
        return sum(values)

    assert single.submit(fib, 9).result() == 34


def test_worker_client_gives_client_and_place(single: Client) -> None:
    """While its block runs, the worker's only thread is free for other tasks."""

    def total(n):
        with worker_client() as client:
            inner = sum(client.gather(client.map(abs, range(-n, 0))))
        with worker_client(separate_thread=False) as client:
            return inner + client.submit(abs, -1).result()

    assert single.submit(total, 4).result() == 11


def test_as_completed_makes_way_too(single: Client) -> None:
    """Iterating is waiting."""

    def squares():
        from jobqueue import as_completed

        return sorted(f.result() for f in as_completed(get_client().map(pow, [1, 2, 3], [2] * 3)))

    assert single.submit(squares).result() == [1, 4, 9]


def test_seceding_lets_the_next_task_run(single: Client) -> None:
    """A task that waits for what a later task does would else wait for ever."""

    def waits(path):
        import os
        import time

        secede()
        while not os.path.exists(path):
            time.sleep(0.01)
        return "seen"

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        first = single.submit(waits, f"{folder}/file")
        single.submit(lambda path: open(path, "w").close(), f"{folder}/file").result()
        assert first.result() == "seen"


def test_all_tasks_of_a_worker_share_one_client(single: Client) -> None:
    """A client is a connection; a thousand tasks do not make a thousand."""
    ids = single.gather(single.map(lambda _: id(get_client()), range(5)))
    assert len(set(ids)) == 1


def test_a_task_knows_its_worker(one_place: LocalCluster, single: Client) -> None:
    """By the name that everybody else calls it."""
    [name] = [worker.name for worker in one_place.scheduler.workers()]
    assert single.submit(lambda: get_worker().name).result() == name


def test_what_a_task_sets_on_its_worker_stays_there(single: Client) -> None:
    """Later tasks find it: a cache, an open file."""

    def remember(value):
        get_worker().cache = value

    single.submit(remember, 17).result()
    assert single.submit(lambda: get_worker().cache).result() == 17


def test_the_child_of_a_fork_runs_no_task(single: Client) -> None:
    """Worker, place and client are its parent's; the task itself goes on as before."""

    def forks():
        import os
        import warnings

        get_client()
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            try:
                get_client()
            except Exception as error:
                os.write(writing, str(error).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        said = os.read(reading, 1000).decode()
        os.close(reading)
        os.close(writing)
        return said, get_client().submit(abs, -1).result()

    said, value = single.submit(forks).result()
    assert "no client is open in this process" in said
    assert value == 1


def test_coroutine_tasks_make_way_too(single: Client) -> None:
    """While they await one future or several."""

    async def total():
        import asyncio

        client = get_client()
        one = await client.submit(abs, -1)
        return one + sum(await asyncio.gather(*client.map(abs, [-2, -3])))

    assert single.submit(total).result() == 6


def test_outside_of_tasks_the_open_client_is_found(single: Client) -> None:
    """A function works the same when it is called directly."""
    assert get_client() is single


def test_a_closed_client_is_not_found(one_place: LocalCluster) -> None:
    """Without an open one, it says what to do."""
    with Client(one_place) as client:
        assert get_client() is client
    with pytest.raises(ClientClosed, match="no client is open"):
        get_client()


@pytest.mark.parametrize("function", [get_worker, secede, rejoin])
def test_what_belongs_into_a_task_says_so_elsewhere(function) -> None:
    """One line that names the remedy."""
    with pytest.raises(JobQueueError, match="given to submit"):
        function()


def test_worker_client_is_for_tasks() -> None:
    """Also as a context manager."""
    with pytest.raises(JobQueueError, match="given to submit"), worker_client():
        pass
