"""The thread with an event loop that synchronous programs share."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobqueue.comm.loop import LoopThread
from jobqueue.errors import JobQueueError


def test_it_is_shared():
    """All threads get the same one."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(LoopThread.shared())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(loop) for loop in found} == {id(LoopThread.shared())}


def test_run_returns_and_raises():
    """What the coroutine returns or raises comes out in the caller's thread."""

    async def divide(x):
        return 1 / x

    loop = LoopThread.shared()
    assert loop.run(divide(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        loop.run(divide(0))


def test_run_gives_up():
    """After its timeout the coroutine is cancelled."""
    ended = threading.Event()

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        LoopThread.shared().run(forever(), timeout=0.01)
    assert ended.wait(30)


def test_a_timeout_of_the_coroutine_itself():
    """A TimeoutError that the coroutine raises is passed on as it is."""

    async def late():
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        LoopThread.shared().run(late(), timeout=30)


def test_waiting_for_itself_is_refused():
    """In the loop's own thread `run` could never end."""
    loop = LoopThread.shared()

    async def nothing():
        return None

    async def wait_for_itself():
        assert loop.inside
        loop.run(nothing())

    with pytest.raises(JobQueueError, match="wait for itself"):
        loop.run(wait_for_itself())
    assert not loop.inside


def test_call_does_not_wait():
    """A plain function is called in the loop's thread, soon."""
    called = threading.Event()
    LoopThread.shared().call(called.set)
    assert called.wait(30)


def test_asking_returns_and_raises():
    """As a call would; and who asks from the loop itself is refused."""
    thread = LoopThread.shared()
    assert thread.ask(lambda: threading.current_thread().name) == "jobqueue-loop"
    with pytest.raises(ZeroDivisionError):
        thread.ask(lambda: 1 // 0)
    with pytest.raises(JobQueueError, match="wait for itself"):
        thread.ask(lambda: thread.ask(int))


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_programs_does_not_end_the_loop(kind, caplog):
    """Raised in a task there, it is the outcome of that; the log has it, and all else goes on."""

    async def leave():
        raise kind("enough")

    loop = LoopThread.shared()
    with pytest.raises(kind, match="enough"):
        loop.run(leave())
    assert loop.ask(lambda: 5) == 5
    assert "raised what ends programs" in caplog.text


def test_a_loop_that_was_stopped():
    """Whoever wants something run there is told so, and nothing of forks."""
    thread = LoopThread()
    thread.call(thread.loop.stop)
    thread._thread.join()
    with pytest.raises(JobQueueError, match="was stopped"):
        thread.ask(int)
    thread.loop.close()
