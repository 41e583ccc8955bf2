"""The scheduler core: who and what there is, and what happens when peers come, speak and go.

Rules of the core, which is this file and its rooms:

- No sockets, no clock, no randomness: `now` comes in where it is needed, and messages to peers go
  to their records' outboxes.
- Users' pickles pass through; they are never opened.
- Whatever a peer says leaves the state consistent: `validate()` holds after each message.
- States of tasks change in `lives.py`, where the rules about them stand. Here they do only in the
  loops of `submit`, `scatter` and `done`.
- Each room knows the core, and finds the others through it: `lives.py` (of tasks), `wishes.py` (of
  clients), `placing.py` (tasks are given to workers), `demands.py` (which will do), `results.py`
  (where results are), `transfers.py` (they move), `losses.py` (workers that go or are silent),
  `deadlines.py` and `draining.py` (their jobs end), `reservations.py` (of whole jobs),
  `lingering.py` (withdrawn tasks). What concerns one of them alone is said to it: see
  `handlers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.scheduler.deadlines import Deadlines
from jobqueue.scheduler.demands import Demands
from jobqueue.scheduler.draining import Draining
from jobqueue.scheduler.lingering import Lingering
from jobqueue.scheduler.lives import Lives
from jobqueue.scheduler.losses import Losses
from jobqueue.scheduler.placement import OpenWorkers, ReadyQueue, rank
from jobqueue.scheduler.placing import Placing
from jobqueue.scheduler.records import ClientRecord, Function, Task
from jobqueue.scheduler.reservations import Reservations
from jobqueue.scheduler.results import HELD_BUDGET, INLINE_LIMIT, Results
from jobqueue.scheduler.states import CANCELLED, MEMORY, READY
from jobqueue.scheduler.transfers import Transfers
from jobqueue.scheduler.wishes import Wishes
from jobqueue.scheduler.worker_record import WorkerRecord

ALLOWED_FAILURES = 3
"""Workers that may die under a task before it is taken to be the cause."""

WORKER_TTL = 300.0
"""Seconds of silence after which a worker's tasks are placed anew; it may come back."""


class SchedulerState:
    """Tasks, workers and clients; the rooms in which is decided what becomes of them.

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
        self.talking: set[WorkerRecord] = set()  # workers to which something is to be said
        self._submitted = 0
        self.lives = Lives(self)
        self.wishes = Wishes(self)
        self.placing = Placing(self)
        self.demands = Demands(self)
        self.results = Results(self, inline_limit, held_budget)
        self.transfers = Transfers(self)
        self.losses = Losses(self, allowed_failures, worker_ttl)
        self.deadlines = Deadlines(self)
        self.draining = Draining(self)
        self.reservations = Reservations(self)
        self.lingering = Lingering(self)

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
        self.lives.sweep()
        self.wishes.forget_functions(client, list(client.functions))

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
            A function that `Wishes.add_functions` was told of.
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
        attach_inputs = self.lives.attach_inputs
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
                    attach_inputs(task, inputs)
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
        self.lives.sweep()

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
        self.transfers.worker_came(worker)

    def remove_worker(self, worker: WorkerRecord, *, cause: str, charge: bool) -> None:
        """Forget a worker that is gone; place its tasks anew, compute lost results again.

        Parameters
        ----------
        cause
            Why it is gone, for messages.
        charge
            Whether the tasks it was running may be to blame.
        """
        if self.workers.get(worker.name) is worker:
            del self.workers[worker.name]
        worker.retiring = True  # whatever is still taken from it, it never gets room again
        worker.talking = set()
        self.talking.discard(worker)
        self.open_workers.remove(worker)
        self.draining.forget(worker)
        self.reservations.worker_went(worker)
        for function in self.functions.values():
            function.known_to.discard(worker)
        self.losses.worker_went(worker, cause, charge)
        self.transfers.forget_worker(worker)
        self.lives.sweep()

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

    def done(
        self,
        worker: WorkerRecord,
        results: Iterable[tuple[str, Serialized | None, int, float]],
    ) -> None:
        """Take in what a worker has computed: key, value (None: it keeps it), bytes, seconds."""
        tasks, lives, awaited = self.tasks, self.lives, self.transfers.awaited
        assigned, loose = worker.assigned, lives.loose
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
                lives.wake_dependents(task)
            if task.inputs:
                lives.inputs_used(task)
            if task in awaited:
                self.transfers.arrived(task)
            if not task.clients and not task.waiters:
                loose.append(task)
        if not assigned:
            worker.occupancy = 0.0  # sums of floats drift
        self.load_changed(worker)
        self.results.check_budget()
        lives.sweep()

    def load_changed(self, worker: WorkerRecord) -> None:
        """Note that a worker may have room, or less to do than before."""
        worker.turns += 1
        self.open_workers.update(worker)
        if worker.demands:
            self.demands.offer(worker)

    def failed(self, worker: WorkerRecord, failures: Iterable[tuple[str, Any, float]]) -> None:
        """Take in that tasks raised: key, failure, seconds."""
        for key, failure, _seconds in failures:
            task = self.task_at(worker, key)
            if task is None:
                continue
            why = Failure(*failure)
            self.lives.take_back(task)
            if task.retries > 0:
                task.retries -= 1
                self.lives.await_inputs(task)
            else:
                self.lives.fail(task, why)
        self.lives.sweep()

    def returned(self, worker: WorkerRecord, keys: Iterable[str]) -> None:
        """Take in that a worker hands tasks back that it has not begun."""
        for key in keys:
            self._hand_back(worker, key)
        self.lingering.answered(worker)
        self.lives.sweep()

    def _hand_back(self, worker: WorkerRecord, key: str) -> None:
        task = self.task_at(worker, key)
        if task is not None:
            self.lives.take_back(task)
            self.lives.await_inputs(task)

    def input_gone(self, worker: WorkerRecord, key: str, source: str) -> None:
        """Take in that a worker could not get an input of a task, which it hands back."""
        lost = self.tasks.get(source)
        if lost is not None and worker in (lost.holders or ()):
            worker.free(source)  # perhaps it has come meanwhile: now both think that it has not
            self.results.holder_lost(lost, worker)
        self._hand_back(worker, key)
        self.lives.sweep()

    def copied(self, worker: WorkerRecord, keys: Iterable[str], failed: Iterable[str]) -> None:
        """Take in that a worker has copies of these results, and could not get those."""
        self.results.copied(worker, keys)
        self.transfers.copies_ended(worker, keys, failed)
        self.lives.sweep()

    # -- placement ---------------------------------------------------------------------------------

    def settle(self) -> None:
        """Draw the conclusions; to be called once for all that was said in a turn."""
        keeper = self.wishes.keeper
        if keeper.out or keeper.out_finished:
            self.wishes.let_go()
        if self.losses.strays:
            self.losses.withdraw_strays()
        if self.transfers.retiring:
            self.transfers.continue_retiring()
        self.placing.place()
