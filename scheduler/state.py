"""The scheduler core: what happens to tasks when peers say something.

Rules of this file:

- Everything that affects the state of a task lives here; `records.TRANSITIONS` lists what can
  happen. No sockets, no clock, no randomness: `now` comes in where it is needed, and messages to
  peers go to their records' outboxes.
- Users' pickles pass through; they are never opened.
- Public methods leave the state consistent: `validate()` holds after each of them.
- No recursion along dependencies: chains are as long as users like. What is to be looked at again
  goes to a list.

A task is *needed* while a client wants it or an unfinished dependent waits for it. Results that
nobody needs are freed. The record stays as long as something that was computed from it exists only
on workers, since it may have to be computed again; a result that the scheduler itself holds (a
small one) cannot be lost, and so cuts that chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.scheduler.causes import data_lost, killed_workers, unknown_input
from jobqueue.scheduler.placement import OpenWorkers, ReadyQueue, choose, rank, surplus
from jobqueue.scheduler.records import (
    ASSIGNED,
    CANCELLED,
    DEAD,
    FAILED,
    FORGOTTEN,
    MEMORY,
    READY,
    RELEASED,
    UNFINISHED,
    WAITING,
    ClientRecord,
    Function,
    Task,
    WorkerRecord,
)
from jobqueue.scheduler.transfers import Transfers

INLINE_LIMIT = 4096
"""Bytes up to which a result rides along and is held by the scheduler."""

HELD_BUDGET = 512 * 1024 * 1024
"""Bytes of results that the scheduler holds before results of any size stay at the workers."""

INLINE_INPUTS = 16 * 1024 * 1024
"""Bytes of small inputs that travel with one task, whose message must fit into a frame. The worker
asks for the rest."""

ALLOWED_FAILURES = 3
"""Workers that may die under a task before it is taken to be the cause."""


class SchedulerState:
    """Tasks, workers and clients, and the rules by which they change.

    Parameters
    ----------
    inline_limit
        Bytes up to which workers send results along with the news that they are done.
    held_budget
        Bytes of such results the scheduler holds before it asks workers to keep theirs.
    allowed_failures
        Workers that may die under a task before it fails.
    """

    def __init__(
        self,
        *,
        inline_limit: int = INLINE_LIMIT,
        held_budget: int = HELD_BUDGET,
        allowed_failures: int = ALLOWED_FAILURES,
    ) -> None:
        self.inline_limit = inline_limit
        self.held_budget = held_budget
        self.allowed_failures = allowed_failures
        self.tasks: dict[str, Task] = {}
        self.functions: dict[bytes, Function] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.clients: dict[str, ClientRecord] = {}
        self.ready = ReadyQueue()
        self.open_workers = OpenWorkers()
        self.transfers = Transfers(self)
        self.held_bytes = 0
        self.retiring: set[WorkerRecord] = set()
        self._inline = True
        self._submitted = 0
        self.talking: set[WorkerRecord] = set()  # workers to which something is to be said
        self._loose: list[Task] = []  # perhaps not needed any more; see _sweep

    # -- clients -----------------------------------------------------------------------------------

    def add_client(self, client: ClientRecord) -> None:
        """Take in a client that has just connected."""
        self.clients[client.name] = client
        client.say((m.WELCOME, client.number))

    def remove_client(self, client: ClientRecord) -> None:
        """Forget a client and all that only it wanted."""
        self.clients.pop(client.name, None)
        self.transfers.forget_requester(client)
        self.release(client, [task.key for task in client.wants])

    def add_functions(self, functions: Iterable[tuple[bytes, str, bytes]]) -> None:
        """Take in functions that later tasks name."""
        for fid, name, pickle in functions:
            if fid not in self.functions:
                self.functions[fid] = Function(fid, name, pickle)

    def submit(
        self,
        client: ClientRecord,
        fid: bytes,
        options: dict[str, Any] | None,
        items: Iterable[tuple[str, Serialized, Sequence[str] | None]],
    ) -> None:
        """Take in tasks: calls of one function under one set of options.

        Parameters
        ----------
        client
            Who wants the results.
        fid
            A function that `add_functions` was told of.
        options
            ``priority`` (higher first), ``retries``; None for none.
        items
            Key, arguments and the keys of inputs of each task.
        """
        function = self.functions[fid]
        tasks, wants, alone, ready = self.tasks, client.wants, client.alone, self.ready
        priority = options.get("priority", 0) if options else 0
        number = self._submitted
        for key, arguments, inputs in items:
            if key in tasks:
                self._want(client, tasks[key])
                continue
            number += 1
            task = Task(key, function, arguments, rank(priority, number), alone)
            tasks[key] = task
            wants.add(task)
            if options:
                task.options = options
                task.retries = options.get("retries", 0)
            if inputs:
                self._attach_inputs(task, inputs)
            else:
                task.state = READY
                ready.push(task)
        self._submitted = number
        self._sweep()

    def _attach_inputs(self, task: Task, keys: Sequence[str]) -> None:
        inputs = [self.tasks.get(key) for key in dict.fromkeys(keys)]
        if None in inputs:
            unknown = next(key for key in keys if key not in self.tasks)
            self._fail(task, unknown_input(task, unknown))
            return
        task.inputs = tuple(inputs)  # type: ignore[arg-type]
        for source in task.inputs:
            source.waiters += 1
            if source.dependents is None:
                source.dependents = {task}
            else:
                source.dependents.add(task)
        self._await_inputs(task)

    def scatter(
        self,
        client: ClientRecord,
        options: dict[str, Any] | None,
        items: Iterable[tuple[str, Serialized]],
    ) -> None:
        """Take in values that a client had; large ones go to workers.

        Options: ``broadcast`` (True for all, or how many; without it, one: the one that holds
        least); ``workers`` that are meant, and ``allow_other_workers`` if those are not there.
        """
        for key, value in items:
            if key in self.tasks:
                self._want(client, self.tasks[key])
                continue
            self._submitted += 1
            task = Task(key, None, None, self._submitted, client.alone)
            self.tasks[key] = task
            client.wants.add(task)
            task.state = MEMORY
            task.options = options
            task.nbytes = nbytes(value)
            # Held here until a worker says that it has a copy: nothing is lost on the way.
            self._hold(task, value)
            if task.nbytes > self.inline_limit:
                self.transfers.unload(task)
            client.out_finished.append((key, value if task.nbytes <= self.inline_limit else None))

    def _want(self, client: ClientRecord, task: Task) -> None:
        """Count a client among those that want a task, and tell it how the task stands."""
        if task not in client.wants:
            client.wants.add(task)
            task.clients = (*task.clients, client) if task.clients else client.alone
        if task.state is RELEASED:
            self._compute_again(task)
        elif task.state is MEMORY:
            client.out_finished.append((task.key, self._riding_along(task)))
        elif task.state is FAILED:
            client.say((m.FAILED, [(task.key, task.failure)]))
        elif task.state is CANCELLED:
            client.say((m.CANCELLED, [task.key]))

    def _riding_along(self, task: Task) -> Serialized | None:
        return task.value if task.nbytes <= self.inline_limit else None

    def release(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Forget that a client wants these."""
        tasks, wants, loose = self.tasks, client.wants, self._loose
        for key in keys:
            task = tasks.get(key)
            if task is None or task not in wants:
                continue
            wants.discard(task)
            if task.clients is client.alone:
                task.clients = ()
            else:
                task.clients = tuple(other for other in task.clients if other is not client)
            if not task.clients and not task.waiters:
                loose.append(task)
        self._sweep()

    def cancel(self, client: ClientRecord, force: bool, keys: Iterable[str]) -> None:
        """Cancel tasks, and all that depends on them, unless another client wants them too."""
        for key in keys:
            task = self.tasks.get(key)
            if task is not None and all(other is client for other in task.clients):
                self._cancel(task)
        self._sweep()

    # -- workers -----------------------------------------------------------------------------------

    def add_worker(self, worker: WorkerRecord, now: float) -> None:
        """Take in a worker that has just connected."""
        self.workers[worker.name] = worker
        worker.seen = now
        worker.talking = self.talking
        worker.say((m.INLINE_LIMIT, self.inline_limit if self._inline else 0))
        self.open_workers.update(worker)
        self.transfers.unload_all()

    def remove_worker(self, worker: WorkerRecord, *, cause: str, charge: bool) -> None:
        """Forget a worker that is gone; place its tasks anew, compute lost results again.

        Parameters
        ----------
        cause
            Why it is gone, for messages.
        charge
            Whether the tasks it was running may be to blame.
        """
        self.workers.pop(worker.name, None)
        self.open_workers.remove(worker)
        worker.talking = set()
        worker.retiring = True  # whatever is still taken from it, it never gets room again
        self.retiring.discard(worker)
        self.talking.discard(worker)
        lost = self._lose_results(worker)
        # A worker runs its tasks in the order it got them, so the first ones were running.
        for position, task in enumerate(list(worker.assigned)):
            if task.worker is not worker:
                continue  # it died of another one of them
            worker.assigned.pop(task)
            task.worker = None
            if charge and position < worker.nthreads:
                task.deaths += 1
                if task.deaths >= self.allowed_failures:
                    self._fail(task, killed_workers(task, worker, cause))
                    continue
            self._await_inputs(task)
        worker.occupancy = 0.0
        for task in lost:
            if task.state is RELEASED and (task.clients or task.waiters):
                self._compute_again(task)
        self.transfers.forget_worker(worker)
        self._loose.extend(lost)
        self._sweep()

    def _lose_results(self, worker: WorkerRecord) -> list[Task]:
        lost = []
        for task in worker.holds:
            assert task.holders is not None
            task.holders.discard(worker)
            if not task.holders:
                task.holders = None
                if task.value is None:
                    self._leave_memory(task)
                    lost.append(task)
        worker.holds.clear()
        worker.moving.clear()
        worker.stored = 0
        return lost

    def _leave_memory(self, task: Task) -> None:
        """Note that a result is to be had nowhere; what waits to be placed waits for it again."""
        task.state = RELEASED
        for dependent in task.dependents or ():
            if dependent.state is WAITING:
                dependent.missing += 1
            elif dependent.state is READY:
                dependent.state = WAITING
                dependent.missing = 1
        for client in task.clients:
            client.say((m.LOST, [task.key]))

    def done(
        self,
        worker: WorkerRecord,
        results: Iterable[tuple[str, Serialized | None, int, float]],
    ) -> None:
        """Take in what a worker has computed: key, value (None: it keeps it), bytes, seconds."""
        tasks, assigned, loose = self.tasks, worker.assigned, self._loose
        awaited = self.transfers.awaited
        for key, value, size, seconds in results:
            task = tasks.get(key)
            if task is None or task.worker is not worker:
                if value is None and (task is None or worker not in (task.holders or ())):
                    worker.free(key)
                continue
            # What may be malformed is used before anything is changed.
            if task.function is not None:
                task.function.took(seconds)
            if value is None:
                worker.stored += size
                worker.holds.add(task)
                task.holders = {worker}
            else:
                self.held_bytes += size
                task.value = value
            task.nbytes = size
            task.state = MEMORY
            task.worker = None
            worker.occupancy -= assigned.pop(task)
            for client in task.clients:
                client.out_finished.append((key, value))
            if task.dependents:
                self._wake_dependents(task)
            if task.inputs:
                self._inputs_used(task)
            if value is not None:
                task.arguments = None
            if task in awaited:
                self.transfers.arrived(task)
            if not task.clients and not task.waiters:
                loose.append(task)
        if not assigned:
            worker.occupancy = 0.0  # sums of floats drift
        self.open_workers.update(worker)
        self._check_budget()
        self._sweep()

    def _wake_dependents(self, task: Task) -> None:
        for dependent in task.dependents or ():
            if dependent.state is WAITING:
                dependent.missing -= 1
                if not dependent.missing:
                    dependent.state = READY
                    self.ready.push(dependent)

    def _inputs_used(self, task: Task) -> None:
        """Let go of the inputs of a task that is done; entirely if it need never run again."""
        never_again = task.value is not None
        for source in task.inputs:
            source.waiters -= 1
            if never_again and source.dependents is not None:
                source.dependents.discard(task)
            if not source.waiters and not source.clients:
                self._loose.append(source)
        if never_again:
            task.inputs = ()

    def failed(self, worker: WorkerRecord, failures: Iterable[tuple[str, Any, float]]) -> None:
        """Take in that tasks raised: key, failure, seconds."""
        for key, failure, _seconds in failures:
            task = self.tasks.get(key)
            if task is None or task.worker is not worker:
                continue
            why = Failure(*failure)
            self._take_back(task)
            if task.retries > 0:
                task.retries -= 1
                self._await_inputs(task)
            else:
                self._fail(task, why)
        self._sweep()

    def returned(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        """Take in that a worker hands tasks back that it has not begun."""
        worker.recalled = False
        self._hand_back(worker, keys)

    def _hand_back(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        for key in keys:
            task = self.tasks.get(key)
            if task is not None and task.worker is worker:
                self._take_back(task)
                self._await_inputs(task)
        self._sweep()

    def input_gone(self, worker: WorkerRecord, key: str, source: str) -> None:
        """Take in that a worker could not get an input of a task, which it hands back."""
        lost = self.tasks.get(source)
        if lost is not None and worker in (lost.holders or ()):
            worker.free(source)  # perhaps it has come meanwhile: now both think that it has not
            self.holder_lost(lost, worker)
        self._hand_back(worker, [key])

    def _take_back(self, task: Task) -> None:
        worker = task.worker
        assert worker is not None
        worker.occupancy -= worker.assigned.pop(task)
        task.worker = None
        self.open_workers.update(worker)

    def copied(self, worker: WorkerRecord, keys: Iterable[str], failed: Iterable[str]) -> None:
        """Take in that a worker has copies of these results, and could not get those."""
        for key in keys:
            task = self.tasks.get(key)
            if task is None or task.state is not MEMORY:
                worker.free(key)
            elif worker not in (task.holders or ()):
                self.add_holder(task, worker)
        self.transfers.copies_ended(worker, keys, failed)
        self._sweep()

    def add_holder(self, task: Task, worker: WorkerRecord) -> None:
        """Note that a worker holds the result of a task in memory."""
        if task.holders is None:
            task.holders = {worker}
        else:
            task.holders.add(worker)
        worker.holds.add(task)
        worker.stored += task.nbytes

    def holder_lost(self, task: Task, worker: WorkerRecord) -> None:
        """Note that a worker does not hold what it was thought to hold."""
        if task.holders is None or worker not in task.holders:
            return
        task.holders.discard(worker)
        worker.holds.discard(task)
        worker.moving.discard(task)
        worker.stored -= task.nbytes
        if not task.holders:
            task.holders = None
            if task.value is None and task.state is MEMORY:
                self._leave_memory(task)
                if task.clients or task.waiters:
                    self._compute_again(task)
                else:
                    self._loose.append(task)
        self._sweep()

    # -- placement ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """Draw the conclusions; to be called once for all that was said in a turn."""
        for worker in [w for w in self.retiring if w.name in self.workers]:
            self.transfers.continue_retiring(worker)
        self._place()

    def rebalance(self) -> None:
        """Take tasks back that wait at one worker while others have nothing to do.

        To be called now and then; between calls the windows keep everybody busy.
        """
        if self.ready:
            return
        for worker, keys in surplus(self.workers.values()):
            worker.recalled = True
            worker.say((m.RECALL, keys))

    def _place(self) -> None:
        """Give ready tasks to workers with room."""
        ready, open_workers, talking = self.ready, self.open_workers, self.talking
        while open_workers and ready:
            task = ready.pop()
            if task is None:
                return
            worker = choose(task, open_workers)
            assert worker is not None
            function = task.function
            assert function is not None
            task.state = ASSIGNED
            task.worker = worker
            worker.assigned[task] = function.duration
            worker.occupancy += function.duration
            if function.fid not in worker.known_functions:
                worker.known_functions.add(function.fid)
                worker.say((m.FUNCTIONS, [(function.fid, function.name, function.pickle)]))
            inputs = _inputs_for(task, worker) if task.inputs else None
            worker.out_run.append((task.key, function.fid, task.arguments, inputs))
            talking.add(worker)
            open_workers.update(worker)

    # -- states ------------------------------------------------------------------------------------

    def _await_inputs(self, task: Task) -> None:
        """Make an unfinished task that no worker has WAITING or READY, as its inputs stand."""
        task.state = WAITING
        task.missing = 0
        again = []
        for source in task.inputs:
            if source.state is MEMORY:
                continue
            task.missing += 1
            if source.state in DEAD:
                self._die_of(task, source)
                return
            if source.state is RELEASED:
                again.append(source)
        if not task.missing:
            task.state = READY
            self.ready.push(task)
        for source in again:
            if source.state is RELEASED:
                self._compute_again(source)

    def _compute_again(self, task: Task) -> None:
        """Compute a RELEASED task that is needed, and whatever of its inputs that takes."""
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state is not RELEASED:
                continue
            if task.function is None:
                self._fail(task, data_lost(task))
                continue
            for source in task.inputs:
                source.waiters += 1
            # Inputs first, so that one which can never be had again takes this task with it.
            task.state = WAITING
            task.missing = sum(source.state is not MEMORY for source in task.inputs)
            dead = next((source for source in task.inputs if source.state in DEAD), None)
            if dead is not None:
                self._die_of(task, dead)
            elif not task.missing:
                task.state = READY
                self.ready.push(task)
            else:
                stack.extend(source for source in task.inputs if source.state is RELEASED)

    def _die_of(self, task: Task, source: Task) -> None:
        if source.state is CANCELLED:
            self._cancel(task)
        else:
            assert source.failure is not None
            self._fail(task, source.failure)

    def _fail(self, task: Task, failure: Failure) -> None:
        self._end_badly(task, FAILED, failure)

    def _cancel(self, task: Task) -> None:
        if task.state in UNFINISHED or task.state is MEMORY:
            self._end_badly(task, CANCELLED, None)

    def _end_badly(self, task: Task, state: str, failure: Failure | None) -> None:
        """Bring a task, and all that waits for it, to FAILED or CANCELLED."""
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state in DEAD or task.state is FORGOTTEN:
                continue
            if task.state in UNFINISHED:
                self._withdraw(task)
                self._stop_waiting(task)
            elif task.state is MEMORY:
                self.free(task)
            task.state = state
            task.failure = failure
            for client in task.clients:
                if failure is None:
                    client.say((m.CANCELLED, [task.key]))
                else:
                    client.say((m.FAILED, [(task.key, failure)]))
            if task in self.transfers.awaited:
                self.transfers.arrived(task)
            stack.extend(d for d in task.dependents or () if d.state in UNFINISHED)
            if not task.clients:
                self._loose.append(task)

    def _withdraw(self, task: Task) -> None:
        """Take an unfinished task away from the worker that has it, if one has."""
        if task.worker is not None:
            task.worker.say((m.CANCEL, False, [task.key]))
            self._take_back(task)

    def _stop_waiting(self, task: Task) -> None:
        for source in task.inputs:
            source.waiters -= 1
            if not source.waiters and not source.clients:
                self._loose.append(source)

    def _sweep(self) -> None:
        """Free, or forget, what is not needed any more."""
        loose = self._loose
        while loose:
            task = loose.pop()
            if task.clients or task.waiters or task.state is FORGOTTEN:
                continue
            if task.state in UNFINISHED:
                self._withdraw(task)
                self._stop_waiting(task)
                task.state = RELEASED
            elif task.state is MEMORY:
                # What cannot be computed again, or is small, stays for those computed from it.
                if task.dependents and (task.value is not None or task.function is None):
                    continue
                self.free(task)
                task.state = RELEASED
            if task in self.transfers.awaited:
                self.transfers.arrived(task)
            if not task.dependents:
                self._forget(task)

    def free(self, task: Task) -> None:
        """Drop the result of a task wherever it is held."""
        if task.value is not None:
            self.held_bytes -= task.nbytes
            task.value = None
        for worker in task.holders or ():
            worker.holds.discard(task)
            worker.stored -= task.nbytes
            worker.free(task.key)
            worker.moving.discard(task)
        task.holders = None
        self.transfers.forget_task(task)

    def _forget(self, task: Task) -> None:
        task.state = FORGOTTEN
        del self.tasks[task.key]
        self.transfers.forget_task(task)
        for source in task.inputs:
            if source.dependents is not None:
                source.dependents.discard(task)
            if not source.waiters and not source.clients:
                self._loose.append(source)
        task.inputs = ()

    # -- results held here -------------------------------------------------------------------------

    def _hold(self, task: Task, value: Serialized) -> None:
        task.value = value
        self.held_bytes += task.nbytes

    def hold(self, task: Task, value: Serialized) -> None:
        """Hold a result that no worker can keep."""
        if task.value is None and task.state is MEMORY:
            self._hold(task, value)

    def release_held(self, task: Task) -> None:
        """Drop the copy held here of a value that a worker holds too."""
        if task.value is not None and task.holders:
            task.value = None
            self.held_bytes -= task.nbytes

    def _check_budget(self) -> None:
        # Off above the budget, on again below half of it, so that it doesn't flicker.
        bound = self.held_budget if self._inline else self.held_budget / 2
        inline = self.held_bytes <= bound
        if inline is not self._inline:
            self._inline = inline
            limit = self.inline_limit if inline else 0
            for worker in self.workers.values():
                worker.say((m.INLINE_LIMIT, limit))


def _inputs_for(task: Task, worker: WorkerRecord) -> list[tuple[str, Serialized | None, Any]]:
    """Return what a worker is told of a task's inputs: the value, or where it is."""
    described: list[tuple[str, Serialized | None, Any]] = []
    room = INLINE_INPUTS
    for source in task.inputs:
        holders = source.holders
        if holders and worker in holders:
            described.append((source.key, None, ()))
        elif source.value is not None and source.nbytes <= room:
            room -= source.nbytes
            described.append((source.key, source.value, ()))
        else:
            places = [holder.addresses for holder in holders or ()]
            described.append((source.key, None, places))
    return described
