"""The threads that run tasks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from jobqueue.errors import TaskError
from jobqueue.worker.outcomes import Outcomes


def test_one_thread_runs_tasks_in_order(bench):
    """As they were put."""
    keys = [f"t{number}" for number in range(50)]
    for key in keys:
        bench.put(key, bench.order.append, key)
    bench.wait(*keys)
    assert bench.order == keys


def test_threads_run_at_the_same_time(make_bench):
    """As many as there are."""
    bench = make_bench(nthreads=2)
    one, two = bench.begin("one"), bench.begin("two")
    two.opened.set()
    bench.wait("two")
    assert list(bench.done) == ["two"]
    one.opened.set()
    bench.wait("one")


def test_what_has_not_begun_can_be_taken_back(bench):
    """What runs cannot; what was taken back may come again."""
    gate = bench.begin("runs")
    bench.put("waits", divmod, 7, 2)
    bench.put("again", divmod, 7, 2)
    assert not bench.executor.idle
    assert bench.executor.withdraw("waits")
    assert not bench.executor.withdraw("waits")
    assert not bench.executor.withdraw("runs")
    assert bench.executor.withdraw("again")
    bench.put("again", divmod, 9, 2)
    gate.opened.set()
    bench.wait("runs", "again")
    assert set(bench.done) == {"runs", "again"}
    assert bench.value("again") == (4, 1)
    assert bench.executor.idle


def test_nobody_is_woken_twice_for_what_waits(bench):
    """One wake for all that has come before it was looked at."""
    for number in range(100):
        bench.put(f"t{number}", divmod, 7, 2)
    last = bench.begin("last")
    assert bench.wakes == 1
    last.opened.set()
    bench.wait("last", *(f"t{number}" for number in range(100)))


def test_everything_can_be_forgotten(bench, wait_until):
    """When the scheduler is lost nothing more begins, and nothing comes of what runs."""
    gate = bench.begin("runs")
    for number in range(5):
        bench.put(f"t{number}", divmod, 7, 2)
    bench.executor.start_over()
    assert bench.run(divmod, 1, 1) == (1, 0), "although a thread is not free yet"
    gate.opened.set()
    wait_until(lambda: bench.executor.idle)
    bench.take()
    assert set(bench.done) == {"task-0"}
    assert not bench.failed


def test_starting_over_keeps_no_thread_waiting(bench, wait_until):
    """What still runs has its thread for itself, and is interrupted; the functions are gone."""
    gate = bench.begin("runs")
    bench.put("waits", lambda: 1)
    bench.executor.start_over()
    assert not bench.executor.functions.loaded
    bench.put("new", lambda: 2)
    assert bench.value("new") == 2
    gate.opened.set()
    wait_until(lambda: bench.executor.idle)
    bench.take()
    assert bench.done.keys() == {"new"}
    wait_until(lambda: len(bench.executor._runners) == 1)


class Short(Outcomes):
    """Runs out of memory when a failure is to be noted."""

    def raised(self, *fields: Any) -> None:
        raise MemoryError


def test_trouble_outside_of_a_task_ends_no_thread(bench):
    """The task fails in words for which nothing is needed; its thread goes on."""
    bench.executor._performer.outcomes = Short()
    with pytest.raises(TaskError, match=r"came upon MemoryError outside of it: .* memory short\?"):
        bench.run(int, "no number")
    assert bench.run(abs, -1) == 1


def test_a_profile_function_that_a_task_leaves_behind(bench):
    """What it raises comes out of the task's own return; its thread is rid of it."""

    def profile(*event: Any) -> None:
        raise ValueError("from the profile function")

    def leave() -> None:
        sys.setprofile(profile)

    with pytest.raises(ValueError, match="from the profile function"):
        bench.run(leave)
    assert bench.run(abs, -1) == 1
