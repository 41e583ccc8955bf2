"""Inside of tasks: a client, the worker, and places left to others."""

from __future__ import annotations

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.client.in_task import get_client, get_worker, rejoin, secede, worker_client
from jobqueue.errors import ClientClosed, JobQueueError


def test_tasks_that_wait_for_tasks_end_on_one_thread(own_client: Client) -> None:
    """Waiting makes way: a recursion deeper than there are threads comes to its end."""

    def fib(n):
        if n < 2:
            return n
        client = get_client()
        one, other = client.map(fib, [n - 1, n - 2])
        return one.result() + other.result()

    assert own_client.submit(fib, 10).result() == 55


def test_tasks_that_secede_themselves_end_as_well(own_client: Client) -> None:
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

    assert own_client.submit(fib, 9).result() == 34


def test_worker_client_gives_client_and_place(own_client: Client) -> None:
    """While its block runs, the worker's only thread is free for other tasks."""

    def total(n):
        with worker_client() as client:
            inner = sum(client.gather(client.map(abs, range(-n, 0))))
        with worker_client(separate_thread=False) as client:
            return inner + client.submit(abs, -1).result()

    assert own_client.submit(total, 4).result() == 11


def test_as_completed_makes_way_too(own_client: Client) -> None:
    """Iterating is waiting."""

    def squares():
        from jobqueue import as_completed

        return sorted(f.result() for f in as_completed(get_client().map(pow, [1, 2, 3], [2] * 3)))

    assert own_client.submit(squares).result() == [1, 4, 9]


def test_seceding_lets_the_next_task_run(own_client: Client) -> None:
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
        first = own_client.submit(waits, f"{folder}/file")
        own_client.submit(lambda path: open(path, "w").close(), f"{folder}/file").result()
        assert first.result() == "seen"


def test_all_tasks_of_a_worker_share_one_client(own_client: Client) -> None:
    """A client is a connection; a thousand tasks do not make a thousand."""
    ids = own_client.gather(own_client.map(lambda _: id(get_client()), range(5)))
    assert len(set(ids)) == 1


def test_a_task_knows_its_worker(own_cluster: LocalCluster, own_client: Client) -> None:
    """By the name that everybody else calls it."""
    [name] = [worker.name for worker in own_cluster.scheduler.workers()]
    assert own_client.submit(lambda: get_worker().name).result() == name


def test_what_a_task_sets_on_its_worker_stays_there(own_client: Client) -> None:
    """Later tasks find it: a cache, an open file."""

    def remember(value):
        get_worker().cache = value

    own_client.submit(remember, 17).result()
    assert own_client.submit(lambda: get_worker().cache).result() == 17


def test_outside_of_tasks_the_open_client_is_found(own_client: Client) -> None:
    """A function works the same when it is called directly."""
    assert get_client() is own_client


def test_a_closed_client_is_not_found(own_cluster: LocalCluster) -> None:
    """Without an open one, it says what to do."""
    with Client(own_cluster) as client:
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
