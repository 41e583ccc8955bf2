"""The scheduler core: what happens to tasks when peers say something.

Rules of this file:

- Everything that affects the state of a task lives here; `states.TRANSITIONS` lists what can
  happen. No sockets, no clock, no randomness: `now` comes in where it is needed, and messages to
  peers go to their records' outboxes.
- Users' pickles pass through; they are never opened.
- Public methods leave the state consistent: `validate()` holds after each of them.
- Its rooms: `placing.py` (tasks are given to workers), `demands.py` (which will do), `results.py`
  (where results are), `transfers.py` (they move), `losses.py` (workers that go or are silent),
  `deadlines.py` and `draining.py` (their jobs end), `reservations.py` (of whole jobs),
  `lingering.py` (withdrawn tasks), `wishes.py` (of clients). States of tasks change only here.
- No recursion along dependencies: chains are as long as users like. What is left goes to a list.

A task is *needed* while a client wants it or an unfinished dependent waits for it. Results that
nobody needs are freed. The record stays as long as something that was computed from it exists only
on workers, since it may have to be computed again; a result that the scheduler itself holds (a
small one) cannot be lost, and so cuts that chain. What no task can make again, a client's value or
an actor (`arguments` is None), stays as long as anything computed from it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.scheduler.causes import data_lost, own_input, unknown_input
from jobqueue.scheduler.deadlines import Deadlines
from jobqueue.scheduler.demands import Demands
from jobqueue.scheduler.draining import Draining
from jobqueue.scheduler.lingering import Lingering
from jobqueue.scheduler.losses import Losses, Report
from jobqueue.scheduler.placement import OpenWorkers, ReadyQueue, rank
from jobqueue.scheduler.placing import Placing
from jobqueue.scheduler.records import ClientRecord, Function, Task
from jobqueue.scheduler.reservations import Reservations
from jobqueue.scheduler.results import HELD_BUDGET, INLINE_LIMIT, Results
from jobqueue.scheduler.states import (
    CANCELLED,
    DEAD,
    FAILED,
    FORGOTTEN,
    MEMORY,
    READY,
    RELEASED,
    UNFINISHED,
    WAITING,
)
from jobqueue.scheduler.transfers import Transfers
from jobqueue.scheduler.wishes import Wishes, bad_end
from jobqueue.scheduler.worker_record import WorkerRecord

ALLOWED_FAILURES = 3
"""Workers that may die under a task before it is taken to be the cause."""

WORKER_TTL = 300.0
"""Seconds of silence after which a worker's tasks are placed anew; it may come back."""


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
    worker_ttl
        Seconds of silence after which a worker's tasks are placed anew.
    """

    def __init__(
        self,
        *,
        inline_limit: int = INLINE_LIMIT,
        held_budget: int = HELD_BUDGET,
        allowed_failures: int = ALLOWED_FAILURES,
        worker_ttl: float = WORKER_TTL,
    ) -> None:
        self.tasks: dict[str, Task] = {}
        self.functions: dict[bytes, Function] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.clients: dict[str, ClientRecord] = {}
        self.ready = ReadyQueue()  # of tasks that any worker may run
        self.open_workers = OpenWorkers()
        self.demands = Demands(self)
        self.deadlines = Deadlines(self)
        self.draining = Draining(self)
        self.reservations = Reservations(self)
        self.placing = Placing(self)
        self.lingering = Lingering(self)
        self.losses = Losses(self, allowed_failures, worker_ttl)
        self.transfers = Transfers(self)
        self.wishes = Wishes(self)
        self.results = Results(self, inline_limit, held_budget)
        self.retiring: set[WorkerRecord] = set()
        self._submitted = 0
        self.talking: set[WorkerRecord] = set()  # workers to which something is to be said
        self.loose: list[Task] = []  # perhaps not needed any more; see `sweep`

    @property
    def held_bytes(self) -> int:
        """Bytes of results that are held here."""
        return self.results.held_bytes

    # -- clients -----------------------------------------------------------------------------------

    def add_client(self, client: ClientRecord) -> None:
        """Take in a client that has just connected."""
        self.clients[client.name] = client
        client.say((m.WELCOME, client.number))

    def remove_client(self, client: ClientRecord) -> None:
        """Forget a client and all that only it wanted."""
        self.clients.pop(client.name, None)
        self.transfers.forget_requester(client)
        self.wishes.unwant_all(client)
        self.sweep()
        self.forget_functions(client, list(client.functions))

    def add_functions(
        self, client: ClientRecord, functions: Iterable[tuple[bytes, str, bytes]]
    ) -> None:
        """Take in functions that later tasks of a client name: fid, name and pickle."""
        self.wishes.add_functions(client, functions)

    def forget_functions(self, client: ClientRecord, fids: Iterable[bytes]) -> None:
        """Take in that a client will not name these functions any more."""
        self.wishes.forget_functions(client, fids)

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
            As `messages.SUBMIT` lists them; None for none.
        items
            Key, arguments and the keys of inputs of each task.
        """
        function = self.functions[fid]
        tasks, wants, alone = self.tasks, client.wants, client.alone
        priority = options.get("priority", 0) if options else 0
        demand = self.demands.intern(options) if options else None
        push = self.ready.push if demand is None else demand.push
        number, ready = self._submitted, 0
        try:
            for key, arguments, inputs in items:
                if key in tasks:
                    self.wishes.want_again(client, tasks[key], function, options, inputs, arguments)
                    continue
                number += 1
                task = Task(key, function, arguments, rank(priority, number), alone)
                tasks[key] = task
                wants.add(task)
                if options:
                    task.options = options
                    task.retries = options.get("retries", 0)
                    task.demand = demand
                if inputs:
                    self.attach_inputs(task, inputs)
                else:
                    task.state = READY
                    push(task)
                    ready += 1
        finally:  # one that is malformed costs its client the connection
            function.tasks += number - self._submitted
            if demand is None:
                function.ready += ready
            else:
                demand.count_ready(function, ready)
                self.demands.count(demand, number - self._submitted)
            self._submitted = number
        self.sweep()

    def attach_inputs(self, task: Task, keys: Sequence[str]) -> None:
        """Have a task that is new, or as good as new, wait for its inputs."""
        inputs = [self.tasks.get(key) for key in dict.fromkeys(keys)]
        if None in inputs or task in inputs:
            unknown = next((key for key in keys if key not in self.tasks), None)
            task.arguments = None  # no retry can help
            self.fail(task, own_input(task) if unknown is None else unknown_input(task, unknown))
            return
        task.inputs = tuple(inputs)  # type: ignore[arg-type]
        for source in task.inputs:
            source.waiters += 1
            if source.dependents is None:
                source.dependents = set()
            source.dependents.add(task)
        self.await_inputs(task)

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
            task = self.tasks.get(key)
            if task is None:
                self._submitted += 1
                task = self.tasks[key] = Task(key, None, None, self._submitted, client.alone)
                client.wants.add(task)
            elif task.function is not None or not (task.gone or task.state is CANCELLED):
                self.wishes.want_again(client, task, None, options, None, None)
                continue
            task.gone = False
            task.failure = None
            task.state = MEMORY
            task.options = options
            task.nbytes = nbytes(value)
            # Held here until a worker says that it has a copy: nothing is lost on the way.
            self.results.put(task, value)
            if task.nbytes > self.results.inline_limit:
                self.transfers.unload(task)
            for each in task.clients:
                each.out_finished.append((key, self.results.riding_along(task)))
            if client not in task.clients:
                self.wishes.want_task(client, task)

    def want(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Note that a client holds futures of these, which somebody else submitted."""
        self.wishes.want(client, keys)
        self.sweep()

    def keep(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Run these to their end, even if nobody holds a future of them any more."""
        self.wishes.keep(keys)

    def retry(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Run failed tasks again, and those of their inputs that have failed."""
        self.wishes.retry(keys)

    def restart(self, reason: str = "restarted by a client") -> None:
        """Cancel and forget all tasks of all clients, and have all workers start anew."""
        self.wishes.restart(reason)

    def release(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Forget that a client wants these."""
        self.wishes.unwant(client, keys)
        self.sweep()

    def cancel(self, client: ClientRecord, force: bool, keys: Iterable[str]) -> None:
        """Cancel tasks, and all that depends on them.

        Only what no other client wants; with force, all of it, and what runs is interrupted.
        """
        for key in keys:
            task = self.tasks.get(key)
            if task is not None and (force or all(other is client for other in task.clients)):
                self.cancel_task(task, force=force)
        self.sweep()

    # -- workers -----------------------------------------------------------------------------------

    def add_worker(self, worker: WorkerRecord, now: float) -> None:
        """Take in a worker that has just connected."""
        self.workers[worker.name] = worker
        worker.seen = self.deadlines.now = now
        if worker.facts is not None and worker.facts.time_left is not None:
            self.deadlines.set_end(worker, worker.facts.time_left)
        self.reservations.worker_came(worker)
        worker.talking = self.talking
        self.results.say_limit(worker)
        self.open_workers.update(worker)
        self.demands.worker_came(worker)
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
        self.losses.remove(worker, cause, charge)

    def worker_ended(self, name: str, *report: Any) -> None:
        """Take in an agent's report of how a worker ended, as `messages.WORKER_ENDED` has it."""
        self.losses.reported(name, Report(*report))

    def judge(self, now: float) -> None:
        """Go on with tasks of dead workers of which no report comes; to be called each tick."""
        self.losses.judge(now)

    def look_at_silence(self, now: float) -> None:
        """Draw the conclusions from what workers have not said; to be called each tick."""
        self.losses.look(now)

    def heard(self, worker: WorkerRecord, now: float) -> None:
        """Note that a worker has spoken; to be called before what it says is taken in."""
        worker.seen = self.deadlines.now = now
        if worker.silent is not None:
            self.losses.welcome(worker)

    def paused(self, worker: WorkerRecord, reason: str | None) -> None:
        """Take in that a worker wants no tasks for now, and why; None: it does again."""
        worker.paused = reason
        self.load_changed(worker)
        if reason is None:
            self.transfers.unload_all()
        elif worker.assigned and not worker.retiring:
            worker.recall([task.key for task in worker.assigned])

    def seceded(self, worker: WorkerRecord, key: str) -> None:
        """Take in that a running task has left its thread to others."""
        task = self.task_at(worker, key)
        if task is not None and task in worker.assigned:
            worker.occupancy -= worker.assigned.pop(task)
            worker.seceded.add(task)
            self.load_changed(worker)

    def rejoined(self, worker: WorkerRecord, key: str) -> None:
        """Take in that a task which had left its thread has one again."""
        task = self.task_at(worker, key)
        if task is not None and task in worker.seceded:
            assert task.function is not None
            worker.seceded.discard(task)
            # First in line: it runs.
            worker.assigned = {task: task.function.duration, **worker.assigned}
            worker.occupancy += task.function.duration
            self.load_changed(worker)

    def task_at(self, worker: WorkerRecord, key: str) -> Task | None:
        """Return the task that news of a worker is about, if it has it; None for old news."""
        task = self.tasks.get(key)
        if task is None or task.worker is not worker or worker.crossed(key):
            return None
        return task

    def leave_memory(self, task: Task) -> None:
        """Note that a result is to be had nowhere; what waits to be placed waits for it again."""
        task.state = RELEASED
        self.results.actors.pop(task, None)
        self.wishes.drop_mentions(task)
        self.transfers.copies.forget_task(task)
        for dependent in task.dependents or ():
            if dependent.state is WAITING:
                dependent.missing += 1
            elif dependent.state is READY:
                dependent.count_ready(-1)
                dependent.state = WAITING
                dependent.missing = 1
        if task.arguments is not None:
            for client in task.clients:
                client.say((m.LOST, [task.key]))

    def done(
        self,
        worker: WorkerRecord,
        results: Iterable[tuple[str, Serialized | None, int, float]],
    ) -> None:
        """Take in what a worker has computed: key, value (None: it keeps it), bytes, seconds."""
        tasks, assigned, loose = self.tasks, worker.assigned, self.loose
        awaited = self.transfers.awaited
        withdrawn = worker.withdrawn
        for key, value, size, seconds in results:
            task = tasks.get(key)
            if task is None or task.worker is not worker:
                if task is None or not self.losses.claim(task, worker):
                    if value is None and (task is None or worker not in (task.holders or ())):
                        worker.free(key)
                    continue
            elif withdrawn and key in withdrawn:
                continue  # the end of a run before this one; see WorkerRecord.run_again
            # What may be malformed is used before anything is changed.
            if task.function is not None:
                task.function.took(seconds)
            if value is None:
                if task.function is not None:
                    task.function.left(size)
                worker.stored += size
                worker.holds.add(task)
                task.holders = {worker}
                if task.actor:
                    task.arguments = None
                    self.results.actors[task] = worker
            else:
                self.results.held_bytes += size
                task.value = value
                task.arguments = None
            task.nbytes = size
            task.state = MEMORY
            task.worker = None
            if task in assigned:
                worker.occupancy -= assigned.pop(task)
            else:
                worker.seceded.discard(task)
            if task.demand is not None:
                task.demand.give_back(worker)
            for client in task.clients:
                client.out_finished.append((key, value))
            if task.dependents:
                self._wake_dependents(task)
            if task.inputs:
                self._inputs_used(task)
            if task in awaited:
                self.transfers.arrived(task)
            if not task.clients and not task.waiters:
                loose.append(task)
        if not assigned:
            worker.occupancy = 0.0  # sums of floats drift
        self.load_changed(worker)
        self.results.check_budget()
        self.sweep()

    def load_changed(self, worker: WorkerRecord) -> None:
        """Note that a worker may have room, or less to do than before."""
        worker.turns += 1
        self.open_workers.update(worker)
        if worker.demands:
            self.demands.offer(worker)

    def _wake_dependents(self, task: Task) -> None:
        for dependent in task.dependents or ():
            if dependent.state is WAITING:
                dependent.missing -= 1
                if not dependent.missing:
                    self._make_ready(dependent)

    def _inputs_used(self, task: Task) -> None:
        """Let go of the inputs of a task that is done; entirely if it need never run again."""
        never_again = task.arguments is None
        for source in task.inputs:
            source.waiters -= 1
            if never_again and source.dependents is not None:
                source.dependents.discard(task)
            if not source.waiters and not source.clients:
                self.loose.append(source)
        if never_again:
            task.inputs = ()

    def failed(self, worker: WorkerRecord, failures: Iterable[tuple[str, Any, float]]) -> None:
        """Take in that tasks raised: key, failure, seconds."""
        for key, failure, _seconds in failures:
            task = self.task_at(worker, key)
            if task is None:
                continue
            why = Failure(*failure)
            self.take_back(task)
            if task.retries > 0:
                task.retries -= 1
                self.await_inputs(task)
            else:
                self.fail(task, why)
        self.sweep()

    def returned(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        """Take in that a worker hands tasks back that it has not begun."""
        for key in keys:
            self._hand_back(worker, key)
        self.lingering.answered(worker)
        self.sweep()

    def _hand_back(self, worker: WorkerRecord, key: str) -> None:
        task = self.task_at(worker, key)
        if task is not None:
            self.take_back(task)
            self.await_inputs(task)

    def input_gone(self, worker: WorkerRecord, key: str, source: str) -> None:
        """Take in that a worker could not get an input of a task, which it hands back."""
        lost = self.tasks.get(source)
        if lost is not None and worker in (lost.holders or ()):
            worker.free(source)  # perhaps it has come meanwhile: now both think that it has not
            self.results.holder_lost(lost, worker)
        self._hand_back(worker, key)
        self.sweep()

    def take_back(self, task: Task) -> None:
        """Note that the worker of a task has it no more."""
        worker = task.worker
        assert worker is not None
        if task in worker.assigned:
            worker.occupancy -= worker.assigned.pop(task)
        else:
            worker.seceded.discard(task)
        task.worker = None
        if task.demand is not None:
            task.demand.give_back(worker)
        self.wishes.drop_mentions(task)
        self.load_changed(worker)

    def copied(self, worker: WorkerRecord, keys: Iterable[str], failed: Iterable[str]) -> None:
        """Take in that a worker has copies of these results, and could not get those."""
        self.results.copied(worker, keys)
        self.transfers.copies_ended(worker, keys, failed)
        self.sweep()

    # -- placement ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """Draw the conclusions; to be called once for all that was said in a turn."""
        keeper = self.wishes.keeper
        if keeper.out or keeper.out_finished:
            self.wishes.let_go()
        if self.losses.strays:
            self.losses.withdraw_strays()
        for worker in [w for w in self.retiring if w.name in self.workers]:
            self.transfers.continue_retiring(worker)
        self.placing.place()

    def rebalance(self) -> None:
        """Take tasks back that wait while other workers idle; to be called now and then."""
        self.placing.rebalance()

    # -- states ------------------------------------------------------------------------------------

    def _make_ready(self, task: Task) -> None:
        """Put a task in line to be placed."""
        task.state = READY
        task.count_ready(1)
        if task.demand is None:
            self.ready.push(task)
        else:
            task.demand.push(task)

    def await_inputs(self, task: Task) -> None:
        """Make an unfinished task that no worker has WAITING or READY, as its inputs stand."""
        task.state = WAITING
        # One whose worker has died waits for the agent's report as if that were an input.
        task.missing = 1 if task in self.losses.in_doubt else 0
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
            self._make_ready(task)
        for source in again:
            if source.state is RELEASED:
                self.compute_again(source)

    def compute_again(self, task: Task) -> None:
        """Compute a RELEASED task that is needed, and whatever of its inputs that takes."""
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state is not RELEASED:
                continue
            if task.arguments is None:
                task.gone = True
                self.fail(task, data_lost(task))
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
                self._make_ready(task)
            else:
                stack.extend(source for source in task.inputs if source.state is RELEASED)

    def _die_of(self, task: Task, source: Task) -> None:
        if source.state is CANCELLED:
            self.cancel_task(task, force=False)
        else:
            assert source.failure is not None
            self.fail(task, source.failure)

    def fail(self, task: Task, failure: Failure) -> None:
        """Bring a task, and all that waits for it, to FAILED."""
        self._end_badly(task, FAILED, failure)

    def cancel_task(self, task: Task, *, force: bool) -> None:
        """Bring a task, unless it is not needed or dead, and all that waits for it to CANCELLED."""
        if task.state in UNFINISHED or task.state is MEMORY:
            self._end_badly(task, CANCELLED, None, force)

    def _end_badly(
        self, task: Task, state: str, failure: Failure | None, force: bool = False
    ) -> None:
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state in DEAD or task.state is FORGOTTEN:
                continue
            if task.state in UNFINISHED:
                self.withdraw(task, force)
                self._stop_waiting(task)
            elif task.state is MEMORY:
                self.results.free(task)
            task.state = state
            task.failure = failure
            for client in task.clients:
                client.say(bad_end(task))
            if task in self.transfers.awaited:
                self.transfers.arrived(task)
            stack.extend(d for d in task.dependents or () if d.state in UNFINISHED)
            if not task.clients:
                self.loose.append(task)

    def withdraw(self, task: Task, force: bool = False) -> None:
        """Take an unfinished task away from the worker that has it, if one has."""
        if task.worker is not None:
            self.lingering.withdraw(task, task.worker, force)

    def _stop_waiting(self, task: Task) -> None:
        """Draw the conclusions for others from that an unfinished task will not be run now."""
        if task.state is READY:
            task.count_ready(-1)
        self.losses.in_doubt.pop(task, None)
        self.wishes.drop_mentions(task)
        for source in task.inputs:
            source.waiters -= 1
            if not source.waiters and not source.clients:
                self.loose.append(source)

    def sweep(self) -> None:
        """Free, or forget, what is not needed any more."""
        loose = self.loose
        while loose:
            task = loose.pop()
            if task.clients or task.waiters or task.state is FORGOTTEN:
                continue
            if task.state in UNFINISHED:
                self.withdraw(task)
                self._stop_waiting(task)
                task.state = RELEASED
            elif task.state is MEMORY:
                # What cannot be computed again, or is small, stays for those computed from it.
                if task.dependents and task.arguments is None:
                    continue
                self.results.free(task)
                task.state = RELEASED
            if task in self.transfers.awaited:
                self.transfers.arrived(task)
            if not task.dependents:
                self._forget(task)

    def _forget(self, task: Task) -> None:
        task.state = FORGOTTEN
        del self.tasks[task.key]
        function = task.function
        if function is not None:
            function.tasks -= 1
            if not function.tasks and not function.clients:
                self.wishes.forget_if_unused(function)
            if task.demand is not None:
                self.demands.count(task.demand, -1)
        for source in task.inputs:
            if source.dependents is not None:
                source.dependents.discard(task)
            if not source.waiters and not source.clients:
                self.loose.append(source)
        task.inputs = ()
