"""Tasks are kept off workers that they would outlive, and nothing else is kept from anything."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jobqueue.protocol.hello import WorkerFacts
from jobqueue.scheduler.deadlines import AT_A_TIME
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import READY
from jobqueue.scheduler.worker_record import WorkerRecord


def take(core: Any, seconds: float, fid: bytes = b"f") -> None:
    """Calls of a function are known to take so long."""
    core.state.functions[fid].took(seconds)


def test_no_task_goes_where_it_would_outlive_the_job(core):
    """It waits for a worker with more time; shorter ones behind it are not kept waiting."""
    client = core.client()
    take(core, 60.0)
    take(core, 1.0, b"g")
    short = core.worker("short", nthreads=2, time_left=50.0)
    core.submit(client, "long")
    core.submit(client, "brief", fid=b"g")
    assert core.placed(short) == ["brief"]
    assert core.state_of("long") == READY
    assert core.placed(core.worker("fresh", time_left=3600.0)) == ["long"]


def test_what_is_not_known_may_run_anywhere(core):
    """A function's first call teaches how long they are."""
    client, worker = core.client(), core.worker("w", time_left=30.0)
    core.submit(client, "first")
    assert core.placed(worker) == ["first"]
    core.done(worker, "first", b"1", seconds=40.0)
    core.submit(client, "second")
    assert core.placed(worker) == []
    core.said(client)


def test_what_stands_before_it_at_a_worker_counts(core):
    """A queue must not outlive the job either."""
    client = core.client()
    take(core, 10.0)
    worker = core.worker("w", time_left=30.0)
    core.submit(client, "a", "b", "c")
    assert core.placed(worker) == ["a", "b"], "twenty seconds of work, and some to spare"
    later = core.worker("later", time_left=20.0)
    assert core.placed(later) == ["c"]
    core.submit(client, "d")
    assert core.state_of("d") == READY, "that would be twenty there, too"


def test_time_that_passes_makes_workers_unfit(core):
    """What fitted a minute ago does so no more."""
    client = core.client()
    take(core, 60.0)
    worker = core.worker("w", time_left=100.0)
    core.happens(core.state.draining.look, 50.0)
    core.submit(client, "a")
    assert core.placed(worker) == []
    core.state.functions[b"f"].duration = 30.0
    core.happens(core.state.draining.look, 51.0)
    assert core.placed(worker) == ["a"], "calls turn out to be shorter"


@pytest.mark.parametrize(
    "options",
    [
        {"workers": ["pool:gpu"]},
        {"resources": {"GPU": 1}},
        {"workers": ["pool:gpu"], "allow_other_workers": True},
        {"workers": ["absent"], "allow_other_workers": True},
    ],
)
def test_it_holds_for_tasks_with_demands(core, options):
    """Whatever else they ask of their worker."""
    client = core.client()
    take(core, 60.0)
    short = core.worker("short", pool="gpu", resources={"GPU": 1}, time_left=30.0)
    core.submit(client, "a", **options)
    assert core.placed(short) == []
    fresh = core.worker("fresh", pool="gpu", resources={"GPU": 1}, time_left=1000.0)
    assert core.placed(fresh) == ["a"]


def test_inputs_do_not_draw_a_task_to_where_there_is_no_time(core):
    """However many bytes are there."""
    client = core.client()
    short, fresh = core.worker("short", time_left=30.0), core.worker("fresh")
    take(core, 1.0)
    core.submit(client, "large", workers=["short"])
    core.placed(short)
    core.done(short, "large", nbytes=10**9)
    take(core, 60.0, b"g")
    core.submit(client, "a", inputs=["large"], fid=b"g")
    assert (core.placed(short), core.placed(fresh)) == ([], ["a"])
    core.said(client)


def test_nothing_is_taken_back_for_a_worker_without_time(core):
    """It would only be placed where it came from, again and again."""
    client = core.client()
    take(core, 60.0)
    busy = core.worker("busy", time_left=1000.0)
    core.submit(client, "a", "b")
    assert core.placed(busy) == ["a", "b"]
    core.worker("short", time_left=20.0)
    core.happens(core.state.placing.rebalance)
    assert core.said(busy) == []


def test_far_ends_are_looked_at_by_nobody(core):
    """As long as no call takes a part of the time that is left everywhere."""
    client = core.client()
    take(core, 60.0)
    worker = core.worker("w", time_left=3600.0)
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
    assert core.task("a").demand is None
    core.lose(worker, charge=False)
    core.happens(core.state.draining.look, 1.0)
    assert core.state.deadlines.brief == math.inf


def test_calls_that_no_job_is_long_enough_for_are_told_of_once(core):
    """Nothing would ever run them, and nobody would know."""
    client = core.client()
    take(core, 60.0)
    worker = core.worker("w", time_left=40.0)
    core.submit(client, "a")
    assert core.state.draining.look(1.0) == [
        "tasks wait for a longer job function=f takes=60s longest=35s"
    ]
    assert core.state.draining.look(2.0) == []
    assert core.placed(worker) == []


def test_a_task_set_apart_keeps_to_its_time(make_core):
    """One thing does not undo the other."""
    core = make_core(allowed_failures=2)
    client = core.client()
    take(core, 60.0)
    short, fresh = core.worker("short", time_left=70.0), core.worker("fresh")
    core.happens(core.state.draining.look, 20.0)
    core.submit(client, "a", "b")
    assert (core.placed(short), core.placed(fresh)) == ([], ["a", "b"])
    core.lose(fresh)
    assert core.placed(short) == []
    assert core.placed(core.worker("next")) == ["a", "b"]


# -- cost ------------------------------------------------------------------------------------------


def ending(workers: int) -> tuple[SchedulerState, ClientRecord]:
    """As many workers whose time is nearly over, and three that are fresh."""
    state = SchedulerState()
    client = ClientRecord("c", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(b"f", "f", b"")])
    state.functions[b"f"].took(60.0)
    for number in range(workers):
        left = 600.0 if number < 3 else 50.0
        facts = WorkerFacts(f"w{number}", 1, time_left=left)
        state.add_worker(WorkerRecord(facts.name, 1, facts=facts), 0.0)
    state.submit(client, b"f", None, [("first", b"", None)])
    state.settle()
    return state, client


def test_choosing_costs_the_same_with_more_workers_that_end(calls_of):
    """Three with enough time are found among thousands that have not as fast as among ten."""

    def running(workers: int) -> int:
        state, client = ending(workers)

        def run(prefix: str = "t") -> None:
            items = [(f"{prefix}{i}", b"", None) for i in range(300)]
            state.submit(client, b"f", None, items)
            state.settle()
            while placed := [task for task in state.tasks.values() if task.worker is not None]:
                for task in placed:
                    state.done(task.worker, [(task.key, b"1", 1, 60.0)])
                state.settle()

        run("at first each is looked at once ")
        return int(calls_of(run))

    assert running(3000) <= 1.5 * running(10)


def test_a_flood_of_tasks_that_fit_nowhere_keeps_nobody_waiting():
    """They leave the line some at a time; the shell is told that there are more."""
    state, client = ending(10)
    state.wishes.add_functions(client, [(b"g", "g", b"")])
    for worker in list(state.workers.values())[:3]:
        state.remove_worker(worker, cause="", charge=False)
    items = [(f"t{i}", b"", None) for i in range(2 * AT_A_TIME)]
    state.submit(client, b"f", None, items)
    state.submit(client, b"g", None, [("brief", b"", None)])
    turns = 1
    state.settle()
    while state.placing.unfinished:
        state.settle()
        turns += 1
    assert turns == 3
    assert state.tasks["brief"].worker is not None
