"""Calls that are not tasks: clients have functions, or methods of actors, run on workers at once.

Pure, like the core beside which it stands: messages go to the outboxes of workers and clients. The
scheduler passes calls and answers on unopened, and answers a client once, when all workers have
answered or are gone: nobody waits for a worker that cannot answer any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobqueue.errors import CommClosed, ConfigError, DataLost, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.scheduler.info import workers_named
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import UNFINISHED
from jobqueue.scheduler.worker_record import WorkerRecord

Answer = tuple[str, Serialized | None, Any]
"""Of one worker: its name, and the value or the failure."""


class Call:
    """A call that not all workers have answered yet."""

    __slots__ = ("actor", "answers", "client", "number", "waiting")

    def __init__(self, client: ClientRecord, number: int, actor: str | None) -> None:
        self.client = client
        self.number = number  # the client's
        self.actor = actor
        self.answers: dict[str, Answer | None] = {}  # by name, in the order they were asked
        self.waiting: set[WorkerRecord] = set()


class Calls:
    """Calls under way.

    Parameters
    ----------
    state
        Whose workers are called.
    """

    def __init__(self, state: SchedulerState) -> None:
        self._state = state
        self._number = 0
        self._calls: dict[int, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def call(
        self,
        client: ClientRecord,
        number: int,
        names: Sequence[str] | None,
        pickled: Serialized,
        actor: str | None,
    ) -> None:
        """Pass a client's call on to workers.

        Parameters
        ----------
        client
            Who calls.
        number
            The call's, among those of this client.
        names
            Names, addresses, hosts or job ids of the workers to be called, or None for all.
        pickled
            The call itself.
        actor
            Key of the actor whose method it is, which decides what worker is called; or None.
        """
        if actor is not None:
            home = self._home_of(actor)
            if isinstance(home, Failure):
                client.say((m.REFUSED, number, home))
                return
            names = (home.name,)
        try:
            workers = workers_named(self._state.workers, names)
        except ConfigError as error:
            client.say((m.REFUSED, number, Failure.of(error)))
            return
        call = Call(client, number, actor)
        self._number += 1
        self._calls[self._number] = call
        for worker in workers:
            call.answers[worker.name] = None
            call.waiting.add(worker)
            worker.say((m.CALL, self._number, pickled, actor))
        self._conclude(self._number)

    def _home_of(self, actor: str) -> WorkerRecord | Failure:
        """Return where an actor lives, or why it cannot be called."""
        task = self._state.tasks.get(actor)
        if task is not None and (home := self._state.results.actors.get(task)) is not None:
            return home  # others may hold its handle
        if task is not None and task.state in UNFINISHED:
            text = f"actor {actor!r} is not made yet: wait for its future before calling it"
            return Failure.of(TaskError(text))
        if task is not None and task.failure is not None:
            return task.failure
        text = f"actor {actor!r} is nowhere: it was released, or its worker is gone; make it anew"
        return Failure.of(DataLost(text))

    def called(
        self, worker: WorkerRecord, number: int, value: Serialized | None, failure: Any
    ) -> None:
        """Take in a worker's answer."""
        why = Failure(*failure) if failure is not None else None
        self._answered(number, worker, value, why)

    def forget_worker(self, worker: WorkerRecord, cause: str) -> None:
        """Let no call wait for a worker that cannot answer any more."""
        for number, call in list(self._calls.items()):
            if worker in call.waiting:
                self._answered(number, worker, None, _gone(call, worker.name, cause))

    def forget_client(self, client: ClientRecord) -> None:
        """Forget the calls of a client that is gone; workers' answers find nobody."""
        self._calls = {n: call for n, call in self._calls.items() if call.client is not client}

    def _answered(
        self, number: int, worker: WorkerRecord, value: Serialized | None, why: Failure | None
    ) -> None:
        call = self._calls.get(number)
        if call is None or worker not in call.waiting:
            return
        call.waiting.discard(worker)
        call.answers[worker.name] = (worker.name, value, why)
        self._conclude(number)

    def _conclude(self, number: int) -> None:
        """Answer the client if nothing is missing."""
        call = self._calls[number]
        if not call.waiting:
            del self._calls[number]
            call.client.say((m.CALLED, call.number, list(call.answers.values())))


def _gone(call: Call, name: str, cause: str) -> Failure:
    """Return the failure of a call that a worker will not answer."""
    if call.actor is None:
        return Failure.of(CommClosed(f"worker {name!r} did not answer the call: {cause}"))
    text = f"actor {call.actor!r} was at worker {name!r}: {cause}; its state is lost, make it anew"
    return Failure.of(DataLost(text))
