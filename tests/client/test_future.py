"""Futures: how they stand, how they are awaited, called back, released and collected."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from jobqueue import Client, Future
from jobqueue.errors import TaskCancelled


def test_a_future_stands_as_its_task(client, gate):
    """Pending, then finished."""
    future = client.submit(gate.function, 5)
    gate.await_arrivals()
    assert (future.status, future.done(), future.cancelled()) == ("pending", False, False)
    assert repr(future) == f"<Future: pending, key: {future.key}>"
    gate.open()
    assert future.result(30) == 5
    assert (future.status, future.done(), future.cancelled()) == ("finished", True, False)
    assert future.key in future._repr_html_()


def test_result_gives_up_after_its_timeout(client, gate):
    """`result`, `exception` and `traceback` take a timeout; the task goes on."""
    future = client.submit(gate.function, 5)
    for method in (future.result, future.exception, future.traceback):
        with pytest.raises(TimeoutError, match=f"task '{future.key}' has not ended within 0.01 s"):
            method(timeout=0.01)
        with pytest.raises(TimeoutError):
            method(0)
    gate.open()
    assert future.result(30) == 5
    assert future.result(0) == 5


def test_callbacks(client, gate):
    """Called once, with the future, done before or not; what one raises is only logged."""
    called: list[tuple[Future, int]] = []
    done = threading.Event()
    future = client.submit(gate.function, 5)
    future.add_done_callback(lambda f: 1 / 0)
    future.add_done_callback(lambda f: called.append((f, f.result())))
    gate.open()
    future.result(30)
    future.add_done_callback(lambda f: done.set())
    assert done.wait(30)
    assert called == [(future, 5)]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_would_end_the_program(client, gate, caplog, wait_until, kind):
    """It is logged as any other that raises, and later ones are called; an executor's as well."""

    def leave(future):
        raise kind("enough")

    executor = client.get_executor()
    client.submit(gate.function).add_done_callback(leave)
    executor.submit(gate.function).add_done_callback(leave)
    gate.open(2)
    wait_until(lambda: caplog.text.count(f"{kind.__name__}: enough") == 2)
    assert executor.submit(abs, -1).result(30) == 1
    called = threading.Event()
    client.submit(abs, -2).add_done_callback(lambda future: called.set())
    assert called.wait(30)


def test_callbacks_may_submit_and_wait(client):
    """A callback may use the client as any code of the user's."""
    results: list[int] = []
    done = threading.Event()

    def again(future):
        results.append(client.submit(abs, -future.result()).result(30))
        done.set()

    client.submit(abs, -3).add_done_callback(again)
    assert done.wait(30)
    assert results == [3]


def test_callbacks_of_failures_and_cancellations(client, gate):
    """A task that ends badly has ended too."""
    ended: list[str] = []
    done = threading.Semaphore(0)

    def note(future):
        ended.append(future.status)
        done.release()

    blocked = client.map(gate.function, range(2))
    gate.await_arrivals(2)
    failing, cancelled = client.submit(lambda: 1 / 0), client.submit(abs, 1)
    cancelled.add_done_callback(note)
    cancelled.cancel()
    assert done.acquire(timeout=30)
    failing.add_done_callback(note)
    gate.open(2)
    assert done.acquire(timeout=30)
    assert ended == ["cancelled", "error"]
    client.gather(blocked)


def test_a_released_future(client):
    """It says that it was released, and can be released again."""
    future = client.submit(abs, -1)
    future.result(30)
    future.release()
    future.release()
    assert repr(future) == f"<Future: released, key: {future.key}>"
    assert "released" in future._repr_html_()
    assert future.done()
    assert future.status == "released"
    assert isinstance(future.exception(), TaskCancelled)
    for use in (future.result, lambda: client.gather(future)):
        with pytest.raises(TaskCancelled, match=f"future of '{future.key}' was released"):
            use()


