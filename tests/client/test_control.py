"""What clients ask of their scheduler about workers, and have them do."""

from __future__ import annotations

import asyncio
import os

import pytest

from jobqueue import Client, LocalCluster, fire_and_forget, wait
from jobqueue.errors import (
    ClientClosed,
    ConfigError,
    JobQueueError,
    SerializationError,
    TaskCancelled,
    TaskError,
)


def test_who_has_what(client):
    """Workers are named by their names; small results are the scheduler's."""
    names = set(client.nthreads())
    large, small = client.submit(bytes, 100_000), client.submit(abs, -1)
    wait([large, small], timeout=30)
    holders = client.who_has([large, small])
    assert holders[small.key] == ()
    (holder,) = holders[large.key]
    assert holder in names
    assert large.key in client.has_what()[holder]
    assert client.has_what(holder).keys() == {holder}
    assert large.key in client.who_has()


def test_how_many_threads(client, cluster):
    """By worker; `ncores` is the same under another name."""
    threads = client.nthreads()
    assert sorted(threads.values()) == [1, 1]
    assert client.ncores() == threads
    name = min(threads)
    assert client.nthreads([name]) == {name: 1}
    with pytest.raises(ConfigError, match="no worker is known as 'nobody'"):
        client.nthreads("nobody")
    with pytest.raises(ConfigError, match="workers=3: it is a worker's name"):
        client.has_what(3)
    info = client.scheduler_info()
    assert set(info["workers"]) == set(threads)
    assert info["workers"][name]["nthreads"] == 1


def test_what_is_being_processed(client, gate):
    """The keys of the tasks that a worker was given."""
    future = client.submit(gate.function)
    gate.await_arrivals()
    assert future.key in {key for keys in client.processing().values() for key in keys}
    gate.open()
    future.result(30)


def test_why_a_task_is_not_running(client, gate):
    """In words, for a future or a key."""
    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    future = client.submit(abs, blocked[0])
    assert blocked[0].key in client.explain(future)
    assert client.explain(future) == client.explain(future.key)
    needy = client.submit(abs, -1, resources={"GPU": 1})
    assert "GPU" in client.explain(needy)
    with pytest.raises(ConfigError, match="5\\) is neither a future nor a key"):
        client.explain(5)
    gate.open(2)
    client.gather(blocked)


def test_copies_of_results(client):
    """Replicated to all workers, or to so many; pending ones are waited for."""
    one, other = client.submit(bytes, 100_000), client.submit(bytes, 110_000)
    client.replicate([one])
    assert len(client.who_has(one)[one.key]) == 2
    client.replicate(other, n=1)
    client.rebalance([other])
    assert len(client.who_has(other)[other.key]) == 1
    assert client.rebalance() is None
    for n in (0, "2", True):
        with pytest.raises(ConfigError, match=r"n=.*1 or more"):
            client.replicate(one, n=n)
    assert len(other.result(30)) == 110_000


def test_copies_of_what_has_no_result(client):
    """It raises what its task raised; what is to be moved if it is there, need not be."""
    failing, released = client.submit(divmod, 1, 0), client.submit(bytes, 100_000)
    released.release()
    with pytest.raises(ZeroDivisionError):
        client.replicate([failing])
    with pytest.raises(TaskCancelled, match="was released"):
        client.replicate([released])
    assert client.rebalance([failing, released]) is None


def test_a_function_on_all_workers(client, gate):
    """It runs beside the tasks, and may be told which worker it is on."""
    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    pids = client.run(os.getpid)
    assert set(pids) == set(client.nthreads())
    assert len(set(pids.values()) - {os.getpid()}) == 2
    name = min(pids)
    assert client.run(lambda base, worker: (base, worker.name), 5, workers=[name]) == {
        name: (5, name)
    }
    assert client.run(divmod, 7, 2, wait=False) is None
    gate.open(2)
    client.gather(blocked)


def test_a_function_that_fails_on_a_worker(client):
    """It raises, is returned, or leaves its worker out, as one likes."""
    name, other = sorted(client.nthreads())

    def fail(worker):
        if worker.name == name:
            raise ZeroDivisionError("not here")
        return 5

    with pytest.raises(ZeroDivisionError, match="not here"):
        client.run(fail)
    returned = client.run(fail, on_error="return")
    assert isinstance(returned[name], ZeroDivisionError)
    assert returned[other] == 5
    assert client.run(fail, on_error="ignore") == {other: 5}


def test_calls_that_cannot_be_made(client):
    """Each is refused in words."""
    with pytest.raises(ConfigError, match=r"nanny=True: a worker's job agent runs no functions"):
        client.run(os.getpid, nanny=True)
    with pytest.raises(ConfigError, match="on_error='stop': it is 'raise', 'return' or 'ignore'"):
        client.run(os.getpid, on_error="stop")
    with pytest.raises(ConfigError, match="5\\) is not callable"):
        client.run(5)
    with pytest.raises(SerializationError, match="generator"):
        client.run(len, (number for number in range(3)))
    with pytest.raises(JobQueueError, match="nobody"):
        client.run(os.getpid, workers="nobody")


