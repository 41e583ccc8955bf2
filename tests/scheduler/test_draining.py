"""Workers that say when their job ends: what they run and hold is saved in that time."""

from __future__ import annotations

import math
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.scheduler.explain import explain
from jobqueue.scheduler.info import WorkerDrains, WorkerLeft
from jobqueue.scheduler.states import MEMORY, READY


def drain(core: Any, worker: Any, seconds: float = 60.0) -> None:
    core.happens(core.state.draining.begin, worker, "walltime", seconds)


def look(core: Any, now: float) -> list[str]:
    said: list[str] = core.state.draining.look(now)
    core.end_turn()
    return said


def test_a_worker_that_drains_is_let_go_once_it_has_nothing(core):
    """It gets nothing new, hands back what has not begun, and ends what runs."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "runs", "waits")
    core.placed(worker)
    drain(core, worker)
    assert core.said(worker) == [(m.RECALL, ["runs", "waits"])]
    core.happens(core.state.returned, worker, ["waits"])
    assert core.state_of("waits") == READY
    core.done(worker, "runs", b"1")
    assert core.said(worker) == [(m.END, "retired")]
    core.said(client)


def test_what_does_not_end_in_time_is_handed_back_and_not_charged(core):
    """Shortly before the end, so that it can be said; it runs anew elsewhere."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a")
    core.placed(worker)
    drain(core, worker, 60.0)
    core.happens(core.state.returned, worker, [])
    assert look(core, 54.0) == []
    assert core.task("a").worker is worker
    assert look(core, 55.0) == ["handed back worker=w tasks=a"]
    assert core.said(worker)[1:] == [(m.CANCEL, False, ["a"]), (m.END, "retired")]
    assert (core.state_of("a"), core.task("a").deaths) == (READY, 0)
    assert look(core, 56.0) == []


def test_a_call_that_was_not_let_end_teaches_how_long_they_are(core):
    """At least as long as the worker drained: so it is not placed where there is less."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a")
    core.placed(worker)
    drain(core, worker, 60.0)
    look(core, 55.0)
    core.said(worker)
    assert core.placed(core.worker("short", time_left=30.0)) == []
    assert core.placed(core.worker("fresh", time_left=300.0)) == ["a"]


def test_a_call_that_was_not_let_end_goes_where_there_is_more_time(core):
    """More than it ran, by its worker's word; short calls of its function still go anywhere."""
    client, worker = core.client(), core.worker("w")
    core.state.functions[b"f"].took(0.1)
    core.submit(client, "endless")
    core.placed(worker)
    core.happens(core.state.draining.begin, worker, "walltime", 13.0, {"endless": 40.0})
    look(core, 10.0)
    core.said(worker)
    core.lose(worker, charge=False)
    core.submit(client, "short")
    late = core.worker("late", nthreads=2, time_left=54.0)
    assert core.placed(late) == ["short"], "it has 49 s, and the other ran for 50"
    assert look(core, 1.0) == [
        "a task waits for a longer job task=endless: it took more than 50 s and did not end; "
        "the longest job has 49 s for tasks"
    ]
    assert look(core, 2.0) == []
    assert explain(core.state, "endless", "", 2.0) == (
        "endless is ready to run, but the only worker has 47 s left for tasks before its job ends, "
        "and it took more than 50 s before and did not end; the longest job has 49 s for tasks; "
        "it was begun once before, and not done when its job's time was over."
    )
    assert core.placed(core.worker("fresh", time_left=60.0)) == ["endless"]


def test_what_a_worker_says_of_an_earlier_run_of_a_key_is_not_believed(core):
    """It was withdrawn there, and is another task since."""
    client, worker = core.client(), core.worker("w", nthreads=2)
    core.submit(client, "a")
    core.placed(worker)
    core.state.lives.withdraw(core.task("a"))
    core.happens(core.state.lives.await_inputs, core.task("a"))
    core.happens(core.state.draining.begin, worker, "walltime", 60.0, {"a": 1000.0})
    look(core, 55.0)
    assert core.placed(core.worker("other", time_left=100.0)) == ["a"]
    core.said(worker), core.said(client)


def test_a_task_that_no_job_lets_end_is_told_of(core):
    """It is begun again and again, for other calls may be short: somebody has to know."""
    client = core.client()
    core.submit(client, "a")
    said = []
    for life in range(4):
        worker = core.worker(f"w{life}")
        assert core.placed(worker) == ["a"]
        drain(core, worker, 60.0)
        said += look(core, 60.0 * life + 55.0)
        core.happens(core.state.draining.forget, worker)
        core.said(worker)
        look(core, 60.0 * life + 60.0)
    assert [line for line in said if "in vain" in line] == [
        "no job lasts long enough, it seems task=a begun=3 times in vain"
    ]
    assert "begun 4 times before, and not done when its job's time" in explain(
        core.state, "a", "", 240.0
    )


def test_the_little_time_of_one_that_drains_is_no_matter_for_others(core):
    """It gets no tasks, so nobody has to ask whether they would fit."""
    worker = core.worker("w")
    drain(core, worker, 6.0)
    assert core.state.deadlines.brief == math.inf
    assert core.said(worker) == [(m.END, "retired")]