def test_a_result_is_freed_with_its_last_future(cluster, client, wait_until):
    """The scheduler forgets a task, and its worker the value, when no future of it is left."""
    tasks = cluster.scheduler.state.tasks
    first = client.submit(abs, -1, key="twice")
    futures = [first, client.submit(bytes, 100_000), client.scatter(b"x" * 9999)]
    client.gather(futures)
    keys = {future.key for future in futures}
    assert keys <= set(tasks)
    again = client.submit(abs, -1, key="twice")
    del first, futures
    wait_until(lambda: not (keys - {again.key}) & set(tasks), message="the tasks to be forgotten")
    assert again.key in tasks
    assert again.result(30) == 1
    again.release()
    wait_until(lambda: not keys & set(tasks), message="the task to be forgotten")
    wait_until(lambda: not sum(worker.stored_bytes for worker in cluster.scheduler.workers()))


def test_no_future_is_leaked(cluster, client, wait_until):
    """After all was used (waits, callbacks, errors, dependents), nothing keeps a future alive."""
    gc.collect()
    before = {id(o) for o in gc.get_objects() if isinstance(o, Future)}

    def use():
        futures = client.map(lambda x: 1 / x, range(3))
        dependent = client.submit(sum, futures)
        seen = threading.Event()
        dependent.add_done_callback(lambda f: seen.set())
        dependent.exception(30)
        client.gather(futures, errors="skip")
        client.cancel(futures)
        assert seen.wait(30)

    use()

    def left():
        gc.collect()
        return [o for o in gc.get_objects() if isinstance(o, Future) and id(o) not in before]

    wait_until(lambda: not left(), message="the callback's thread to let go of its future")
    wait_until(lambda: not cluster.scheduler.state.tasks, message="the tasks to be forgotten")


def test_tasks_of_dropped_futures_do_not_run(own_client, gate, tmp_path):
    """What nobody waits for any more is not begun."""
    path = tmp_path / "ran"
    blocked = own_client.submit(gate.function)
    gate.await_arrivals()
    own_client.submit(path.touch)  # its future is gone at once
    later = own_client.submit(abs, -1)
    gate.open()
    own_client.gather([blocked, later])
    assert not path.exists()


def test_await_a_synchronous_clients_future(client, gate):
    """In any event loop, without holding it up."""

    async def main():
        future = client.submit(gate.function, 5)
        failing = client.submit(lambda: 1 / 0)
        waiting = asyncio.create_task(_result_of(future))
        await asyncio.sleep(0)
        gate.open()
        assert await waiting == 5
        assert await future == 5
        with pytest.raises(ZeroDivisionError):
            await failing

    asyncio.run(main())


async def _result_of(future):
    return await future


def test_futures_of_an_asynchronous_client(cluster, gate):
    """What waits is awaited; the rest is the same."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            future = client.submit(gate.function, 5)
            assert future.status == "pending"
            with pytest.raises(TimeoutError, match=r"has not ended within 0\.01 s"):
                await future.result(timeout=0.01)
            with pytest.raises(TimeoutError):
                await future.exception(timeout=0.01)
            called = asyncio.get_running_loop().create_future()
            future.add_done_callback(called.set_result)
            gate.open()
            assert await future == await future.result() == 5
            assert await called is future
            future.add_done_callback(lambda f: 1 / 0)  # is logged
            after = asyncio.Event()
            future.add_done_callback(lambda f: after.set())
            await after.wait()
            large = client.submit(bytes, 100_000)
            assert len(await large) == 100_000
            failing = client.submit(lambda: 1 / 0)
            assert isinstance(await failing.exception(), ZeroDivisionError)
            assert "ZeroDivisionError" in await failing.traceback()
            with pytest.raises(ZeroDivisionError):
                await failing
            assert await client.gather([future, [large]]) == [5, [bytes(100_000)]]

    asyncio.run(main())


def test_a_cancelled_await_leaves_the_task_alone(cluster, gate):
    """Cancelling whoever awaits is not cancelling the task."""

    async def main():
        async with Client(cluster, asynchronous=True) as client:
            future = client.submit(gate.function, 5)
            waiting = asyncio.create_task(_result_of(future))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            gate.open()
            assert await future == 5

    asyncio.run(main())
