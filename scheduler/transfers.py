"""Results on the move: to clients, between workers that cannot reach each other, off retiring ones.

Part of the core: pure, like `state.py`. Three kinds of move:

- A *request*: somebody (a client, a worker that cannot reach a holder, or the scheduler itself)
  needs a value. The scheduler asks one holder after another until one answers, and passes the
  answer on unopened. What is not in memory yet is awaited.
- *Unloading*: a value that a client scattered, or that was taken over from a worker which retired,
  goes to a worker, or to several, since it is too large to be held here for long.
- *Retiring*: a worker hands its tasks back, its unique results are copied to others (or held by
  the scheduler, where there is no other worker or the copy fails), and then it is told to end.
  An actor is no result, and ends with its worker.

How copies are made stands in `copies.py`; those that clients ask for, in `spreading.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload, Serialized
from jobqueue.scheduler.causes import no_value, unknown_key
from jobqueue.scheduler.copies import FAILED, GONE, MADE, Copies
from jobqueue.scheduler.levelling import LeastFilled, movable
from jobqueue.scheduler.records import ClientRecord, Task
from jobqueue.scheduler.spreading import Spreading
from jobqueue.scheduler.states import MEMORY, UNFINISHED
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState

Requester = ClientRecord | WorkerRecord | None
"""Who needs a value; None is the scheduler itself, for a worker that retires."""


class Request:
    """A value that one holder has been asked to send."""

    __slots__ = ("holder", "requester", "task")

    def __init__(self, task: Task, requester: Requester, holder: WorkerRecord) -> None:
        self.task = task
        self.requester = requester
        self.holder = holder


class Transfers:
    """Requests, copies and retirements under way."""

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._number = 0
        self.requests: dict[int, Request] = {}
        self.awaited: dict[Task, list[Requester]] = {}
        self.retiring: set[WorkerRecord] = set()
        self.copies = Copies(state)
        self.spreading = Spreading(state, self.copies)
        self._unloading: set[Task] = set()  # values that wait for a worker
        self._broadcast: dict[Task, None] = {}  # values that all workers are to have

    # -- requests ----------------------------------------------------------------------------------

    def fetch(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Send a client the values of these keys, or say why not."""
        for key in keys:
            self._request_key(key, client)

    def relay(self, worker: WorkerRecord, key: str) -> None:
        """Send a worker the value of a key that it cannot get by itself."""
        task = self._state.tasks.get(key)
        if task is None or task.state is not MEMORY:
            # The task there that needs it is handed back, and placed again when it can be run.
            worker.say((m.RELAYED, key, None, None))
        else:
            self._request(task, worker)

    def _request_key(self, key: str, client: ClientRecord) -> None:
        task = self._state.tasks.get(key)
        if task is None:
            client.say((m.FETCH_FAILED, key, unknown_key(key)))
        else:
            self._request(task, client)

    def _request(self, task: Task, requester: Requester) -> None:
        if task.state is not MEMORY:
            if task.state in UNFINISHED:
                self.awaited.setdefault(task, []).append(requester)
            else:
                self._refuse(task, requester, no_value(task))
        elif task.value is not None:
            value = task.value
            if isinstance(value, Payload) and isinstance(requester, ClientRecord):
                value = value.copy()  # a client in this process writes to what it is given
            self._give(task, requester, value)
        else:
            assert task.holders
            holder = min(task.holders, key=lambda worker: (len(worker.assigned), worker.name))
            self._number += 1
            self.requests[self._number] = Request(task, requester, holder)
            holder.say((m.SEND, self._number, task.key))

    def _give(self, task: Task, requester: Requester, value: Serialized) -> None:
        if requester is None:
            self._state.results.hold(task, value)
            if task.value is not None and task.nbytes > self._state.results.inline_limit:
                self._unloading.add(task)  # to a worker, should one come
        elif isinstance(requester, ClientRecord):
            requester.say((m.FETCHED, task.key, value))
        else:
            requester.say((m.RELAYED, task.key, value, None))

    def _refuse(self, task: Task, requester: Requester, failure: Failure) -> None:
        if isinstance(requester, ClientRecord):
            requester.say((m.FETCH_FAILED, task.key, failure))
        elif requester is not None:
            requester.say((m.RELAYED, task.key, None, failure))

    def data(self, worker: WorkerRecord, number: int, value: Serialized) -> None:
        """Take in a value that a worker was asked for."""
        request = self.requests.pop(number, None)
        if request is None:
            return
        self._give(request.task, request.requester, value)
        if request.requester is None:
            worker.moving.discard(request.task)

    def no_data(self, worker: WorkerRecord, number: int, failure: Failure | None) -> None:
        """Take in that a worker cannot send a value: it has it not, or cannot pickle it."""
        request = self.requests.pop(number, None)
        if request is None:
            return
        task, requester = request.task, request.requester
        if failure is not None:
            self._refuse(task, requester, failure)
            if requester is None:  # it cannot leave with its worker: computed again, if needed
                self._state.results.holder_lost(task, worker)
            return
        self._state.results.holder_lost(task, worker)
        self._again(task, requester)

    def _again(self, task: Task, requester: Requester) -> None:
        if isinstance(requester, WorkerRecord):
            self.relay(requester, task.key)
        elif requester is not None:  # the scheduler itself: there is nothing to save any more
            self._request(task, requester)

    def arrived(self, task: Task) -> None:
        """Serve those that awaited a task which is in memory now, or never will be."""
        for requester in self.awaited.pop(task):
            self._request(task, requester)

    # -- peers that leave --------------------------------------------------------------------------

    def forget_requester(self, peer: ClientRecord | WorkerRecord) -> None:
        """Forget what a peer that is gone had asked for."""
        self.requests = {n: r for n, r in self.requests.items() if r.requester is not peer}
        for task, requesters in list(self.awaited.items()):
            left = [requester for requester in requesters if requester is not peer]
            if left:
                self.awaited[task] = left
            else:
                del self.awaited[task]

    def forget_worker(self, worker: WorkerRecord) -> None:
        """Forget a worker that is gone; ask other holders for what it was asked for."""
        self.retiring.discard(worker)
        self.forget_requester(worker)
        self.forget_holder(worker)

    def forget_holder(self, worker: WorkerRecord) -> None:
        """The same, of a worker that may come back and then wants what it had asked for."""
        broken = [(n, r) for n, r in self.requests.items() if r.holder is worker]
        for number, request in broken:
            del self.requests[number]
            self._again(request.task, request.requester)
        self.copies.forget_worker(worker)

    def forget_task(self, task: Task) -> None:
        """Forget moves of a result that nobody needs any more."""
        self.copies.forget_task(task)
        self._unloading.discard(task)
        self._broadcast.pop(task, None)
        for requester in self.awaited.pop(task, ()):
            self._refuse(task, requester, no_value(task))

    # -- copies ------------------------------------------------------------------------------------

    def unload(self, task: Task) -> None:
        """Give a value held here to the workers it is meant for, as soon as there is one."""
        if (task.options or {}).get("broadcast") is True:
            self._broadcast[task] = None
        targets = self._targets_of(task)
        if targets:
            self.copies.make(task, targets, relieves=[None])
        else:
            self._unloading.add(task)

    def unload_all(self) -> None:
        """Give away what waited for a worker."""
        self.look_again()
        waiting, self._unloading = self._unloading, set()
        for task in waiting:
            if task.state is MEMORY and task.value is not None:
                self.unload(task)

    def worker_came(self, worker: WorkerRecord) -> None:
        """Give a new worker what all are to have, and to whoever it may be what waited for one."""
        self.unload_all()
        for task in list(self._broadcast):
            if task.state is not MEMORY:  # lost with all who had it
                del self._broadcast[task]
            elif worker.available and self._meant(task, [worker]):
                self.copies.make(task, [worker])

    def _targets_of(self, task: Task) -> list[WorkerRecord]:
        """Return the workers that a scattered value is to go to."""
        open_ones = self._meant(task, self._open_workers())
        # `True` is all of them, a number that many; without it, one.
        broadcast = (task.options or {}).get("broadcast") or 1
        count = len(open_ones) if broadcast is True else int(broadcast)
        return LeastFilled(open_ones, self.copies.expected).several(count, task.nbytes)

    def _meant(self, task: Task, open_ones: list[WorkerRecord]) -> list[WorkerRecord]:
        """Return those of some workers that a scattered value may go to."""
        options = task.options or {}
        if (wanted := options.get("workers")) is not None:
            names = frozenset(wanted)
            chosen = [worker for worker in open_ones if not names.isdisjoint(worker.known_as)]
            if chosen or not options.get("allow_other_workers"):
                return chosen
        return open_ones

    def _open_workers(self) -> list[WorkerRecord]:
        return [worker for worker in self._state.workers.values() if worker.available]

    def copies_ended(
        self, worker: WorkerRecord, keys: Iterable[str], failed: Iterable[str]
    ) -> None:
        """Take in how copies at a worker have ended."""
        self.copies.reported(worker, keys, made=True)
        self.copies.reported(worker, failed, made=False)

    def relieve(self, task: Task, source: WorkerRecord | None, outcome: str) -> None:
        """Draw the conclusions, for one who need not hold a result any more, if a copy is made."""
        if source is None:
            if outcome is GONE and task.value is not None and not task.holders:
                self.unload(task)
            elif outcome is MADE and not self.copies.sent_from_here(task):
                self._state.results.release_held(task)
        elif not source.retiring:
            if outcome is MADE:
                self._let_go(task, source)
        elif outcome is MADE:
            source.moving.discard(task)
        elif outcome is GONE:
            self._move([task], source)
        elif outcome is FAILED and task in source.moving and source in (task.holders or ()):
            self._pull(task, source)

    def _let_go(self, task: Task, worker: WorkerRecord) -> None:
        """Free a result at a worker, unless that is its last place or a task there is to use it."""
        holders = task.holders or ()
        used = any(dependent.worker is worker for dependent in task.dependents or ())
        if worker in holders and len(holders) > 1 and not used:
            worker.free(task.key)
            self._state.results.holder_lost(task, worker)

    # -- retiring ----------------------------------------------------------------------------------

    def retire(self, worker: WorkerRecord) -> None:
        """Let a worker go as soon as nothing would be lost by it."""
        if worker.retiring:
            return
        worker.retiring = True
        self.retiring.add(worker)
        self._state.open_workers.remove(worker)
        self._state.demands.worker_went(worker)
        if worker.assigned:
            worker.recall([task.key for task in worker.assigned])

    def continue_retiring(self) -> None:
        """Move what only workers that retire hold; tell those to end that have nothing left."""
        for worker in list(self.retiring):
            self._empty(worker)

    def _empty(self, worker: WorkerRecord) -> None:
        moving = worker.moving
        if (moving or worker.stuck) and len(worker.holds) == worker.surveyed:
            return  # nothing new: it may hold very many
        worker.surveyed = len(worker.holds)
        unique = self.stuck(worker)
        if unique:
            moving.update(unique)
            self._move(unique, worker)
        worker.stuck = len(unique) > len(moving.intersection(unique))
        if not worker.busy and not worker.recalled and not moving and not unique:
            self.retiring.discard(worker)
            worker.say((m.END, "retired"))

    def look_again(self) -> None:
        """Note that there may be room now for what workers that retire could not hand over."""
        for worker in self.retiring:
            worker.surveyed = -1

    def stuck(self, worker: WorkerRecord) -> list[Task]:
        """Return the results that only this worker has, and that are not on their way."""
        return [t for t in worker.holds if t not in worker.moving and self._is_unique(t, worker)]

    def _is_unique(self, task: Task, worker: WorkerRecord) -> bool:
        if task.value is not None or not movable(task):
            return False
        return all(holder is worker or holder.retiring for holder in task.holders or ())

    def _move(self, tasks: Iterable[Task], source: WorkerRecord) -> None:
        """Have results copied from a worker that retires to the ones that hold least.

        Where there are none, the scheduler takes them. If the worker's time is limited, only what
        it has memory for: for the rest a worker may come.
        """
        room: LeastFilled | None = None
        memory = self._memory() if source in self._state.draining else math.inf
        for task in tasks:
            if task not in source.moving:
                continue
            target = next((w for w in self.copies.of(task) if not w.retiring), None)
            if target is None:  # it is not on its way to somewhere anyway
                room = room or LeastFilled(self._open_workers(), self.copies.expected)
                target = room.take(task.nbytes)
            if target is not None:
                self.copies.make(task, [target], relieves=[source])
            elif task.nbytes <= memory:
                memory -= task.nbytes
                self._pull(task, source)
            else:
                source.moving.discard(task)

    def _memory(self) -> int:
        """Return how many bytes the scheduler has room for, beside those on their way to it."""
        coming = sum(r.task.nbytes for r in self.requests.values() if r.requester is None)
        return self._state.results.held_budget - self._state.results.held_bytes - coming

    def _pull(self, task: Task, source: WorkerRecord) -> None:
        self._number += 1
        self.requests[self._number] = Request(task, None, source)
        source.say((m.SEND, self._number, task.key))
