"""Every invariant of the scheduler core, checked in tests after every step."""

from __future__ import annotations

from jobqueue.scheduler.demand import Demand
from jobqueue.scheduler.records import Function, Task
from jobqueue.scheduler.reservations import job_of
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import (
    ASSIGNED,
    DEAD,
    FAILED,
    FORGOTTEN,
    MEMORY,
    READY,
    RELEASED,
    UNFINISHED,
    WAITING,
)
from jobqueue.scheduler.worker_record import ASIDE, WorkerRecord


def validate(state: SchedulerState) -> None:
    """Raise AssertionError if the state of a scheduler contradicts itself."""
    for key, task in state.tasks.items():
        assert task.key == key, task
        _check_task(state, task)
    for worker in state.workers.values():
        _check_worker(state, worker)
    for client in (*state.clients.values(), state.wishes.keeper, *state.wishes.mentioned.values()):
        for task in client.wants:
            assert state.tasks.get(task.key) is task, (client, task)
            assert client in task.clients, (client, task)
    _check_functions(state)
    _check_demands(state)
    _check_losses(state)
    _check_jobs(state)
    _check_copies(state)
    assert not state.lives.loose, "somebody has not swept"
    held = sum(task.nbytes for task in state.tasks.values() if task.value is not None)
    assert held == state.results.held_bytes, (held, state.results.held_bytes)


def _check_task(state: SchedulerState, task: Task) -> None:
    assert task.state is not FORGOTTEN, task
    for client in task.clients:
        assert task in client.wants, (task, client)
    _check_links(state, task)
    in_memory = task.state is MEMORY
    assert in_memory == (task.value is not None or bool(task.holders)), task
    assert (task.state is ASSIGNED) == (task.worker is not None), task
    is_actor = in_memory and task.actor and task.function is not None
    assert (task in state.results.actors) == is_actor, task
    assert task.gone <= (task.state is FAILED), task
    assert task.arguments is not None or task.state not in UNFINISHED, f"{task} cannot be run"
    if task in state.wishes.mentioned:
        assert in_memory or task.state in UNFINISHED, task
    if task.state is WAITING:
        missing = sum(source.state is not MEMORY for source in task.inputs)
        missing += task in state.losses.in_doubt
        assert task.missing == missing > 0, (task, task.missing, missing)
    elif task.state is READY:
        assert all(source.state is MEMORY for source in task.inputs), task
    elif task.state is ASSIGNED:
        assert task.worker is not None
        assert (task in task.worker.assigned) != (task in task.worker.seceded), task
        assert state.workers.get(task.worker.name) is task.worker, task
    if task.state in UNFINISHED:
        assert task.clients or task.waiters, f"{task} is computed for nobody"
        assert not any(source.state in DEAD or source.state is RELEASED for source in task.inputs)
    if task.state is RELEASED:
        assert not task.clients, task
        assert not task.waiters, task
        assert task.dependents, task
    for holder in task.holders or ():
        assert task in holder.holds, (task, holder)


def _check_links(state: SchedulerState, task: Task) -> None:
    for source in task.inputs:
        assert state.tasks.get(source.key) is source, (task, source)
        assert source.dependents, (task, source)
        assert task in source.dependents, (task, source)
    for dependent in task.dependents or ():
        assert task in dependent.inputs, (task, dependent)
        assert state.tasks.get(dependent.key) is dependent, (task, dependent)
    waiters = sum(dependent.state in UNFINISHED for dependent in task.dependents or ())
    assert task.waiters == waiters, (task, task.waiters, waiters)


def _check_worker(state: SchedulerState, worker: WorkerRecord) -> None:
    for task in worker.tasks:
        assert task.worker is worker, (worker, task)
        assert task.state is ASSIGNED, (worker, task)
    for task in worker.holds:
        assert task.holders, (worker, task)
        assert worker in task.holders, (worker, task)
        assert state.tasks.get(task.key) is task, (worker, task)
    assert worker.stored == sum(task.nbytes for task in worker.holds), worker
    assert abs(worker.occupancy - sum(worker.assigned.values())) < 1e-6, worker
    assert worker.moving <= worker.holds, worker
    assert worker.retiring or not worker.moving, worker
    on_their_way = {
        task for task, _, copy in state.transfers.copies.items() if worker in copy.relieves
    }
    on_their_way |= {
        request.task
        for request in state.transfers.requests.values()
        if request.requester is None and request.holder is worker
    }
    assert worker.moving <= on_their_way, f"{worker} waits for moves that nobody makes"
    if worker.level is not None:
        assert worker.available, worker
        assert worker.level == worker.load // worker.nthreads, worker


