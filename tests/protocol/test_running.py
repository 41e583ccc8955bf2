"""What code inside of a task can know of where it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jobqueue.errors import JobQueueError
from jobqueue.protocol.running import BREATH, giving_way, host, in_breaths, rejoin, running, secede


class FakeHost:
    """A worker that notes down who leaves and takes a place."""

    name = "w"
    credentials = None
    scheduler_addresses = ("memory://",)

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.said: list[str] = []

    def secede(self) -> None:
        self.said.append("secede")

    def rejoin(self) -> None:
        self.said.append("rejoin")

    def keep_actor(self, key: str, instance: object) -> None:
        self.said.append(key)


@pytest.fixture
def worker() -> Iterator[FakeHost]:
    """The worker whose task this thread runs."""
    running.host, running.key = FakeHost(), "task-1"
    yield running.host
    running.host = running.key = running.away = None
    assert not running.waits


def test_outside_of_a_task_there_is_no_worker() -> None:
    """It says where the call belongs."""
    with pytest.raises(JobQueueError, match="given to submit"):
        host()


def test_who_waits_makes_way_and_takes_a_place_after(worker: FakeHost) -> None:
    """Also if the wait ends by an exception; and once, however deep waits are nested."""
    with contextlib.suppress(ZeroDivisionError), giving_way(), giving_way():
        assert worker.said == ["secede"]
        raise ZeroDivisionError
    assert worker.said == ["secede", "rejoin"]


def test_a_task_that_has_seceded_stays_away_until_it_rejoins(worker: FakeHost) -> None:
    """Waiting meanwhile takes no place; seceding or rejoining twice is as good as once."""
    secede()
    secede()
    with giving_way():
        pass
    assert worker.said == ["secede"]
    rejoin()
    rejoin()
    assert worker.said == ["secede", "rejoin"]


def test_a_coroutine_takes_its_place_when_the_last_of_its_waits_is_over(worker: FakeHost) -> None:
    """Else it would keep the place from what the others still wait for."""
    first, second = giving_way(), giving_way()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert worker.said == ["secede"]
    second.__exit__(None, None, None)
    assert worker.said == ["secede", "rejoin"]


def test_the_next_task_of_a_thread_has_its_place(worker: FakeHost) -> None:
    """That the one before it ended without rejoining is not its concern."""
    secede()
    running.key = "task-2"
    with giving_way():
        pass
    assert worker.said == ["secede", "secede", "rejoin"]


def test_outside_of_tasks_waiting_is_just_waiting() -> None:
    """There is nobody to make way for."""
    with giving_way():
        pass


def test_a_task_waits_in_breaths(worker: FakeHost) -> None:
    """Whatever has to come between two of them can; elsewhere a wait is one."""
    asked: list[float] = []

    def wait(within: float) -> bool:
        asked.append(within)
        return len(asked) == 3

    assert in_breaths(wait, None)
    assert asked == [BREATH] * 3
    running.host = None
    assert in_breaths(lambda within: within == threading.TIMEOUT_MAX, None)


def test_short_waits_end_in_time(worker: FakeHost) -> None:
    """They are asked for once, and what has come already is had without any time."""
    asked: list[float] = []
    assert not in_breaths(lambda within: bool(asked.append(within)), BREATH / 2)
    (within,) = asked
    assert 0 < within <= BREATH / 2
    assert in_breaths(lambda within: True, 0)
    assert not in_breaths(lambda within: False, -1)