def test_a_function_on_the_scheduler(client, cluster):
    """In its process, and given the scheduler if it has a parameter of that name."""
    assert client.run_on_scheduler(os.getpid) == os.getpid()
    counted = client.run_on_scheduler(lambda x, scheduler: x + len(scheduler.workers()), 10)
    assert counted == 12
    assert client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.workers())) == 2
    with pytest.raises(ZeroDivisionError):
        client.run_on_scheduler(lambda: 1 / 0)


def _end_by(kind):
    raise kind("enough")


class Ending:
    """Raises what ends programs where it is unpickled."""

    def __init__(self, kind):
        self.kind = kind

    def __reduce__(self):
        return _end_by, (self.kind,)


def test_what_would_end_the_scheduler_ends_the_call(client):
    """Scheduler and client share an event loop here, and go on."""
    for kind in (SystemExit, KeyboardInterrupt):
        with pytest.raises(TaskError, match=f"the function raised {kind.__name__}: enough"):
            client.run_on_scheduler(_end_by, kind)
    assert client.submit(abs, -1).result(30) == 1


def test_answers_are_unpickled_by_whoever_asked(client):
    """Not in the event loop, which whatever they do or raise would hold up or end."""
    with pytest.raises(KeyboardInterrupt, match="enough"):
        client.run(lambda: Ending(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt, match="enough"):
        client.run_on_scheduler(lambda: Ending(KeyboardInterrupt))
    assert client.run(lambda: ThreadName()) == dict.fromkeys(client.nthreads(), "MainThread")
    assert client.run_on_scheduler(lambda: ThreadName()) == "MainThread"


class ThreadName:
    """Becomes the name of the thread that unpickles it."""

    def __reduce__(self):
        return eval, ("__import__('threading').current_thread().name",)


def test_tasks_that_nobody_waits_for(client, cluster, tmp_path, wait_until, gate):
    """They run to their end although their futures are gone, and are forgotten then."""
    written = tmp_path / "written"
    future = client.submit(gate.function)
    fire_and_forget([future, client.submit(lambda _: written.touch(), future)])
    gate.await_arrivals()
    del future
    gate.open()
    wait_until(written.exists)


def test_cancelled_at_once(client, gate):
    """When `cancel` returns, the future says so; with force, what runs is interrupted."""
    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    waiting = client.submit(abs, -1, priority=-1)
    waiting.cancel()
    assert waiting.cancelled()

    def spin():
        while True:
            pass

    gate.open(2)
    client.gather(blocked)
    spinning = client.submit(spin)
    spinning.cancel(force=True)
    assert spinning.status == "cancelled"
    assert client.gather(client.map(abs, range(-4, 0))) == [4, 3, 2, 1]


def test_failed_tasks_are_tried_again(client, tmp_path):
    """They, and the inputs that they failed of, are pending again and may end well."""
    path = tmp_path / "there"
    first = client.submit(lambda: int(path.read_text()))
    second = client.submit(abs, first)
    assert isinstance(second.exception(30), FileNotFoundError)
    path.write_text("-5")
    second.retry()
    assert second.status != "error"
    assert second.result(30) == 5
    assert first.result(30) == -5
    fine = client.submit(abs, -1)
    fine.result(30)
    client.retry([fine, second])
    assert fine.status == "finished"


def test_workers_begin_anew():
    """All tasks are cancelled, all workers are other processes, and they compute."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        pids = client.run(os.getpid)
        done, never = client.submit(abs, -1), client.submit(abs, -1, resources={"GPU": 1})
        done.result(30)
        client.restart(timeout=60)
        assert done.cancelled()
        assert never.cancelled()
        after = client.run(os.getpid)
        assert len(after) == 2
        assert not set(after.values()) & set(pids.values())
        assert client.submit(abs, -2).result(30) == 2


def test_workers_are_retired(own_cluster):
    """Their results move to the scheduler or to others; then they are gone."""
    with Client(own_cluster) as client:
        future = client.submit(bytes, 100_000)
        future.exception(30)
        (name,) = client.nthreads()
        assert client.retire_workers([name], timeout=30) == [name]
        assert name not in client.nthreads()
        assert len(future.result(30)) == 100_000


def test_questions_in_an_event_loop(cluster):
    """They are awaited, as is what changes something."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            data = await client.scatter([bytes(100_000)])
            await client.replicate(data)
            assert len((await client.who_has(data))[data[0].key]) == 2
            assert len(await client.run(os.getpid)) == 2
            future = client.submit(abs, -1, resources={"GPU": 1})
            assert "GPU" in await client.explain(future)
            await client.cancel(future)
            assert future.cancelled()
            again = client.submit(lambda: 1 / 0)
            await wait([again])
            client.retry(again)  # need not be awaited
            with pytest.raises(SerializationError, match=r"awaited first: 'await client.scatter"):
                client.submit(len, client.scatter(5))
        with pytest.raises(ClientClosed):
            await client.nthreads()

    asyncio.run(main())
