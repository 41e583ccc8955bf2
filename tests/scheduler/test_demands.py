"""Tasks that not any worker may run: restricted to some, or in need of resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import ASSIGNED, READY
from jobqueue.scheduler.worker_record import WorkerRecord


def test_what_no_worker_may_run_keeps_nobody_waiting(core):
    """Tasks behind it in line go ahead; it goes when its worker comes."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "special", workers=["absent"], priority=10)
    core.submit(client, "needs", resources={"GPU": 1}, priority=10)
    core.submit(client, "any")
    assert core.placed(worker) == ["any"]
    assert core.placed(core.worker("absent")) == ["special"]
    assert core.placed(core.worker("gpu", resources={"GPU": 1})) == ["needs"]


def test_rank_decides_between_those_with_demands_and_those_without(core):
    """Priority, then the order of submission, as if there were one line."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "fills", "window")
    core.submit(client, "first", workers=["w"])
    core.submit(client, "second")
    core.submit(client, "third", resources={})
    core.submit(client, "fourth", workers=["w"])
    core.submit(client, "urgent", workers=["w"], priority=1)
    assert core.placed(worker) == ["fills", "window"]
    order = ["fills", "window", "urgent", "first", "second", "third", "fourth"]
    for key, following in zip(order, order[2:], strict=False):
        core.done(worker, key, b"1")
        assert core.placed(worker) == [following]
    core.said(client)


def test_workers_with_resources_share_the_work(core):
    """The least loaded one gets the next task."""
    client = core.client()
    workers = [core.worker(f"w{i}", resources={"GPU": 4}) for i in range(4)]
    core.worker("without")
    core.submit(client, *(f"t{i}" for i in range(6)), resources={"GPU": 1})
    assert sorted(len(core.placed(worker)) for worker in workers) == [1, 1, 2, 2]


def test_among_the_workers_that_will_do_the_one_with_the_inputs_is_chosen(core):
    """But none that will not do, whatever it holds."""
    client = core.client()
    holder, near, far = (
        core.worker("holder", host="h"),
        core.worker("near", host="h"),
        core.worker("far"),
    )
    core.submit(client, "large", workers=["near"])
    core.placed(near)
    core.done(near, "large", nbytes=10**9)
    core.submit(client, "a", inputs=["large"], workers=["h"])
    core.submit(client, "b", inputs=["large"], workers=["far"])
    assert (core.placed(near), core.placed(holder), core.placed(far)) == (["a"], [], ["b"])
    core.said(client)


def test_what_waits_for_any_worker_goes_to_a_preferred_one_that_comes(core):
    """As long as it has not been placed."""
    client = core.client()
    core.submit(client, "a", workers=["mine"], allow_other_workers=True)
    core.submit(client, "g", workers=["mine"], allow_other_workers=True, resources={"GPU": 1})
    mine = WorkerRecord("mine", 2, facts=WorkerFacts("mine", 2, resources={"GPU": 1}))
    other = WorkerRecord("other", 2, facts=WorkerFacts("other", 2, resources={"GPU": 1}))
    core.state.add_worker(other, 0.0)
    core.state.add_worker(mine, 0.0)
    core.end_turn()
    assert {task.key for task in mine.assigned} == {"a", "g"}


def test_a_retiring_worker_satisfies_nothing(core):
    """What only it could run waits for another one."""
    client, worker = core.client(), core.worker("w", host="h")
    core.retire(worker)
    core.submit(client, "a", workers=["h"])
    assert core.said(worker) == [(m.END, "retired")]
    assert core.state_of("a") == READY
    assert core.placed(core.worker("w2", host="h")) == ["a"]


def test_tasks_are_only_taken_back_for_idle_workers_that_may_run_them(core):
    """What is restricted to a busy worker waits there."""
    client, busy = core.client(), core.worker("busy")
    core.submit(client, "runs")
    core.submit(client, "bound", workers=["busy"])
    idle = core.worker("idle")
    assert core.placed(busy) == ["runs", "bound"]
    core.happens(core.state.placing.rebalance)
    assert core.said(busy) == []
    core.submit(client, "free", fid=b"g")
    core.said(idle)
    core.done(busy, "runs", b"1")
    core.submit(client, "either", workers=["busy", "idle"])
    assert core.state_of("either") == ASSIGNED
    core.said(client), core.said(busy), core.said(idle)


def test_demands_end_with_their_tasks(core):
    """Nothing is left of a session's demands."""
    client, worker = core.client(), core.worker("w", resources={"GPU": 1})
    core.submit(client, "a", workers=["x"], allow_other_workers=True, resources={"GPU": 1})
    core.submit(client, "b", resources={"GPU": 1})
    assert len(core.state.demands.by_kind) == 2
    core.happens(core.state.wishes.release, client, ["a", "b"])
    assert not core.state.demands.by_kind
    assert not worker.demands
    core.said(worker)


# -- cost ------------------------------------------------------------------------------------------


def demanding(workers: int, options: dict[str, Any], tasks: int = 500) -> Callable[[], None]:
    """Running tasks with a demand, among so many workers."""
    state = SchedulerState()
    client = ClientRecord("c", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(b"f", "f", b"")])
    for number in range(workers):
        facts = WorkerFacts(f"w{number}", 1, resources={"GPU": 1})
        state.add_worker(WorkerRecord(facts.name, 1, facts=facts), 0.0)
    state.submit(client, b"f", options, [("first", b"", None)])

    def run() -> None:
        state.submit(client, b"f", options, [(f"t{i}", b"", None) for i in range(tasks)])
        state.settle()
        while placed := [task for task in state.tasks.values() if task.worker is not None]:
            for task in placed:
                state.done(task.worker, [(task.key, b"1", 1, 1.0)])
            state.settle()

    return run


@pytest.mark.parametrize("options", [{"workers": ["w1", "w2", "w3"]}, {"resources": {"GPU": 1}}])
def test_demands_cost_the_same_with_more_workers(calls_of, options):
    """Three of ten thousand are found as fast as three of ten, and so is any of ten thousand."""
    assert calls_of(demanding(10_000, options)) <= 1.5 * calls_of(demanding(10, options))
