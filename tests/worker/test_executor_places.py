"""Tasks that leave their place to others, and come back to it."""

from __future__ import annotations

import threading
import time


def test_a_task_that_secedes_lets_another_run(bench):
    """At once, on the only place that there is; what it returns counts all the same."""
    gate = bench.gate()
    told: list[str | None] = []

    def leave() -> str:
        told.append(bench.executor.secede())
        told.append(bench.executor.secede())  # has left already
        return gate()

    bench.put("leaves", leave)
    gate.wait_begun()
    bench.put("other", lambda: 5)
    assert bench.value("other") == 5
    assert told == ["leaves", None]
    assert not bench.executor.idle
    gate.opened.set()
    assert bench.value("leaves") == "through"


def test_a_task_that_rejoins_waits_for_a_place(bench):
    """No more tasks run than there are places, and it comes before those that have not begun."""
    left, back = bench.gate(), threading.Event()
    told: list[str | None] = []

    def leave() -> str:
        bench.executor.secede()
        left()
        told.append(bench.executor.rejoin())
        bench.order.append("back")
        back.set()
        return "done"

    bench.put("leaves", leave)
    left.wait_begun()
    other = bench.begin("other")
    bench.put("later", lambda: bench.order.append("later"))
    left.opened.set()
    assert not back.wait(0.05)
    other.opened.set()
    bench.wait("leaves", "later")
    assert bench.order == ["back", "later"]
    assert told == ["leaves"]
    assert len(bench.executor._runners) == 1


def test_a_free_place_is_had_at_once(bench):
    """From a thread that waits for something to do."""

    def away_and_back() -> str:
        for _ in range(20):
            bench.executor.secede()
            bench.executor.rejoin()
        return "done"

    bench.put("t", away_and_back)
    assert bench.value("t") == "done"
    bench.put("u", lambda: 1)
    assert bench.value("u") == 1


def test_places_are_neither_lost_nor_made(make_bench):
    """However many tasks leave and come back at the same time."""
    bench = make_bench(3)
    lock, now, most = threading.Lock(), 0, 0

    def count(change: int) -> None:
        nonlocal now, most
        with lock:
            now += change
            most = max(most, now)

    def task() -> None:
        count(+1)
        for _ in range(3):
            count(-1)
            bench.executor.secede()
            time.sleep(0.0005)
            bench.executor.rejoin()
            count(+1)
        count(-1)

    for number in range(40):
        bench.put(f"t{number}", task)
    bench.wait(*(f"t{number}" for number in range(40)))
    assert not bench.failed
    assert most <= 3
    for gate in [bench.begin(f"g{number}") for number in range(3)]:
        gate.opened.set()


def test_a_thread_that_runs_no_task_has_no_place(bench):
    """It leaves nothing and waits for nothing."""
    assert bench.executor.secede() is None
    assert bench.executor.rejoin() is None
    assert not bench.executor.keep_here()


def test_at_the_end_nobody_waits_for_a_place(bench):
    """The place is never free any more."""
    left = bench.gate()

    def leave() -> None:
        bench.executor.secede()
        left()
        bench.executor.rejoin()

    bench.put("leaves", leave)
    left.wait_begun()
    other = bench.begin("other")
    left.opened.set()
    bench.executor.close()
    bench.wait("leaves")
    other.opened.set()
