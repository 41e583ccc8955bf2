"""What clients ask of a scheduler, and what it answers: one table.

`jobqueue.protocol.messages.ASK` says what each question carries and gets. A handler returns the
answer, or is a coroutine that returns it when it is time; what it raises is the answer, too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from jobqueue.errors import ConfigError, JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.scheduler.coordination import Coordination
from jobqueue.scheduler.explain import explain
from jobqueue.scheduler.info import workers_named
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.spreading import Then
from jobqueue.scheduler.states import ASSIGNED
from jobqueue.scheduler.stranded import in_vain
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.server import Scheduler

RESTART_TIMEOUT = 120.0
"""Seconds within which restarted workers have to be back, unless the client says otherwise."""

RETIRE_TIMEOUT = 300.0
"""Seconds that workers get to hand over what they have, unless the client says otherwise."""


class Refusal(Exception):
    """A question is answered by a failure that stands already."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.summary)
        self.failure = failure


SCHEDULER_PARAMETERS = ("scheduler", "dask_scheduler")
"""A function called here with a parameter of such a name gets the scheduler."""


class Questions:
    """Answers the questions of a scheduler's clients.

    Parameters
    ----------
    scheduler
        Who is asked.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._state = scheduler.state
        self._coordination = Coordination(scheduler.state)
        self._pending: dict[ClientRecord, set[asyncio.Task[None]]] = {}
        self._table: dict[str, Callable[[Any], Any]] = {
            "situation": self._situation,
            "wait-for-workers": self._wait_for_workers,
            "workers": self._workers,
            "nthreads": lambda names: {w.name: w.nthreads for w in self._named(names)},
            "task-counts": lambda _: self._scheduler.task_counts(),
            "who-has": self._who_has,
            "has-what": lambda names: _keys(self._named(names), lambda w: w.holds),
            "processing": lambda names: _keys(self._named(names), lambda w: w.tasks),
            "explain": self._explain,
            "in-vain": self._in_vain,
            "replicate": self._replicate,
            "rebalance": self._rebalance,
            "retire-workers": self._retire,
            "restart": self._restart,
            "run-on-scheduler": self._run,
        }

    def ask(self, client: ClientRecord, number: int, question: str, arguments: Any) -> None:
        """Take in a question; the answer goes to the client's outbox, now or later."""
        try:
            if question == "coordinate":  # it answers by itself, and others too
                self._coordination.coordinate(client, number, arguments)
                return
            handler = self._table.get(question)
            if handler is None:
                raise ConfigError(
                    f"this scheduler does not know the question {question!r:.100}: is the client's "
                    "version of jobqueue newer?"
                )
            answer = handler(arguments)
        except Exception as error:  # whatever is wrong with a question, it is the client's
            client.say((m.REFUSED, number, _failure(error)))
            return
        if inspect.iscoroutine(answer):
            task = asyncio.create_task(self._answer_later(client, number, answer))
            pending = self._pending.setdefault(client, set())
            pending.add(task)
            task.add_done_callback(pending.discard)
        else:
            client.say((m.ANSWER, number, answer))

    async def _answer_later(self, client: ClientRecord, number: int, answer: Any) -> None:
        try:
            client.say((m.ANSWER, number, await answer))
        except BaseException as error:  # a client's function may raise SystemExit
            if client.name not in self._state.clients:
                raise
            client.say((m.REFUSED, number, _failure(error)))
        self._scheduler.schedule_flush()

    def forget_client(self, client: ClientRecord) -> None:
        """Work on no answer any more for a client that is gone, and free what it had locked."""
        self._coordination.forget_client(client)
        for task in self._pending.pop(client, ()):
            task.cancel()

    # -- how things stand --------------------------------------------------------------------------

    def _situation(self, key: str | None) -> dict[str, Any]:
        """Say what those who wait are waiting for; a task among them may be named."""
        workers = self._state.workers.values()
        threads = sum(worker.nthreads for worker in workers)
        counts = self._scheduler.task_counts()
        tasks = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        parts = [f"{len(workers)} workers with {threads} threads", f"tasks: {tasks or 'none'}"]
        running = counts.get(ASSIGNED, 0)
        if key is not None and workers and not running:
            reason = explain(self._state, key, supply="", now=self._scheduler.time())
            parts.append(reason.rstrip("."))
        if supply := self._scheduler.describe_supply():
            parts.append(supply)
        return {"workers": len(workers), "running": running, "text": "; ".join(parts)}

    def _workers(self, _: Any) -> dict[str, Any]:
        now = self._scheduler.time()
        return {info.name: info.to_dict(now) for info in self._scheduler.workers()}

    def _who_has(self, keys: list[str] | None) -> dict[str, list[str]]:
        tasks = self._state.tasks
        found = {}
        for key in tasks if keys is None else keys:
            task = tasks.get(key)
            found[key] = sorted(worker.name for worker in (task and task.holders) or ())
        return found

    def _explain(self, key: str) -> str:
        scheduler = self._scheduler
        return explain(self._state, key, supply=scheduler.describe_supply(), now=scheduler.time())

    def _in_vain(self, keys: list[str]) -> tuple[int, Failure | None]:
        judge = self._scheduler.judge
        return (0, None) if judge is None else in_vain(self._state, keys, judge)

    def _named(self, names: Iterable[str] | None) -> list[WorkerRecord]:
        return workers_named(self._state.workers, names)

    # -- what takes its time -----------------------------------------------------------------------

    async def _wait_for_workers(self, count: int) -> Failure | None:
        """Return when as many workers are there, or why they will not be."""
        while True:
            workers = self._state.workers.values()
            if sum(not worker.retiring for worker in workers) >= count:
                return None
            if self._scheduler.shortage is not None:
                return self._scheduler.shortage
            await self._scheduler.wait_for_change()

    async def _replicate(self, arguments: tuple[list[str], int | None, list[str] | None]) -> None:
        keys, n, names = arguments
        workers = None if names is None else self._named(names)
        await self._copied(partial(self._state.transfers.spreading.replicate, keys, n, workers))

    async def _rebalance(self, arguments: tuple[list[str] | None, list[str] | None]) -> None:
        keys, names = arguments
        workers = None if names is None else self._named(names)
        await self._copied(partial(self._state.transfers.spreading.rebalance, keys, workers))

    async def _copied(self, begin: Callable[[Then], None]) -> None:
        """Have copies made; return when that has ended."""
        ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

        def then(failure: Failure | None) -> None:
            if not ended.done():
                ended.set_result(failure)

        begin(then)
        self._scheduler.schedule_flush()
        if (failure := await ended) is not None:
            raise Refusal(failure)

    async def _retire(self, arguments: tuple[list[str] | None, float | None]) -> list[str]:
        names, seconds = arguments
        retired = [worker.name for worker in self._named(names)]
        timeout = RETIRE_TIMEOUT if seconds is None else seconds
        await self._scheduler.retire(retired, timeout=timeout)
        return retired

    async def _restart(self, seconds: float | None) -> None:
        """Have all workers start anew; return when they are back."""
        scheduler, workers = self._scheduler, self._state.workers
        gone = dict(workers)
        for worker in gone.values():
            scheduler.connections.expect_end(worker, "restarted by a client")
        self._state.wishes.restart()
        scheduler.schedule_flush()
        timeout = RESTART_TIMEOUT if seconds is None else seconds

        def missing() -> list[str]:
            return [name for name, old in gone.items() if workers.get(name) in (None, old)]

        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while missing():
                    await scheduler.wait_for_change()
        if late := missing():
            shown = ", ".join(late[:5]) + (", …" if len(late) > 5 else "")
            raise TimeoutError(
                f"{len(late)} of {len(gone)} workers are not back {timeout:g} s after they were "
                f"told to restart: {shown}; without a job agent they never are, else they may be"
            )

    async def _run(self, call: Serialized) -> Serialized:
        """Run a client's function here: the one place where a scheduler unpickles anything."""
        function, args, kwargs = loads(call)
        kwargs = {**dict.fromkeys(scheduler_parameters(function), self._scheduler), **kwargs}
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            value = await value
        return dumps(value, own=True)


def _failure(error: BaseException) -> Failure:
    """Return what a client is told; where in the scheduler an error of ours arose, says nothing."""
    if isinstance(error, Refusal):
        return error.failure
    if isinstance(error, (JobQueueError, TimeoutError)):
        error = error.with_traceback(None)
    return Failure.of_users(error, what="the function", where="on the scheduler")


def scheduler_parameters(function: Callable[..., Any]) -> list[str]:
    """Return which parameters of a function are to be given the scheduler."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C do not tell
        return []
    return [
        name
        for name in SCHEDULER_PARAMETERS
        if name in parameters and parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY
    ]


def _keys(workers: Iterable[WorkerRecord], of: Callable[[WorkerRecord], Any]) -> dict[str, Any]:
    return {worker.name: sorted(task.key for task in of(worker)) for worker in workers}
