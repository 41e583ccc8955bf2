"""`get_executor` behaves as the executors of the standard library do.

The first part runs the same tests against those, so that what they demand is not our own idea.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import operator
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from functools import partial
from multiprocessing import get_context

import pytest

from jobqueue import Client
from jobqueue.client.executor import ClientExecutor
from jobqueue.errors import ConfigError, WorkersUnavailable

KINDS = ["threads", "processes", "ours"]
Make = Callable[[], Executor]


@pytest.fixture(scope="module", params=KINDS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make an executor with two places."""
    if request.param == "ours":
        yield partial(ClientExecutor, request.getfixturevalue("client"))
    elif request.param == "threads":
        yield partial(ThreadPoolExecutor, 2)
    else:
        yield partial(ProcessPoolExecutor, 2, mp_context=get_context("spawn"))


@pytest.fixture(scope="module")
def pool(make: Make) -> Iterator[Executor]:
    """One that all tests of a kind share, all of it started: no test leaves a process behind."""
    with make() as pool:
        wait([pool.submit(time.sleep, 0.1) for _ in range(2)])
        yield pool


# -- what every executor does ----------------------------------------------------------------------


def test_a_call_has_a_result(pool: Executor) -> None:
    """With positional and named arguments."""
    assert pool.submit(pow, 2, 10).result() == 1024
    assert pool.submit(int, "ff", base=16).result() == 255


def test_a_future_is_the_standard_librarys(pool: Executor) -> None:
    """Whoever checks for it finds it."""
    future = pool.submit(abs, -1)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result() == 1
    assert future.done()
    assert not future.running()
    assert not future.cancelled()
    assert not future.cancel()
    assert future.exception() is None


def test_an_exception_comes_as_itself(pool: Executor) -> None:
    """From `result` and from `exception`."""
    future = pool.submit(operator.truediv, 1, 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        future.result()
    assert isinstance(future.exception(), ZeroDivisionError)
    assert future.done()


def test_a_result_that_takes_too_long_is_a_timeout(pool: Executor) -> None:
    """And comes all the same, later."""
    future = pool.submit(time.sleep, 0.2)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0.001)
    assert future.result(timeout=30) is None


def test_callbacks_are_called_with_the_future(pool: Executor) -> None:
    """Before or after the end; what one raises disturbs nobody."""
    called: list[concurrent.futures.Future[int]] = []
    future = pool.submit(abs, -1)
    future.add_done_callback(called.append)
    wait([future])
    future.add_done_callback(called.append)
    assert future.result() == 1
    deadline = time.monotonic() + 30
    while len(called) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert called == [future, future]


def test_wait_of_the_standard_library_works(pool: Executor) -> None:
    """In each of its three ways."""
    futures = [pool.submit(abs, -n) for n in range(5)]
    done, not_done = wait(futures, return_when=ALL_COMPLETED)
    assert done == set(futures)
    assert not not_done
    assert wait(futures, return_when=FIRST_COMPLETED).done
    futures.append(pool.submit(operator.truediv, 1, 0))
    assert futures[-1] in wait(futures, return_when=FIRST_EXCEPTION).done


def test_as_completed_of_the_standard_library_works(pool: Executor) -> None:
    """Each future once."""
    futures = [pool.submit(abs, -n) for n in range(10)]
    assert sorted(future.result() for future in as_completed(futures)) == [*range(10)]


