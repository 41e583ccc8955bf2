"""Results on the move: to clients, between workers that cannot reach each other, off retiring ones.

Part of the core: pure, like `state.py`, which owns tasks and their states. Three kinds of move:

- A *request*: somebody (a client, a worker that cannot reach a holder, or the scheduler itself)
  needs a value. The scheduler asks one holder after another until one answers, and passes the
  answer on unopened. What is not in memory yet is awaited.
- A *copy*: a worker is told to get a result from a holder and keep it.
- *Retiring*: a worker hands its tasks back, its unique results are copied to others (or held by
  the scheduler, where there is no other worker or the copy fails), and then it is told to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload, Serialized
from jobqueue.scheduler.causes import no_value, unknown_key
from jobqueue.scheduler.records import (
    MEMORY,
    UNFINISHED,
    ClientRecord,
    Task,
    WorkerRecord,
)

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
        # Copies under way, by what they spare: a worker that retires (two of them may hold the
        # same result), or None for the scheduler itself. The worker that gets it is the value.
        self.copies: dict[Task, dict[WorkerRecord | None, WorkerRecord]] = {}
        self._unloading: set[Task] = set()  # scattered values that wait for a worker

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
            self._state.hold(task, value)
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
                self._state.holder_lost(task, worker)
            return
        self._state.holder_lost(task, worker)
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
        """Ask other holders for what a worker that is gone was asked for."""
        self.forget_requester(worker)
        broken = [(n, r) for n, r in self.requests.items() if r.holder is worker]
        for number, request in broken:
            del self.requests[number]
            self._again(request.task, request.requester)
        ended = [
            (task, source)
            for task, copies in self.copies.items()
            for source, target in copies.items()
            if worker is source or worker is target
        ]
        for task, source in ended:
            self._drop_copy(task, source)
            if source is None:
                self.unload(task)
            elif source is not worker:
                self._move(task, source)

    def forget_task(self, task: Task) -> None:
        """Forget moves of a result that nobody needs any more."""
        self.copies.pop(task, None)
        self._unloading.discard(task)
        for requester in self.awaited.pop(task, ()):
            self._refuse(task, requester, no_value(task))

    # -- copies ------------------------------------------------------------------------------------

    def unload(self, task: Task) -> None:
        """Give a value held here to a worker, as soon as there is one."""
        target = self._target()
        if target is None:
            self._unloading.add(task)
        else:
            assert task.value is not None
            self.copies.setdefault(task, {})[None] = target
            target.say((m.STORE, [(task.key, task.value)]))

    def unload_all(self) -> None:
        """Give away what waited for the first worker."""
        waiting, self._unloading = self._unloading, set()
        for task in waiting:
            if task.state is MEMORY and task.value is not None:
                self.unload(task)

    def _target(self) -> WorkerRecord | None:
        candidates = [w for w in self._state.workers.values() if not w.retiring]
        return min(candidates, key=lambda w: (w.stored, w.name), default=None)

    def copies_ended(
        self, worker: WorkerRecord, keys: Iterable[str], failed: Iterable[str]
    ) -> None:
        """Take in how copies at a worker have ended."""
        for key in keys:
            self._copy_ended(key, worker, made=True)
        for key in failed:
            self._copy_ended(key, worker, made=False)

    def _copy_ended(self, key: str, worker: WorkerRecord, *, made: bool) -> None:
        task = self._state.tasks.get(key)
        if task not in self.copies:
            return
        copies = self.copies[task]
        for source in [source for source, target in copies.items() if target is worker]:
            self._drop_copy(task, source)
            if source is None:
                if made:
                    self._state.release_held(task)
            elif made:
                source.moving.discard(task)
            else:
                self._pull(task, source)

    def _drop_copy(self, task: Task, source: WorkerRecord | None) -> None:
        copies = self.copies[task]
        del copies[source]
        if not copies:
            del self.copies[task]

    # -- retiring ----------------------------------------------------------------------------------

    def retire(self, worker: WorkerRecord) -> None:
        """Let a worker go as soon as nothing would be lost by it."""
        if worker.retiring:
            return
        worker.retiring = True
        self._state.retiring.add(worker)
        self._state.open_workers.remove(worker)
        if worker.assigned:
            worker.recalled = True
            worker.say((m.RECALL, [task.key for task in worker.assigned]))

    def continue_retiring(self, worker: WorkerRecord) -> None:
        """Move what only this worker holds; tell it to end once it has nothing left."""
        for task in list(worker.holds):
            if task not in worker.moving and self._is_unique(task, worker):
                worker.moving.add(task)
                self._move(task, worker)
        if not worker.assigned and not worker.recalled and not worker.moving:
            self._state.retiring.discard(worker)
            worker.say((m.END, "retired"))

    def _is_unique(self, task: Task, worker: WorkerRecord) -> bool:
        if task.value is not None:
            return False
        return all(holder is worker or holder.retiring for holder in task.holders or ())

    def _move(self, task: Task, source: WorkerRecord) -> None:
        if task not in source.moving:
            return
        target = self._target()
        if target is None:
            self._pull(task, source)
        else:
            self.copies.setdefault(task, {})[source] = target
            target.say((m.COPY, [(task.key, [source.addresses])]))

    def _pull(self, task: Task, source: WorkerRecord) -> None:
        self._number += 1
        self.requests[self._number] = Request(task, None, source)
        source.say((m.SEND, self._number, task.key))
