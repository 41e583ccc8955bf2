"""What clients want of tasks: their results, or none any more; that they are kept, cancelled, tried
again; or that all begins anew.

Part of the core: pure, like `state.py`. A function stays as long as a client may name it or a task
calls it. Some tasks are wanted by no client, but on behalf of one:

- by the *keeper*, until they have ended: nobody waits for them, and yet they are to run;
- by a result that *mentions* them, while it is in memory: it holds futures of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.causes import key_in_use, unknown_key
from jobqueue.scheduler.lives import bad_end
from jobqueue.scheduler.records import ClientRecord, Function, StandIn, Task
from jobqueue.scheduler.states import CANCELLED, DEAD, FAILED, MEMORY, RELEASED, UNFINISHED
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState


class Wishes:
    """What clients want.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self.keeper = ClientRecord("the scheduler, which keeps it", -1)
        self.mentioned: dict[Task, StandIn] = {}  # by the task whose result mentions others

    # -- functions ---------------------------------------------------------------------------------

    def add_functions(
        self, client: ClientRecord, functions: Iterable[tuple[bytes, str, bytes]]
    ) -> None:
        """Take in functions that a client will name."""
        known = self._state.functions
        for fid, name, pickle in functions:
            function = known.get(fid)
            if function is None:
                function = known[fid] = Function(fid, name, pickle)
            if fid not in client.functions:
                client.functions.add(fid)
                function.clients += 1

    def forget_functions(self, client: ClientRecord, fids: Iterable[bytes]) -> None:
        """Take in that a client will not name these any more."""
        for fid in fids:
            if fid in client.functions:
                client.functions.discard(fid)
                function = self._state.functions[fid]
                function.clients -= 1
                self.forget_if_unused(function)

    def forget_if_unused(self, function: Function) -> None:
        """Forget a function that nobody will name and no task calls, here and at the workers."""
        if function.clients or function.tasks:
            return
        if self._state.functions.get(function.fid) is function:
            del self._state.functions[function.fid]
        for worker in function.known_to:
            worker.say((m.FORGET_FUNCTIONS, [function.fid]))
        function.known_to.clear()

    # -- who wants what ----------------------------------------------------------------------------

    def want(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Count a client among those that want tasks, and tell it how they stand."""
        for key in keys:
            task = self._state.tasks.get(key)
            if task is None:
                client.say((m.FAILED, [(key, unknown_key(key))]))
            else:
                self.want_task(client, task)
        self._state.lives.sweep()

    def want_task(self, client: ClientRecord, task: Task) -> None:
        """Count a client among those that want a task, and tell it how the task stands."""
        if task not in client.wants:
            client.wants.add(task)
            task.clients = (*task.clients, client) if task.clients else client.alone
        if task.state is RELEASED:
            self._state.lives.compute_again(task)
        elif task.state is MEMORY:
            client.out_finished.append((task.key, self._state.results.riding_along(task)))
        elif task.state in DEAD:
            client.say(bad_end(task))

    def release(self, client: ClientRecord, keys: Iterable[str]) -> None:
        """Forget that a client wants these, and what nobody else does."""
        self._unwant(client, keys)
        self._state.lives.sweep()

    def _unwant(self, client: ClientRecord, keys: Iterable[str]) -> None:
        tasks, wants, loose = self._state.tasks, client.wants, self._state.lives.loose
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

    def unwant_all(self, client: ClientRecord) -> None:
        """Forget all that a client wants; what nobody else does goes with the next sweep."""
        self._unwant(client, [task.key for task in client.wants])

    def want_again(
        self,
        client: ClientRecord,
        task: Task,
        function: Function | None,
        options: Mapping[str, Any] | None,
        inputs: Sequence[str] | None,
        arguments: Serialized | None,
    ) -> None:
        """Take in a call under a key that is there already: the same work, or an error.

        One that was cancelled begins anew, as if it had been forgotten meanwhile.
        """
        if not _is_same_work(task, function, options or {}, inputs):
            client.say((m.FAILED, [(task.key, key_in_use(task.key))]))
            return
        if task.state is CANCELLED and arguments is not None:
            self._state.lives.begin_anew(task, arguments, inputs or ())
        self.want_task(client, task)

    def keep(self, keys: Iterable[str]) -> None:
        """Want tasks until they have ended, whoever else does."""
        for key in keys:
            task = self._state.tasks.get(key)
            if task is not None and task.state in UNFINISHED:
                self.want_task(self.keeper, task)

    def let_go(self) -> None:
        """Want no more what the keeper has heard the end of."""
        ended: list[str] = []
        for operation, items in self.keeper.take_messages():
            if operation in (m.FINISHED, m.FAILED, m.GONE):
                ended.extend(key for key, _ in items)
            elif operation == m.CANCELLED:
                ended.extend(items)
        self.release(self.keeper, ended)

    # -- results that hold futures -----------------------------------------------------------------

    def mentions(self, worker: WorkerRecord, key: str, keys: Iterable[str]) -> None:
        """Take in that a result, which is told of next, holds futures of other tasks."""
        state = self._state
        task = state.task_at(worker, key)
        if task is None:
            task = state.tasks.get(key)
            if task is not None and not state.losses.is_news(task, worker):
                task = None
        if task is not None and task.state in UNFINISHED and not self._mention(task, keys):
            state.losses.dangling(worker, task)
        worker.say((m.MENTIONED, [key]))
        state.lives.sweep()

    def _mention(self, task: Task, keys: Iterable[str]) -> bool:
        """Note that the result of a task, which is on its way, holds futures of others.

        Returns
        -------
        bool
            Whether all of those are there.
        """
        self.drop_mentions(task)
        stand_in = self.mentioned[task] = StandIn(f"the result of {task.key}")
        complete = True
        for key in keys:
            other = self._state.tasks.get(key)
            if other is None:
                complete = False
            elif other is not task:
                self.want_task(stand_in, other)
        return complete

    def drop_mentions(self, task: Task) -> None:
        """Let go of what the result of a task mentions, since it is not in memory any more."""
        stand_in = self.mentioned.pop(task, None)
        if stand_in is not None:
            self.unwant_all(stand_in)

    # -- not at all, again, and anew ---------------------------------------------------------------

    def cancel(self, client: ClientRecord, force: bool, keys: Iterable[str]) -> None:
        """Cancel tasks, and all that depends on them.

        Only what no other client wants; with force, all of it, and what runs is interrupted.
        """
        state = self._state
        for key in keys:
            task = state.tasks.get(key)
            if task is not None and (force or all(other is client for other in task.clients)):
                state.lives.cancel(task, force=force)
        state.lives.sweep()

    def retry(self, keys: Iterable[str]) -> None:
        """Run failed tasks again, with those of their inputs that have failed."""
        state, tasks = self._state, self._state.tasks
        stack = [tasks[key] for key in keys if key in tasks]
        again: list[Task] = []
        while stack:
            task = stack.pop()
            if task.state is not FAILED or task.arguments is None:
                continue
            state.lives.revive(task)
            again.append(task)
            stack.extend(task.inputs)
        for task in again:
            if task.clients or task.waiters:
                state.lives.compute_again(task)
            else:
                state.lives.loose.append(task)
        state.lives.sweep()

    def restart(self, reason: str = "restarted by a client") -> None:
        """Cancel and forget all tasks of all clients, and have all workers start anew."""
        state = self._state
        for task in list(state.tasks.values()):
            if task.state is FAILED:
                for client in task.clients:
                    client.say((m.CANCELLED, [task.key]))
            else:
                state.lives.cancel(task)
        wanting = dict.fromkeys(c for task in state.tasks.values() for c in task.clients)
        for client in wanting:
            self.unwant_all(client)
        state.lives.sweep()
        for worker in state.workers.values():
            worker.paused = reason
            state.load_changed(worker)
            worker.say((m.RESTART, reason))


def _is_same_work(
    task: Task,
    function: Function | None,
    options: Mapping[str, Any],
    inputs: Iterable[str] | None,
) -> bool:
    """Return whether a call under the key of a task is a call of the same, with the same."""
    digest = options.get("digest")
    earlier = task.options.get("digest") if task.options else None
    if digest is not None and earlier is not None:
        return bool(digest == earlier)
    if function is not task.function:
        return False
    if task.state not in UNFINISHED or inputs is None:
        return True
    return set(inputs) == {source.key for source in task.inputs}
