"""When an agent asks for the scheduler in its workers' place, without a process or a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.worker.watch import SHOWN, SILENCE, Watch

LIMIT = 60.0


def test_nothing_is_asked_while_workers_show_life() -> None:
    """However long they run; the deadline moves on with each sign."""
    watch = Watch(LIMIT)
    for beat in range(10 * SHOWN):
        now = beat * LIMIT / SHOWN
        watch.alive(0, now)
        assert not watch.asks(now)
        assert watch.deadline() == now + LIMIT / SILENCE


def test_a_silent_worker_lives_as_long_as_there_is_a_scheduler() -> None:
    """A task may hold the interpreter's lock for hours."""
    watch = Watch(LIMIT)
    watch.alive(0, 0.0)
    for _ in range(100):
        now = watch.deadline()
        assert now is not None
        assert watch.asks(now)
        assert watch.deadline() is None, "one question at a time"
        assert not watch.asks(now)
        assert watch.answered(True, now + 1.0) == []


def test_a_silent_worker_without_a_scheduler_is_ended() -> None:
    """When nobody has answered for the death timeout, and not before; only the silent ones."""
    watch = Watch(LIMIT)
    watch.alive(0, 0.0)
    watch.alive(1, 0.0)
    assert watch.asks(30.0)
    assert watch.answered(False, 31.0) == []
    watch.alive(1, 89.0)
    assert watch.asks(90.0)
    assert watch.answered(False, 90.9) == []
    assert watch.asks(105.9)
    assert watch.answered(False, 106.0) == [0]


def test_an_answer_in_between_begins_the_count_anew() -> None:
    """As does a worker that shows life again."""
    watch = Watch(LIMIT)
    watch.alive(0, 0.0)
    assert watch.asks(30.0)
    assert watch.answered(False, 30.0) == []
    assert watch.asks(80.0)
    assert watch.answered(True, 80.0) == []
    assert watch.asks(110.0)
    assert watch.answered(False, 110.0) == []
    watch.alive(0, 120.0)
    assert not watch.asks(120.0)
    assert watch.asks(169.0)
    assert watch.answered(False, 175.0) == []


def test_a_worker_that_has_ended_is_not_waited_for() -> None:
    """Nor asked about; an answer that comes too late names nobody."""
    watch = Watch(LIMIT)
    watch.alive(0, 0.0)
    assert watch.asks(30.0)
    watch.ended(0)
    assert watch.answered(False, 200.0) == []
    assert watch.deadline() is None
    assert "0 workers" in repr(watch)


@given(st.floats(0.1, 1e6), st.floats(0, 1e9))
def test_a_deadline_that_comes_is_never_in_vain(limit: float, now: float) -> None:
    """At the time it names there is something to ask: an agent never spins."""
    watch = Watch(limit)
    watch.alive(0, now)
    for there in (True, False, False):
        deadline = watch.deadline()
        assert deadline is not None
        assert deadline > now
        assert watch.asks(deadline)
        watch.answered(there, now := deadline + limit / 100)
