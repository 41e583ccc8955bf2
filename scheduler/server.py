"""The scheduler as users and clusters meet it: the core, its connections and its clock.

All decisions are the core's (`state.py`). This shell accepts connections, hands what peers say to
the core, and once per turn of the event loop sends what stands in the outboxes, one frame a peer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from jobqueue.comm import Comm, Credentials, Listener, contact_addresses, listen
from jobqueue.errors import CommError, FrameError, WorkersUnavailable
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON, WorkerFacts, refusal
from jobqueue.protocol.messages import Message
from jobqueue.scheduler.info import WorkerEvent, WorkerInfo, WorkerJoined, WorkerLeft
from jobqueue.scheduler.records import ASSIGNED, ClientRecord, WorkerRecord
from jobqueue.scheduler.state import ALLOWED_FAILURES, SchedulerState

logger = logging.getLogger("jobqueue.scheduler")

TICK: Final = 1.0
"""Seconds between looks at the clock."""

WORKER_TTL: Final = 3600.0
"""Seconds of silence after which a worker is given up. The connection itself notices a dead node
or a cut network within half a minute. This is for processes that hang, and must be longer than any
task that holds the interpreter's lock all the while (a long call into C or Fortran): such a worker
is silent, but well."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that workers get to take in that they are to end."""


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
    allowed_failures
        Workers that may die under a task before it fails.
    worker_ttl
        Seconds of silence after which a worker is given up.

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
        allowed_failures: int = ALLOWED_FAILURES,
        worker_ttl: float = WORKER_TTL,
    ) -> None:
        self.name = name
        self.credentials = credentials
        self.state = SchedulerState(allowed_failures=allowed_failures)
        self.addresses: tuple[str, ...] = ()
        self.local_address = ""
        self.describe_supply: Callable[[], str] = lambda: ""
        self._listen_on = tuple(listen)
        self._worker_ttl = worker_ttl
        self._listeners: list[Listener] = []
        self._comms: dict[WorkerRecord | ClientRecord, Comm] = {}
        self._leaving: dict[WorkerRecord, str] = {}
        self._subscribers: list[Callable[[WorkerEvent], None]] = []
        self._outage: Failure | None = None
        self._shortage: Failure | None = None
        self._clients = 0
        self._flush_scheduled = False
        self._ticker: asyncio.TimerHandle | None = None
        self._worker_waits: list[tuple[int, ClientRecord, int]] = []
        self._changed: set[asyncio.Future[None]] = set()  # woken when workers come or go
        self._closed = False
        state, transfers = self.state, self.state.transfers
        self._client_handlers: dict[str, Callable[..., None]] = {
            m.FUNCTIONS: lambda client, functions: state.add_functions(functions),
            m.SUBMIT: state.submit,
            m.SCATTER: state.scatter,
            m.RELEASE: state.release,
            m.CANCEL: state.cancel,
            m.FETCH: transfers.fetch,
            m.ASK: self._answer,
        }
        self._worker_handlers: dict[str, Callable[..., None]] = {
            m.DONE: state.done,
            m.FAILED: state.failed,
            m.RETURNED: state.returned,
            m.INPUT_GONE: state.input_gone,
            m.COPIED: state.copied,
            m.RELAY: transfers.relay,
            m.DATA: transfers.data,
            m.NO_DATA: lambda worker, number, failure: transfers.no_data(
                worker, number, Failure(*failure) if failure else None
            ),
            m.LEAVING: self._worker_leaves,
            m.HEARTBEAT: self._heartbeat,
        }

    # -- life --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        CommError
            An address is taken, or not this machine's.
        """
        self._loop = asyncio.get_running_loop()
        addresses: list[str] = []
        for address in ("memory://", *self._listen_on):
            listener = await listen(
                address,
                hello={"role": "scheduler", "name": self.name, "python": PYTHON},
                credentials=self.credentials,
                on_comm=self._on_comm,
                admit=refusal,
            )
            self._listeners.append(listener)
            if address == "memory://":
                self.local_address = listener.address
            else:
                addresses.extend(contact_addresses(listener.address))
        self.addresses = tuple(addresses)
        self._ticker = self._loop.call_later(TICK, self._tick)
        logger.info("scheduler started name=%s addresses=%s", self.name, ",".join(self.addresses))

    async def close(self) -> None:
        """Tell workers to end and clients that nothing more will come; then stop listening."""
        if self._closed:
            return
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        for listener in self._listeners:
            listener.close()
        comms = list(self._comms.items())
        for peer, comm in comms:
            if isinstance(peer, WorkerRecord):
                self._leaving[peer] = "the scheduler closes"
                comm.send([(m.END, "the scheduler closes")])
            comm.close()
        closing = [asyncio.create_task(comm.wait_closed()) for _, comm in comms]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            for _, comm in comms:
                comm.abort()
            if late:
                await asyncio.wait(late)
        for listener in self._listeners:
            await listener.wait_closed()
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
        self._schedule_flush()
        end = self._loop.time() + timeout
        while any(worker in self._comms for worker in workers) and not self._closed:
            if not await self._wait_for_change(end - self._loop.time()):
                for worker in workers:
                    if worker in self._comms:
                        self._drop_worker(worker, f"did not retire within {timeout:g} s")
                return

    def set_outage(self, error: WorkersUnavailable | None) -> None:
        """Let whoever waits for workers know that none will come, or that they may again."""
        self._outage = None if error is None else Failure.of(error)
        for client in self.state.clients.values():
            client.say((m.OUTAGE, self._outage))
        self._flush()  # now: when the call that ends an outage returns, the clients here know

    def set_shortage(self, error: WorkersUnavailable | None) -> None:
        """Let whoever waits for more workers than there are know that no more will come."""
        self._shortage = None if error is None else Failure.of(error)
        self._answer_worker_waits()
        self._schedule_flush()

    async def _wait_for_change(self, timeout: float) -> bool:  # noqa: ASYNC109
        waiter = self._loop.create_future()
        self._changed.add(waiter)
        try:
            await asyncio.wait_for(waiter, max(0.0, timeout))
        except TimeoutError:
            return False
        finally:
            self._changed.discard(waiter)
        return True

    # -- connections -------------------------------------------------------------------------------

    def _on_comm(self, comm: Comm) -> None:
        role = comm.peer["role"]
        if role == "worker":
            self._on_worker(comm)
        elif role == "client":
            self._on_client(comm)
        else:
            comm.close()

    def _on_worker(self, comm: Comm) -> None:
        facts = WorkerFacts.from_hello(comm.peer)
        old = self.state.workers.get(facts.name)
        if old is not None:
            self._drop_worker(old, "it connected anew")
        worker = WorkerRecord(
            facts.name,
            facts.nthreads,
            addresses=facts.addresses,
            job_id=facts.job_id,
            facts=facts,
        )
        self._comms[worker] = comm
        self.state.add_worker(worker, self._loop.time())
        worker.say((m.IMPORT_FROM, program_folders()))
        comm.start(
            partial(self._on_messages, worker, self._worker_handlers),
            partial(self._on_worker_closed, worker),
        )
        logger.info("worker joined name=%s from=%s", worker.name, comm.peer_address)
        self._publish(WorkerJoined(WorkerInfo.of(worker)))
        self._schedule_flush()

    def _on_client(self, comm: Comm) -> None:
        client = ClientRecord(str(comm.peer.get("name", "client")), self._clients)
        client.name = f"{client.name}-{self._clients}"
        self._clients += 1
        self._comms[client] = comm
        self.state.add_client(client)
        if self._outage is not None:
            client.say((m.OUTAGE, self._outage))
        comm.start(
            partial(self._on_messages, client, self._client_handlers),
            partial(self._on_client_closed, client),
        )
        self._schedule_flush()

    def _on_messages(
        self,
        peer: WorkerRecord | ClientRecord,
        handlers: dict[str, Callable[..., None]],
        messages: Sequence[Message],
    ) -> None:
        if peer not in self._comms:
            return
        if isinstance(peer, WorkerRecord):
            peer.seen = self._loop.time()
        for message in messages:
            handlers[message[0]](peer, *message[1:])
        self._schedule_flush()

    def _on_client_closed(self, client: ClientRecord, reason: CommError) -> None:
        self._comms.pop(client, None)
        self.state.remove_client(client)
        self._worker_waits = [wait for wait in self._worker_waits if wait[1] is not client]
        self._schedule_flush()

    def _on_worker_closed(self, worker: WorkerRecord, reason: CommError) -> None:
        if worker not in self._comms:
            return
        del self._comms[worker]
        said = self._leaving.pop(worker, None)
        if said is None and worker.retiring:
            said = "retired"
        info = WorkerInfo.of(worker)
        cause = said or f"its connection ended: {reason}"
        self.state.remove_worker(worker, cause=cause, charge=said is None)
        level = logging.INFO if said else logging.WARNING
        if not self._closed:
            logger.log(level, "worker left name=%s cause=%s", worker.name, cause)
        self._publish(WorkerLeft(info, cause, expected=said is not None))
        self._schedule_flush()

    def _drop_worker(self, worker: WorkerRecord, cause: str) -> None:
        """Part with a worker now, and without blaming what it runs."""
        comm = self._comms[worker]
        comm.send([(m.END, cause)])
        self._leaving[worker] = cause
        self._on_worker_closed(worker, CommError(cause))
        comm.close()

    def _worker_leaves(self, worker: WorkerRecord, reason: str) -> None:
        """Take over what is only there: its job has some seconds left."""
        self._leaving[worker] = reason
        self.state.transfers.retire(worker)

    def _heartbeat(self, worker: WorkerRecord, numbers: dict[str, Any]) -> None:
        worker.say((m.HEARTBEAT, {}))

    def _publish(self, event: WorkerEvent) -> None:
        for waiter in self._changed:
            if not waiter.done():
                waiter.set_result(None)
        self._answer_worker_waits()
        for subscriber in self._subscribers:
            subscriber(event)

    # -- questions ---------------------------------------------------------------------------------

    def _answer(self, client: ClientRecord, number: int, question: str, arguments: Any) -> None:
        if question == "wait-for-workers":
            self._worker_waits.append((int(arguments), client, number))
            self._answer_worker_waits()
        elif question == "situation":
            client.say((m.ANSWER, number, self._situation()))
        elif question == "workers":
            names = {w.name: w.nthreads for w in self.state.workers.values()}
            client.say((m.ANSWER, number, names))
        else:
            client.say((m.ANSWER, number, None))

    def _answer_worker_waits(self) -> None:
        connected = sum(not worker.retiring for worker in self.state.workers.values())
        for wait in list(self._worker_waits):
            count, client, number = wait
            if count <= connected or self._shortage is not None:
                self._worker_waits.remove(wait)
                failure = None if count <= connected else self._shortage
                client.say((m.ANSWER, number, failure))

    def _situation(self) -> dict[str, Any]:
        """Say what those who wait are waiting for."""
        workers = self.state.workers.values()
        threads = sum(worker.nthreads for worker in workers)
        counts = self.task_counts()
        tasks = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        parts = [f"{len(workers)} workers with {threads} threads", f"tasks: {tasks or 'none'}"]
        if supply := self.describe_supply():
            parts.append(supply)
        running = counts.get(ASSIGNED, 0)
        return {"workers": len(workers), "running": running, "text": "; ".join(parts)}

    # -- turns of the loop -------------------------------------------------------------------------

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        state = self.state
        state.settle()
        for client in list(state.clients.values()):
            if client.out or client.out_finished:
                send(self._comms[client], client.take_messages())
        talking = list(state.talking)
        state.talking.clear()
        for worker in talking:
            comm = self._comms.get(worker)
            if comm is not None:
                send(comm, worker.take_messages())

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(TICK, self._tick)
        now = self._loop.time()
        for worker in list(self.state.workers.values()):
            if now - worker.seen > self._worker_ttl:
                self._drop_worker(worker, f"silent for {self._worker_ttl:g} s")
        self.state.rebalance()
        self._schedule_flush()


def program_folders() -> list[str]:
    """Return where this program's own modules are: the script's folder, or the current one.

    Jobs start elsewhere (PBS's in the home folder), and functions of such modules travel by name.
    """
    return [os.path.abspath(sys.path[0])] if sys.path else []


def send(comm: Comm, messages: list[Message]) -> None:
    """Send messages as one frame, or as several where one would be too large."""
    try:
        comm.send(messages)
    except FrameError:
        if len(messages) > 1:
            half = len(messages) // 2
            send(comm, messages[:half])
            send(comm, messages[half:])
            return
        operation, *fields = messages[0]
        items = fields[-1] if fields else None
        if not isinstance(items, list) or len(items) < 2:
            raise
        half = len(items) // 2
        send(comm, [(operation, *fields[:-1], items[:half])])
        send(comm, [(operation, *fields[:-1], items[half:])])
