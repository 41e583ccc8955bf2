"""The lives of tasks: how they come from one state to another, and what that means for others.

Part of the core: pure, like `state.py`.

- `states.TRANSITIONS` lists what can happen. States change only here; and, since a call more for
  each of very many tasks would be felt, where the core takes in tasks, values and what is done
  (`state.py`), and where workers are given tasks (`placing.py`).
- A task is *needed* while a client wants it or an unfinished dependent waits for it. Results that
  nobody needs are freed. The record stays as long as something that was computed from it exists
  only on workers, since it may have to be computed again; a result that the scheduler itself
  holds (a small one) cannot be lost, and so cuts that chain. What no task can make again, a
  client's value or an actor (`arguments` is None), stays as long as what was computed from it.
- No recursion along dependencies: chains are as long as users like. What is perhaps not needed any
  more goes to a list, `loose`, and whoever has put something there sweeps before it returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.causes import data_lost, own_input, unknown_input
from jobqueue.scheduler.records import Task
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

if TYPE_CHECKING:
    from jobqueue.scheduler.state import SchedulerState


class Lives:
    """Brings tasks from one state to another.

    Parameters
    ----------
    state
        The core whose part this is.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self.loose: list[Task] = []  # perhaps not needed any more; see `sweep`

    # -- they begin --------------------------------------------------------------------------------

    def attach_inputs(self, task: Task, keys: Sequence[str]) -> None:
        """Have a task that is new, or as good as new, wait for its inputs."""
        tasks = self._state.tasks
        inputs = [tasks.get(key) for key in dict.fromkeys(keys)]
        if None in inputs or task in inputs:
            unknown = next((key for key in keys if key not in tasks), None)
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

    def await_inputs(self, task: Task) -> None:
        """Make an unfinished task that no worker has WAITING or READY, as its inputs stand."""
        for source in self._look_at_inputs(task):
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
            stack.extend(self._look_at_inputs(task))

    def _look_at_inputs(self, task: Task) -> Sequence[Task]:
        """Make a task WAITING or READY, or dead of an input; return inputs to be computed again."""
        task.state = WAITING
        # One whose worker has died waits for the agent's report as if that were an input.
        task.missing = 1 if task in self._state.losses.in_doubt else 0
        again = []
        for source in task.inputs:
            if source.state is MEMORY:
                continue
            task.missing += 1
            if source.state in DEAD:
                self._die_of(task, source)
                return ()
            if source.state is RELEASED:
                again.append(source)
        if not task.missing:
            self._make_ready(task)
        return again

    def _make_ready(self, task: Task) -> None:
        """Put a task in line to be placed."""
        task.state = READY
        task.count_ready(1)
        if task.demand is None:
            self._state.ready.push(task)
        else:
            task.demand.push(task)

    def revive(self, task: Task) -> None:
        """Make a task that is dead one that can be computed, and tell those who want it."""
        task.state = RELEASED
        task.failure = None
        task.deaths = 0
        task.retries = task.options.get("retries", 0) if task.options else 0
        for client in task.clients:
            client.say((m.LOST, [task.key]))

    def begin_anew(self, task: Task, arguments: Serialized, keys: Sequence[str]) -> None:
        """Make a dead task one that was just submitted, with these arguments and inputs."""
        self._part_from_inputs(task)
        task.arguments = arguments
        self.revive(task)
        self.attach_inputs(task, keys)

    # -- they are done -----------------------------------------------------------------------------

    def wake_dependents(self, task: Task) -> None:
        """Note that the result of a task is in memory: what waited for that alone is READY."""
        for dependent in task.dependents or ():
            if dependent.state is WAITING:
                dependent.missing -= 1
                if not dependent.missing:
                    self._make_ready(dependent)

    def inputs_used(self, task: Task) -> None:
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

    def leave_memory(self, task: Task) -> None:
        """Note that a result is to be had nowhere; what waits to be placed waits for it again."""
        task.state = RELEASED
        self._state.results.actors.pop(task, None)
        self._state.wishes.drop_mentions(task)
        self._state.transfers.copies.forget_task(task)
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

    # -- they leave their workers ------------------------------------------------------------------

    def withdraw(self, task: Task, force: bool = False) -> None:
        """Take an unfinished task away from the worker that has it, if one has."""
        if task.worker is not None:
            self._state.lingering.withdraw(task, task.worker, force)

    def take_back(self, task: Task) -> None:
        """Note that the worker of a task has it no more; what becomes of it, the caller says."""
        worker = task.worker
        assert worker is not None
        if task in worker.assigned:
            worker.occupancy -= worker.assigned.pop(task)
        else:
            worker.seceded.discard(task)
        task.worker = None
        if task.demand is not None:
            task.demand.give_back(worker)
        self._state.wishes.drop_mentions(task)
        self._state.load_changed(worker)

    # -- they end badly ----------------------------------------------------------------------------

    def fail(self, task: Task, failure: Failure) -> None:
        """Bring a task, and all that waits for it, to FAILED."""
        self._end_badly(task, FAILED, failure)

    def cancel(self, task: Task, *, force: bool = False) -> None:
        """Bring a task, unless it is not needed or dead, and all that waits for it to CANCELLED.

        With force, what runs is interrupted.
        """
        if task.state in UNFINISHED or task.state is MEMORY:
            self._end_badly(task, CANCELLED, None, force)

    def _die_of(self, task: Task, source: Task) -> None:
        if source.state is CANCELLED:
            self.cancel(task)
        else:
            assert source.failure is not None
            self.fail(task, source.failure)

    def _end_badly(
        self, task: Task, state: str, failure: Failure | None, force: bool = False
    ) -> None:
        transfers = self._state.transfers
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state in DEAD or task.state is FORGOTTEN:
                continue
            if task.state in UNFINISHED:
                self.withdraw(task, force)
                self._stop_waiting(task)
            elif task.state is MEMORY:
                self._state.results.free(task)
            task.state = state
            task.failure = failure
            for client in task.clients:
                client.say(bad_end(task))
            if task in transfers.awaited:
                transfers.arrived(task)
            stack.extend(d for d in task.dependents or () if d.state in UNFINISHED)
            if not task.clients:
                self.loose.append(task)

    def _stop_waiting(self, task: Task) -> None:
        """Draw the conclusions for others from that an unfinished task will not be run now."""
        if task.state is READY:
            task.count_ready(-1)
        self._state.losses.in_doubt.pop(task, None)
        self._state.wishes.drop_mentions(task)
        for source in task.inputs:
            source.waiters -= 1
            if not source.waiters and not source.clients:
                self.loose.append(source)

    # -- nobody needs them -------------------------------------------------------------------------

    def sweep(self) -> None:
        """Free, or forget, what is not needed any more."""
        loose, awaited = self.loose, self._state.transfers.awaited
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
                self._state.results.free(task)
                task.state = RELEASED
            if task in awaited:
                self._state.transfers.arrived(task)
            if not task.dependents:
                self._forget(task)

    def _forget(self, task: Task) -> None:
        task.state = FORGOTTEN
        del self._state.tasks[task.key]
        function = task.function
        if function is not None:
            function.tasks -= 1
            if not function.tasks and not function.clients:
                self._state.wishes.forget_if_unused(function)
            if task.demand is not None:
                self._state.demands.count(task.demand, -1)
        if task.inputs:
            self._part_from_inputs(task)

    def _part_from_inputs(self, task: Task) -> None:
        """Have a task that waits for nothing have no inputs any more."""
        for source in task.inputs:
            if source.dependents is not None:
                source.dependents.discard(task)
            if not source.waiters and not source.clients:
                self.loose.append(source)
        task.inputs = ()


def bad_end(task: Task) -> m.Message:
    """Return what clients are told of a task that will not have a value."""
    if task.state is CANCELLED:
        return (m.CANCELLED, [task.key])
    return (m.GONE if task.gone else m.FAILED, [(task.key, task.failure)])
