"""The scheduler as users and clusters meet it: the core, its connections and its clock.

All decisions are the core's (`state.py`). This shell listens, lets `connections.py` hand what peers
say to the core, and once per turn of the event loop sends what stands in the outboxes, one frame a
peer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final

from jobqueue.comm import (
    CLIENT_SIDE,
    SCHEDULER_PEERS,
    WORKER_SIDE,
    Credentials,
    Listener,
    contact_addresses,
    listen,
)
from jobqueue.errors import WorkersUnavailable
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON
from jobqueue.scheduler.calls import Calls
from jobqueue.scheduler.connections import Connections
from jobqueue.scheduler.event_log import EventLog
from jobqueue.scheduler.info import WorkerDrains, WorkerEvent, WorkerInfo
from jobqueue.scheduler.load import Load, load_of
from jobqueue.scheduler.questions import Questions
from jobqueue.scheduler.state import ALLOWED_FAILURES, WORKER_TTL, SchedulerState
from jobqueue.scheduler.stranded import Judge

logger = logging.getLogger("jobqueue.scheduler")

TICK: Final = 1.0
"""Seconds between looks at the clock."""

FEW_WORKERS: Final = 8
"""As many may each be answered by themselves, although they speak in the same turn of the loop."""


class Scheduler:
    """Accepts workers and clients, and brings tasks and workers together.

    Parameters
    ----------
    name
        The cluster's name.
    credentials
        The scheduler's; needed to listen on `tls` and `tcp`.
    listen
        Addresses to listen on, such as ``tls://0.0.0.0:0``; always in memory as well.
    listen_clients
        Addresses for clients alone; those of `listen` are for workers alone then.
    allowed_failures
        Workers that may die under a task before it fails.
    worker_ttl
        Seconds of silence after which a worker's tasks are placed anew. Its connection stays, and
        should it speak again, what it has ended meanwhile is taken. Longer than tasks usually hold
        the interpreter's lock in one go (in a call into C or Fortran): such a worker is silent, but
        well.
    event_log
        A file to which events are appended, as lines of JSON; None for none.

    Examples
    --------
    >>> async def serve():
    ...     scheduler = Scheduler(name="example", listen=["unix:///tmp/example/socket"])
    ...     await scheduler.start()
    ...     print(scheduler.addresses)
    ...     await scheduler.close()
    """

    def __init__(
        self,
        *,
        name: str,
        credentials: Credentials | None = None,
        listen: Sequence[str] = (),
        listen_clients: Sequence[str] = (),
        allowed_failures: int = ALLOWED_FAILURES,
        worker_ttl: float = WORKER_TTL,
        event_log: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = name
        self.id = secrets.token_hex(8)  # by which clients tell it from all others
        self.credentials = credentials
        self.state = SchedulerState(allowed_failures=allowed_failures, worker_ttl=worker_ttl)
        self.event_log = None if event_log is None else EventLog(event_log, self.state)
        self.calls = Calls(self.state)
        self.questions = Questions(self)
        self.connections = Connections(self)
        self.addresses: tuple[str, ...] = ()
        self.client_addresses: tuple[str, ...] = ()
        self.local_address = ""
        self.outage: Failure | None = None
        self.shortage: Failure | None = None
        self.judge: Judge | None = None
        self.describe_supply: Callable[[], str] = lambda: ""
        workers_only = WORKER_SIDE if listen_clients else SCHEDULER_PEERS
        self._listen_on = [(address, workers_only) for address in listen]
        self._listen_on += [(address, CLIENT_SIDE) for address in listen_clients]
        self._listeners: list[Listener] = []
        self._subscribers: list[Callable[[WorkerEvent], None]] = []
        self._flush_scheduled = False
        self._ticker: asyncio.TimerHandle | None = None
        self._changed: set[asyncio.Future[None]] = set()  # woken when workers come or go
        self._closed = False

    # -- life --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        CommError
            An address is taken, or not this machine's.
        ConfigError
            The event log cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        if self.event_log is not None:
            self.event_log.open()
        addresses: dict[Collection[str], list[str]] = {SCHEDULER_PEERS: []}
        try:
            self.local_address = (await self._listen("memory://", SCHEDULER_PEERS)).address
            for address, roles in self._listen_on:
                listener = await self._listen(address, roles)
                addresses.setdefault(roles, []).extend(contact_addresses(listener.address))
        except BaseException:
            for listener in self._listeners:
                listener.close()
            if self.event_log is not None:
                self.event_log.close()
            raise
        everybody = addresses[SCHEDULER_PEERS]
        self.addresses = tuple(addresses.get(WORKER_SIDE, everybody))
        self.client_addresses = tuple(addresses.get(CLIENT_SIDE, everybody))
        self._ticker = self._loop.call_later(TICK, self._tick)
        logger.info("scheduler started name=%s addresses=%s", self.name, ",".join(self.addresses))
        if self.event_log is not None:
            self.subscribe(self.event_log.on_worker)
            self.event_log.write(
                "scheduler-started", name=self.name, addresses=self.addresses, pid=os.getpid()
            )

    async def _listen(self, address: str, roles: Collection[str]) -> Listener:
        listener = await listen(
            address,
            hello={"role": "scheduler", "name": self.name, "id": self.id, "python": PYTHON},
            credentials=self.credentials,
            on_comm=self.connections.accept,
            roles=roles,
            admit=self.connections.refusal,
        )
        self._listeners.append(listener)
        return listener

    async def close(self) -> None:
        """Tell workers to end and clients that nothing more will come; then stop listening."""
        if self._closed:
            return
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        for listener in self._listeners:
            listener.close()
        await self.connections.close()
        for listener in self._listeners:
            await listener.wait_closed()
        if self.event_log is not None:
            self.event_log.write("scheduler-closed", name=self.name)
            self.event_log.close()
        logger.info("scheduler closed name=%s", self.name)

    def __repr__(self) -> str:
        state = self.state
        return (
            f"<Scheduler {self.name} workers={len(state.workers)} clients={len(state.clients)} "
            f"tasks={len(state.tasks)}>"
        )

    # -- for its owner -----------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[WorkerEvent], None]) -> None:
        """Call `listener`, in the event loop, whenever a worker comes or goes."""
        self._subscribers.append(listener)

    def workers(self) -> list[WorkerInfo]:
        """Return the connected workers."""
        return [WorkerInfo.of(worker) for worker in self.state.workers.values()]

    def load(self) -> Load:
        """Return how much there is to do, and what the workers of each job have of it."""
        return load_of(self.state)

    def task_counts(self) -> dict[str, int]:
        """Return how many tasks are in which state."""
        counts: dict[str, int] = {}
        for task in self.state.tasks.values():
            counts[task.state] = counts.get(task.state, 0) + 1
        return counts

    async def retire(self, names: Iterable[str], *, timeout: float) -> None:  # noqa: ASYNC109
        """Let workers end without losing anything; return when they are gone.

        Parameters
        ----------
        names
            Names of workers; those that are not connected count as gone.
        timeout
            Seconds after which they are told to end whatever they are doing. Their running tasks
            are then run again elsewhere.
        """
        workers = [self.state.workers[name] for name in names if name in self.state.workers]
        for worker in workers:
            self.state.transfers.retire(worker)
        self.schedule_flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._closed and any(worker in self.connections for worker in workers):
                    await self.wait_for_change()
        for worker in workers:
            if worker in self.connections and not self._closed:
                self.connections.drop_worker(worker, f"did not retire within {timeout:g} s")

    def time(self) -> float:
        """Return the time, in seconds, on the clock that the core is told."""
        return self._loop.time()

    def set_outage(self, error: WorkersUnavailable | None) -> None:
        """Let whoever waits for workers know that none will come, or that they may again."""
        self.outage = None if error is None else Failure.of(error)
        for client in self.state.clients.values():
            client.say((m.OUTAGE, self.outage))
        self._flush()  # now: when the call that ends an outage returns, the clients here know

    def set_stranded(self, judge: Judge | None) -> None:
        """Let whoever waits know that workers will come for some tasks only; None: for all."""
        self.judge = judge
        for client in self.state.clients.values():
            client.say((m.STRANDED, judge is not None))
        self._flush()

    def set_shortage(self, error: WorkersUnavailable | None) -> None:
        """Let whoever waits for more workers than there are know that no more will come."""
        self.shortage = None if error is None else Failure.of(error)
        self._wake_waiters()

    async def wait_for_change(self) -> None:
        """Wait until a worker comes or goes, or no more of them will come."""
        waiter = self._loop.create_future()
        self._changed.add(waiter)
        try:
            await waiter
        finally:
            self._changed.discard(waiter)

    def publish(self, event: WorkerEvent) -> None:
        """Tell whoever wants to know that a worker has come or gone."""
        self._wake_waiters()
        for subscriber in self._subscribers:
            subscriber(event)

    def _wake_waiters(self) -> None:
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)

    # -- turns of the loop -------------------------------------------------------------------------

    def flush_soon(self) -> None:
        """Say what is to be said, now or at the end of a turn of the loop that has said something.

        A single task is not to wait for another turn. But where many peers may speak in the same
        turn, they are answered together: each flush makes frames of its own.
        """
        if not self._flush_scheduled:
            self._flush()
            if len(self.state.workers) > FEW_WORKERS:
                self.schedule_flush()

    def schedule_flush(self) -> None:
        """Say at the end of this turn of the loop what is to be said by then."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        state = self.state
        state.settle()
        if state.placing.unfinished:
            self.schedule_flush()
        for client in list(state.clients.values()):
            if client.out or client.out_finished:
                self.connections.send(client, client.take_messages())
        talking = list(state.talking)
        state.talking.clear()
        for worker in talking:
            self.connections.send(worker, worker.take_messages())
        if self.event_log is not None:
            self.event_log.flush()

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK, self._tick)
        now = self._loop.time()
        state = self.state
        state.losses.look(now)
        state.losses.judge(now)
        known = state.draining.reasons()
        for fact in state.draining.look(now):
            logger.warning("%s", fact)
        for worker, reason in state.draining.reasons().items():
            if worker not in known:
                self.publish(WorkerDrains(WorkerInfo.of(worker), reason))
        for worker in state.losses.aside:
            self.calls.forget_worker(worker, "it does not say anything any more")
        state.placing.rebalance()
        if self.event_log is not None:
            self.event_log.look()
        self.schedule_flush()
