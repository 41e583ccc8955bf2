"""Tasks that wait at a busy worker go to workers that have nothing to do."""

from __future__ import annotations

from jobqueue.protocol import messages as m
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.validation import validate
from jobqueue.scheduler.worker_record import WorkerRecord

FID = b"f" * 16


def core_with_tasks(count: int) -> tuple[SchedulerState, WorkerRecord]:
    """Return a core in which one worker of one thread was given all of `count` tasks."""
    state = SchedulerState()
    client = ClientRecord("client", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(FID, "f", b"pickle")])
    worker = add_worker(state, "busy")
    state.submit(client, FID, None, [(f"f-{n}", b"arguments", None) for n in range(count)])
    state.settle()
    assert len(worker.assigned) == count
    worker.take_messages()
    return state, worker


def add_worker(state: SchedulerState, name: str, nthreads: int = 1) -> WorkerRecord:
    worker = WorkerRecord(name, nthreads, addresses=(name,))
    state.add_worker(worker, 0.0)
    worker.take_messages()
    return worker


def test_a_worker_that_comes_late_gets_what_waits_elsewhere() -> None:
    """The task that has not begun is recalled, and placed on the idle worker."""
    state, busy = core_with_tasks(2)
    idle = add_worker(state, "idle")
    state.placing.rebalance()
    assert busy.take_messages() == [(m.RECALL, ["f-1"])]
    state.returned(busy, ["f-1"])
    state.settle()
    validate(state)
    assert [task.key for task in idle.assigned] == ["f-1"]
    assert [task.key for task in busy.assigned] == ["f-0"]


def test_a_recall_is_made_once_until_it_is_answered() -> None:
    """A worker that has not answered yet is not asked again."""
    state, busy = core_with_tasks(2)
    add_worker(state, "idle")
    state.placing.rebalance()
    busy.take_messages()
    state.placing.rebalance()
    assert busy.take_messages() == []
    state.returned(busy, [])  # it had just begun
    state.placing.rebalance()
    assert busy.take_messages() == [(m.RECALL, ["f-1"])]


def test_nothing_is_recalled_while_everybody_is_busy() -> None:
    """With as many tasks as threads, or no idle worker, all stays as it is."""
    state, busy = core_with_tasks(2)
    state.placing.rebalance()
    assert busy.take_messages() == []
    state, busy = core_with_tasks(1)
    add_worker(state, "idle")
    state.placing.rebalance()
    assert busy.take_messages() == []


def test_no_more_is_recalled_than_idle_threads_can_begin() -> None:
    """One idle thread takes one task, however many wait."""
    state = SchedulerState()
    client = ClientRecord("client", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(FID, "f", b"pickle")])
    busy = add_worker(state, "busy", nthreads=4)
    state.submit(client, FID, None, [(f"f-{n}", b"arguments", None) for n in range(8)])
    state.settle()
    busy.take_messages()
    add_worker(state, "idle")
    state.placing.rebalance()
    assert busy.take_messages() == [(m.RECALL, ["f-7"])]