def _check_functions(state: SchedulerState) -> None:
    counts: dict[bytes, int] = {}
    ready: dict[bytes, int] = {}
    for task in state.tasks.values():
        if task.function is not None:
            fid = task.function.fid
            assert state.functions.get(fid) is task.function, task
            counts[fid] = counts.get(fid, 0) + 1
            if task.state is READY and task.demand is None:
                ready[fid] = ready.get(fid, 0) + 1
    for fid, function in state.functions.items():
        assert function.tasks == counts.get(fid, 0), function
        assert function.ready == ready.get(fid, 0), (function, function.ready)
        assert function.tasks or function.clients, f"{function} is of no use"
        assert all(state.workers.get(w.name) is w for w in function.known_to), function


def _check_demands(state: SchedulerState) -> None:
    demands = state.demands
    counts: dict[Demand, int] = {}
    ready: dict[Demand, dict[Function, int]] = {demand: {} for demand in demands.by_kind.values()}
    for task in state.tasks.values():
        if task.demand is not None:
            counts[task.demand] = counts.get(task.demand, 0) + 1
            if task.state is READY and task.function is not None:
                among = ready[task.demand]
                among[task.function] = among.get(task.function, 0) + 1
    assert ready == {demand: demand.ready for demand in demands.by_kind.values()}
    for demand in demands.by_kind.values():
        if isinstance(demand.otherwise, Demand):
            counts[demand.otherwise] = counts.get(demand.otherwise, 0) + 1
    assert counts == {demand: demand.tasks for demand in demands.by_kind.values()}
    present = [w for w in state.workers.values() if not w.retiring and w.silent is not ASIDE]
    for demand in demands.by_kind.values():
        assert demand.eligible == {w for w in present if demand.is_satisfied_by(w)}, demand
        assert all(demand in worker.demands for worker in demand.eligible), demand
    for worker in state.workers.values():
        assert len(worker.demands) == len(set(worker.demands)), worker
        assert all(worker in demand.eligible for demand in worker.demands), worker
        for name, amount in worker.resources.items():
            demands_met = [*(t.demand for t in worker.tasks if t.demand), *worker.kept.values()]
            taken = sum(dict(demand.resources).get(name, 0) for demand in demands_met)
            assert abs(worker.free_resources[name] + taken - amount) < 1e-6, (worker, name)
            assert taken <= amount + 1e-6 or worker.silent or worker.retiring, (worker, name)


def _check_losses(state: SchedulerState) -> None:
    losses = state.losses
    for worker in state.transfers.retiring:
        assert worker.retiring, worker
        assert state.workers.get(worker.name) is worker, worker
    for task, workers in losses.strays.items():
        assert workers, task
        assert task.worker not in workers, task
        assert all(state.workers.get(worker.name) is worker for worker in workers), task
    for task, departure in losses.in_doubt.items():
        assert task.state is WAITING, f"{task} is in doubt"
        assert departure.had[task.key] is task, task
        assert state.tasks.get(task.key) is task, task
    for worker in state.workers.values():
        assert (worker.silent is ASIDE) == (worker in losses.aside), worker
        if worker.silent is ASIDE:
            assert not worker.busy, worker
            assert not worker.holds, worker


def _check_jobs(state: SchedulerState) -> None:
    reservations, workers = state.reservations, list(state.workers.values())
    for worker in workers:
        assert worker.reserved == (job_of(worker) in reservations.by_job), worker
        assert worker in reservations.members(job_of(worker)), worker
        assert worker.ends_at is None or worker.due <= worker.ends_at, worker
        if worker in state.draining:
            assert worker.retiring, worker
            assert worker.ends_at is not None, worker
    assert sum(len(list(reservations.members(job))) for job in {*map(job_of, workers)}) == len(
        workers
    )
    for job, reservation in reservations.by_job.items():
        assert reservation.job == job, reservation
        assert reservations.by_task.get(reservation.task) is reservation or reservation.begun
    for task, reservation in reservations.by_task.items():
        assert reservation.task is task, task
        assert reservations.by_job.get(reservation.job) is reservation, task


def _check_copies(state: SchedulerState) -> None:
    copies = state.transfers.copies
    arriving: dict[WorkerRecord, int] = {}
    for task, target, copy in copies.items():
        assert state.tasks.get(task.key) is task, task
        assert task.state is MEMORY, task
        assert state.workers.get(target.name) is target, (task, target)
        assert (copy.load is None) == (target in copies.waiting.get(task, ())), (task, target)
        arriving[target] = arriving.get(target, 0) + copy.nbytes
    assert arriving == copies.arriving
    for source, load in copies.loads.items():
        sent = [task for task, _, copy in copies.items() if copy.load is load]
        assert load.nbytes == sum(c.nbytes for _, _, c in copies.items() if c.load is load), source
        assert load.sending == {task: sent.count(task) for task in sent}, source
        assert sent or not load.line, source
    lines = {task for load in copies.loads.values() for task in load.line}
    for task, waiting in copies.waiting.items():
        assert waiting, task
        begun = any(copy.load is not None for copy in copies.of(task).values())
        assert begun or task in lines, f"copies of {task} wait for nobody"