def test_asyncio_can_await_them(pool: Executor) -> None:
    """By `wrap_future`, and as an executor of the event loop."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        wrapped = await asyncio.wrap_future(pool.submit(abs, -1))
        return wrapped, await loop.run_in_executor(pool, abs, -2)

    assert asyncio.run(main()) == (1, 2)


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map_yields_results_in_order(pool: Executor, chunksize: int) -> None:
    """However calls are put together; the shortest iterable decides."""
    assert [*pool.map(abs, range(-10, 0), chunksize=chunksize)] == [*range(10, 0, -1)]
    assert [*pool.map(pow, [2, 3, 4], [5, 6], chunksize=chunksize)] == [32, 729]
    assert [*pool.map(abs, [], chunksize=chunksize)] == []
    assert [*pool.map(abs)] == []


def test_map_is_an_iterator(pool: Executor) -> None:
    """Its results are there one after the other."""
    results = pool.map(abs, [-1, -2])
    assert iter(results) is results
    assert next(results) == 1
    assert next(results) == 2
    with pytest.raises(StopIteration):
        next(results)


def test_map_raises_where_a_call_raised(pool: Executor) -> None:
    """What came before it is yielded before it."""
    results = pool.map(math.sqrt, [4, -1, 9])
    assert next(results) == 2
    with pytest.raises(ValueError, match=r"math domain|nonnegative"):
        next(results)


def test_map_times_out(pool: Executor) -> None:
    """Counted from the call of `map`."""
    results = pool.map(time.sleep, [0, 0.5], timeout=0.3)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(results)


def test_what_has_not_begun_can_be_cancelled(make: Make) -> None:
    """And is known as cancelled to those who wait."""
    with make() as pool:
        held = [pool.submit(time.sleep, 0.3) for _ in range(4)]
        late = [pool.submit(abs, -n) for n in range(200)]
        assert late[-1].cancel()
        assert late[-1].cancel()
        assert late[-1].cancelled()
        assert late[-1] in wait([late[-1]]).done
        with pytest.raises(CancelledError):
            late[-1].result()
        assert late[0].result() == 0
        wait(held)


def test_after_shutdown_no_more_is_taken(make: Make) -> None:
    """What was taken before is done to its end; shutting down twice is no mistake."""
    pool = make()
    future = pool.submit(abs, -1)
    pool.shutdown(wait=True)
    assert future.result() == 1
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(abs, -1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(abs, [-1])
    pool.shutdown()


def test_shutdown_can_cancel_what_waits(make: Make) -> None:
    """So that its end is not that of all calls."""
    pool = make()
    futures = [pool.submit(time.sleep, 0.05) for _ in range(50)]
    pool.shutdown(wait=True, cancel_futures=True)
    assert all(future.done() for future in futures)
    assert any(future.cancelled() for future in futures)


def test_shutdown_need_not_wait(make: Make) -> None:
    """The calls go on."""
    pool = make()
    future = pool.submit(abs, -7)
    pool.shutdown(wait=False)
    assert future.result(timeout=30) == 7


def test_the_end_of_a_with_block_waits(make: Make) -> None:
    """As `shutdown` does."""
    with make() as pool:
        futures = [pool.submit(time.sleep, 0.01) for _ in range(5)]
    assert all(future.done() for future in futures)


def test_a_chunk_has_at_least_one_call(pool: Executor) -> None:
    """Threads ignore the number; who uses it refuses others."""
    if isinstance(pool, ThreadPoolExecutor):
        assert [*pool.map(abs, [-1], chunksize=0)] == [1]
    else:
        with pytest.raises(ValueError, match="chunksize must be >= 1"):
            pool.map(abs, [-1], chunksize=0)


# -- what only ours does ---------------------------------------------------------------------------


def test_options_of_submit_hold_for_all_calls(client: Client) -> None:
    """Retries, for instance; functions need not be importable."""
    with client.get_executor(retries=2, priority=5) as executor:
        assert executor.submit(lambda x: x + 1, 1).result() == 2
        assert [*executor.map(lambda x: x * 2, range(3), chunksize=2)] == [0, 2, 4]


def test_a_functions_keywords_are_its_own(client: Client) -> None:
    """Though `submit` of a client has some of the same names."""

    def function(key, priority, x=0):
        return key, priority, x

    with client.get_executor() as executor:
        assert executor.submit(function, key="k", priority="p", x=1).result() == ("k", "p", 1)


def test_the_client_stays_open(client: Client) -> None:
    """It is the user's, and other executors may be made of it."""
    with client.get_executor() as executor:
        assert repr(executor).endswith("open>")
    assert repr(executor).endswith("shut down>")
    assert client.submit(abs, -1).result() == 1


def test_results_are_let_go_when_they_have_come(client: Client, wait_until) -> None:
    """A call's future holds its value, and the workers nothing any more."""
    with client.get_executor() as executor:
        future = executor.submit(bytes, 1_000_000)
        assert len(future.result()) == 1_000_000
        wait_until(lambda: not client._book.states, message="the task to be released")


def test_a_task_that_the_client_cancels_is_cancelled_here(client: Client) -> None:
    """And a running call that is cancelled here is waited for by nobody."""
    with client.get_executor() as executor:
        future = executor.submit(time.sleep, 0.2)
        assert future.cancel()
        [task] = executor.submit(time.sleep, 0.2)._task
        client.cancel(task)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initializer": print}, "client.run"),
        ({"max_workers": 2}, "no option of submit"),
        ({"key": "k"}, "no option of submit"),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, options, message) -> None:
    """With what to do instead."""
    with pytest.raises(ConfigError, match=message):
        client.get_executor(**options)


def test_an_asynchronous_client_has_none(cluster) -> None:
    """An executor's `with` block would stop the event loop."""

    async def main() -> None:
        async with Client(cluster, asynchronous=True) as client:
            with pytest.raises(ConfigError, match="an executor blocks"):
                client.get_executor()

    asyncio.run(main())


def test_calls_fail_if_no_worker_will_come(own_cluster, own_client, wait_until) -> None:
    """Those that wait, and those that come later; whoever waits by the standard library's means."""

    def outage(error: WorkersUnavailable | None) -> None:
        loop = own_client._waits.loop
        loop.call_soon_threadsafe(own_cluster.scheduler.set_outage, error)

    with own_client.get_executor() as executor:
        before = executor.submit(time.sleep, 600)
        outage(WorkersUnavailable("no job starts"))
        assert wait([before], timeout=30).done == {before}
        assert isinstance(before.exception(), WorkersUnavailable)
        with pytest.raises(WorkersUnavailable, match="no job starts"):
            executor.submit(abs, -1).result(timeout=30)
        outage(None)
        wait_until(lambda: own_client._waits.outage is None, message="the outage to end")
        assert not own_client._waits._running


def test_a_calls_end_is_waited_for_by_nothing(client: Client) -> None:
    """Whatever its end was."""
    with client.get_executor() as executor:
        assert executor.submit(abs, -1).result() == 1
        assert isinstance(executor.submit(int, "x").exception(), ValueError)
    assert not client._waits._running


def test_calls_after_the_client_was_closed(own_cluster) -> None:
    """A RuntimeError, as of any executor that takes no more."""
    with Client(own_cluster, set_as_default=False) as client:
        executor = client.get_executor()
    for call in (executor.submit, executor.map):
        with pytest.raises(RuntimeError, match="the client is closed"):
            call(abs, [-1])


def test_dask_computes_by_it(client: Client) -> None:
    """As by any executor that it is given."""
    delayed = pytest.importorskip("dask").delayed
    total = delayed(sum)([delayed(pow)(n, 2) for n in range(4)])
    with client.get_executor() as executor:
        assert total.compute(scheduler=executor) == 14
