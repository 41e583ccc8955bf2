"""Which task next, and to which worker."""

from __future__ import annotations

from collections.abc import Callable, Collection

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.protocol import messages as m
from jobqueue.scheduler.placement import (
    ALWAYS,
    WINDOW_SECONDS,
    WINDOW_TASKS,
    OpenWorkers,
    ReadyQueue,
    choose,
    rank,
    surplus,
)
from jobqueue.scheduler.records import ClientRecord, Function, Task
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import MEMORY, READY
from jobqueue.scheduler.worker_record import ROOM_IF_UNLIMITED, WorkerRecord

FUNCTION = Function(b"f", "f", b"")


def ready_task(number: int, priority: float = 0) -> Task:
    task = Task(f"t{number}", FUNCTION, b"", rank(priority, number), ())
    task.state = READY
    return task


def result(nbytes: int, *holders: WorkerRecord) -> Task:
    task = ready_task(0)
    task.state, task.nbytes, task.holders = MEMORY, nbytes, set(holders)
    return task


def load(worker: WorkerRecord, count: int, seconds: float = 1.0) -> WorkerRecord:
    """Give a worker tasks."""
    for number in range(count):
        worker.assigned[ready_task(number)] = seconds
        worker.occupancy += seconds
    return worker


def open_for(*workers: WorkerRecord) -> OpenWorkers:
    there = OpenWorkers()
    for worker in workers:
        there.update(worker)
    return there


@given(
    st.lists(
        st.one_of(
            st.sampled_from([0, 0, 0, 1, -1, 0.5, 100]),
            st.floats(-1e6, 1e6, allow_nan=False),
            st.just("pop"),
        )
    )
)
def test_tasks_come_by_priority_then_in_order_of_submission(events):
    """Whatever is pushed and popped in between, `pop` gives the first of a sorted list."""
    queue, there = ReadyQueue(), []
    for number, event in enumerate(events):
        if event == "pop":
            expected = min(there, default=None)
            task = queue.pop()
            assert (task and task.key) == (expected and expected[2])
            if expected is not None:
                there.remove(expected)
        else:
            queue.push(ready_task(number, event))
            there.append((-int(event * 2**48), number, f"t{number}"))
    rest = [queue.pop().key for _ in there]
    assert rest == [key for _, _, key in sorted(there)]
    assert queue.pop() is None