def test_saying_it_again_with_less_time_shortens_it(core):
    """And with more does not make it longer."""
    client, worker = core.client(), core.worker("w", time_left=1000.0)
    core.submit(client, "a")
    core.placed(worker)
    drain(core, worker, 60.0)
    drain(core, worker, 20.0)
    drain(core, worker, 500.0)
    assert worker.ends_at == 20.0
    assert look(core, 14.9) == []
    assert look(core, 15.0) != []
    core.said(worker)


def test_where_there_is_little_time_a_part_of_it_is_kept(core):
    """Ten seconds are not five."""
    worker = core.worker("w")
    core.submit(core.client(), "a")
    drain(core, worker, 8.0)
    assert worker.due == 6.0
    core.said(worker)


def test_the_end_of_such_a_worker_is_nobodys_fault(core):
    """Whether it said so, or its time was over without a word."""
    told, silent, other = (core.worker(n, time_left=t) for n, t in (("a", 9), ("b", 9), ("c", 99)))
    drain(core, told)
    excuse = core.state.draining.excuse
    assert [excuse(worker, 8.0) for worker in (told, silent, other)] == [
        "walltime",
        "its job's time was over",
        None,
    ]
    core.said(told)


def test_a_worker_whose_time_is_nearly_over_drains_by_itself(core):
    """If its agent has not said a word."""
    client, worker = core.client(), core.worker("w", time_left=100.0)
    core.submit(client, "a")
    core.placed(worker)
    look(core, 93.0)
    assert not worker.retiring
    look(core, 94.0)
    assert worker.retiring
    core.said(worker)


def test_results_that_are_only_there_move_to_others(core):
    """At once, while something still runs."""
    client, worker, other = core.client(), core.worker("w"), core.worker("other")
    core.submit(client, "a", workers=["w"])
    core.submit(client, "runs", workers=["w"])
    core.placed(worker)
    core.done(worker, "a", nbytes=10_000)
    drain(core, worker)
    assert core.said(other) == [(m.COPY, [("a", [("at w",)])])]
    core.happens(core.state.copied, other, ["a"], [])
    core.said(worker)
    core.lose(worker, charge=False)
    assert core.state_of("a") == MEMORY
    core.said(client)


def test_without_another_worker_the_scheduler_takes_what_it_has_memory_for(make_core):
    """For the rest a worker may come in time; what is left is computed again."""
    core = make_core(held_budget=25_000)
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a", "b", "c")
    core.placed(worker)
    for key in "abc":
        core.done(worker, key, nbytes=10_000)
        core.placed(worker)
    drain(core, worker)
    sent = [message for message in core.said(worker) if message[0] == m.SEND]
    assert len(sent) == 2
    for _, number, _ in sent:
        core.happens(core.state.transfers.data, worker, number, b"." * 10_000)
    core.said(worker)
    (fact,) = look(core, 55.0)
    assert fact.startswith("no room anywhere for results worker=w")
    assert core.said(worker) == [], "it may still come"
    late = core.worker("late")
    moved = [key for _, items in core.said(late) for key, _ in items]
    assert set(moved) >= {task.key for task in worker.holds if task.value is None}
    core.happens(core.state.copied, late, moved, [])
    assert (m.END, "retired") in core.said(worker)
    core.lose(worker, charge=False)
    assert all(core.state_of(key) == MEMORY for key in "abc")
    held = core.state.results.held_bytes
    assert held == 0, "what the scheduler took went to the worker that came"
    core.said(client), core.said(late)


def test_a_drain_is_heard_through_the_shell(run, site, jump):
    """A worker says it; it is told to end, and its task is begun elsewhere, uncharged."""

    async def test() -> None:
        async with site() as here:
            client, worker = await here.client(), await here.worker()
            await here.submit(client, "a")
            await worker.hears(m.RUN)
            worker.say(m.DRAIN, "walltime", 20.0, {"a": 3.0})
            await worker.hears(m.RECALL)
            worker.say(m.RETURNED, [])
            jump(16.0)
            await worker.hears(m.END)
            worker.comm.close()
            other = await here.worker("other")
            assert (await other.hears(m.RUN))[1][0][0] == "a"
            task = here.scheduler.state.tasks["a"]
            assert task.deaths == 0
            drains = [event for event in here.events if isinstance(event, WorkerDrains)]
            assert [(event.worker.name, event.reason) for event in drains] == [("w", "walltime")]
            left = [event for event in here.events if isinstance(event, WorkerLeft)]
            assert [(event.reason, event.expected) for event in left] == [("walltime", True)]

    run(test())


def test_who_drains_unasked_is_told_of_as_well(run, site, jump):
    """The cluster's owner hears of it once, whoever has looked at the clock."""

    async def test() -> None:
        async with site() as here:
            worker = await here.worker(time_left=20.0)
            jump(14.5)
            await worker.hears(m.END)
            drains = [event for event in here.events if isinstance(event, WorkerDrains)]
            assert [event.reason for event in drains] == ["its job's time is nearly over"]

    run(test())