def test_a_task_that_is_not_ready_any_more_is_passed_over():
    """Tasks leave the queue lazily, since they may be anywhere in it."""
    queue = ReadyQueue()
    first, second = ready_task(1), ready_task(2)
    queue.push(first)
    queue.push(second)
    first.state = MEMORY
    assert queue.pop() is second
    assert queue.pop() is None
    assert not queue


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_least_loaded_worker_is_chosen(shapes):
    """It has the fewest tasks a thread; with its room gone, it is not chosen at all."""
    workers = [
        load(WorkerRecord(f"w{i}", nthreads), count) for i, (nthreads, count) in enumerate(shapes)
    ]
    there = open_for(*workers)
    having_room = [w for w in workers if len(w.assigned) < ALWAYS * w.nthreads]
    assert len(there) == len(having_room)
    chosen = choose(ready_task(1), there)
    if not having_room:
        assert chosen is None
    else:
        assert chosen in having_room
        levels = {w.name: len(w.assigned) // w.nthreads for w in having_room}
        assert levels[chosen.name] == min(levels.values())


def window(seconds: float, nthreads: int = 1, nbytes: float = 0.0) -> int:
    """How many tasks of this length, with results of this size, a worker is given."""
    worker = WorkerRecord("w", nthreads)
    worker.each = nbytes
    there = open_for(worker)
    while worker in there:
        load(worker, 1, seconds)
        there.update(worker)
    return len(worker.assigned)


def test_long_tasks_come_two_a_thread():
    """One that runs, and one to follow it."""
    assert window(1.0) == 2
    assert window(1.0, nthreads=4) == 8
    assert window(3600.0) == 2


def test_short_tasks_come_by_the_hundreds():
    """As many as cover some round trips, but never without bound."""
    assert window(100e-6) >= 0.99 * WINDOW_SECONDS / 100e-6 > 200
    assert window(0.0) == WINDOW_TASKS
    assert window(0.0, nthreads=2) == 2 * WINDOW_TASKS


def test_few_come_whose_results_are_large():
    """However short they are: one for each thread, and one to follow."""
    assert window(1e-6, nbytes=ROOM_IF_UNLIMITED) == 2
    assert window(1e-6, nthreads=8, nbytes=1e12) == 9
    assert window(1.0, nthreads=8, nbytes=1e6) == 16
    assert window(1e-6, nbytes=ROOM_IF_UNLIMITED / 100) == 101


def test_a_retiring_worker_has_no_room():
    """It gets nothing more, also if it holds the inputs."""
    near, far = WorkerRecord("near", 1), WorkerRecord("far", 1)
    there = open_for(near, far)
    near.retiring = True
    there.update(near)
    task = ready_task(1)
    task.inputs = (result(10**9, near),)
    assert choose(task, there) is far


def test_a_task_goes_where_most_bytes_of_its_inputs_are():
    """Bytes count, not the number of inputs."""
    many, much, none = (WorkerRecord(name, 1) for name in ("many", "much", "none"))
    task = ready_task(1)
    task.inputs = (result(1000, many), result(1000, many), result(5000, much))
    assert choose(task, open_for(many, much, none)) is much


def test_inputs_held_by_the_scheduler_have_no_place():
    """They travel with the task, wherever it goes."""
    holder, idle = load(WorkerRecord("holder", 1), 1), WorkerRecord("idle", 1)
    small = result(1000, holder)
    small.value = b"small"
    task = ready_task(1)
    task.inputs = (small,)
    assert choose(task, open_for(holder, idle)) is idle


def test_a_short_way_is_not_worth_a_long_wait():
    """A kilobyte moves in no time; the worker that has it is busy for an hour."""
    busy, idle = load(WorkerRecord("busy", 1), 1, 3600.0), WorkerRecord("idle", 1)
    task = ready_task(1)
    there = open_for(busy, idle)
    task.inputs = (result(1000, busy),)
    assert choose(task, there) is idle
    task.inputs = (result(10**13, busy),)
    assert choose(task, there) is busy


def anywhere(task: Task, idle: Collection[WorkerRecord]) -> bool:
    """Tasks without demands run on any worker."""
    return True


def test_what_waits_while_others_idle_is_handed_back():
    """The tasks given last, and no more of them than there are idle threads."""
    busy, idle = load(WorkerRecord("busy", 1), 4), WorkerRecord("idle", 2)
    ((worker, keys),) = surplus([busy, idle], anywhere)
    assert worker is busy
    assert keys == ["t3", "t2"]
    busy.recall([])
    assert surplus([busy, idle], anywhere) == []
    assert surplus([load(WorkerRecord("full", 1), 2)], anywhere) == []


def test_priorities_decide_on_the_way_through_the_core(core):
    """A worker is given tasks of higher priority first, whenever they were submitted."""
    client, worker = core.client(), core.worker(nthreads=1)
    core.submit(client, "fills", "the-window")
    core.submit(client, "low", priority=-1)
    core.submit(client, "normal")
    core.submit(client, "high", priority=2)
    assert core.placed(worker) == ["fills", "the-window"]
    for key, following in [("fills", "high"), ("the-window", "normal"), ("high", "low")]:
        core.done(worker, key, b"1")
        assert core.placed(worker) == [following]
    assert [op for op, _ in core.said(client)] == [m.FINISHED]


def test_the_window_follows_the_measured_duration(core):
    """A function that was never seen is taken to be slow; once it proves fast, more come."""
    client, worker = core.client(), core.worker()
    core.submit(client, *(f"t{i}" for i in range(1000)))
    assert core.placed(worker) == ["t0", "t1"]
    core.done(worker, "t0", b"1", seconds=0.0001)
    core.done(worker, "t1", b"1", seconds=0.0001)
    assert len(core.placed(worker)) > 200
    core.said(client)


def test_the_window_follows_the_size_of_results(core):
    """What uses large results up does not wait behind hundreds that make more of them."""
    client = core.client()
    worker = core.worker(memory_limit=100_000_000)
    keys = [f"t{i}" for i in range(500)]
    core.submit(client, *keys)
    core.submit(client, "sum", inputs=["t0", "t1"], priority=1, fid=b"g")
    waiting = core.placed(worker)
    core.done(worker, waiting.pop(0), seconds=0.0001, nbytes=4_000_000)
    waiting += core.placed(worker)
    assert len(waiting) == 2  # each takes 4 of the 5 MB
    core.done(worker, waiting.pop(0), seconds=0.0001, nbytes=4_000_000)
    assert core.placed(worker) == ["sum"]
    core.said(client)


# -- cost ------------------------------------------------------------------------------------------


def placing(workers: int, tasks: int = 2000) -> Callable[[], None]:
    """Placing tasks with inputs, ending them and placing the next ones."""
    state = SchedulerState()
    records = [WorkerRecord(f"w{i}", 4) for i in range(workers)]
    for record in records:
        state.add_worker(record, 0.0)
    client = ClientRecord("c", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(b"f", "f", b"")])
    state.submit(client, b"f", None, [("input", b"", None)])
    state.settle()
    holder = state.tasks["input"].worker
    state.done(holder, [("input", None, 10**6, 1.0)])
    for record in records:  # everybody has a copy
        state.copied(record, ["input"], [])

    def run() -> None:
        state.submit(client, b"f", None, [(f"t{i}", b"", ["input"]) for i in range(tasks)])
        state.settle()
        while placed := [task for task in state.tasks.values() if task.worker is not None]:
            for task in placed:
                state.done(task.worker, [(task.key, b"1", 1, 1.0)])
            state.settle()

    return run


def test_choosing_costs_the_same_with_more_workers(calls_of):
    """Ten thousand workers are as cheap as ten, for tasks with an input that everybody holds."""
    assert calls_of(placing(10_000)) <= 1.5 * calls_of(placing(10))
