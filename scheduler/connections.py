"""Who is connected to a scheduler: workers, clients and job agents; how they come, speak and go.

What they say leads to what the tables in `handlers.py` say. A peer that says what cannot be loses
its connection, and nothing else happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jobqueue.comm import Comm, send
from jobqueue.errors import CommClosed, CommError, JobQueueError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import WorkerFacts, refusal
from jobqueue.protocol.messages import Message
from jobqueue.scheduler.handlers import Handlers, agent_handlers, client_handlers, worker_handlers
from jobqueue.scheduler.info import WorkerDrains, WorkerInfo, WorkerJoined, WorkerLeft
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.worker_record import WorkerRecord

if TYPE_CHECKING:
    from jobqueue.scheduler.server import Scheduler

logger = logging.getLogger("jobqueue.scheduler")

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that workers get to take in that they are to end."""

PRESENT: Final = 1.5
"""Heartbeats after which a worker that was not heard may be one that is gone."""


class AgentRecord:
    """A connected job agent: it reports how a worker ended, or looks whether anybody is here."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


Peer = WorkerRecord | ClientRecord | AgentRecord


class Connections:
    """The peers of a scheduler.

    Parameters
    ----------
    scheduler
        To whom they are connected.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._state = scheduler.state
        self._comms: dict[Peer, Comm] = {}
        self._leaving: dict[WorkerRecord, str] = {}  # workers that go in order, and why
        self._clients = 0
        self._closing = False
        self._client_handlers = client_handlers(scheduler)
        self._worker_handlers = worker_handlers(scheduler, self)
        self._agent_handlers = agent_handlers(scheduler)
        self._remove_worker = self._state.remove_worker
        self._log = log = scheduler.event_log
        if log is not None:
            self._client_handlers = log.watch(self._client_handlers)
            self._worker_handlers = log.watch(self._worker_handlers)
            self._agent_handlers = log.watch(self._agent_handlers)
            self._remove_worker = log.watch_removal(self._remove_worker)

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._comms

    # -- who comes ---------------------------------------------------------------------------------

    def refusal(self, hello: Mapping[str, Any]) -> str | None:
        """Return why this peer is not to come in, or None if it may."""
        reason = refusal(hello)
        if reason is not None or hello.get("role") != "worker":
            return reason
        new = WorkerFacts.from_hello(hello)
        worker = self._state.workers.get(new.name)
        old = None if worker is None else worker.facts
        if worker is None or old is None or old.origin == new.origin:
            return None
        silence = self._scheduler.time() - worker.seen
        if silence > PRESENT * self._state.losses.heartbeat:
            return None
        return (
            f"a worker on {old.host or 'this machine'} (process {old.pid}) is connected under the "
            f"name {new.name!r}: give this one another name"
        )

    def accept(self, comm: Comm) -> None:
        """Take in a peer that has proved itself."""
        role = comm.peer["role"]
        if role == "worker":
            self._accept_worker(comm)
        elif role == "agent":
            self._accept_agent(comm)
        else:
            self._accept_client(comm)  # a "task", too: a client inside of one
        self._scheduler.schedule_flush()

    def _accept_worker(self, comm: Comm) -> None:
        facts = WorkerFacts.from_hello(comm.peer)
        old = self._state.workers.get(facts.name)
        if old is not None:
            self.drop_worker(old, "it connected anew")
        worker = WorkerRecord(
            facts.name,
            facts.nthreads,
            addresses=facts.addresses,
            job_id=facts.job_id,
            facts=facts,
        )
        self._comms[worker] = comm
        self._state.add_worker(worker, self._scheduler.time())
        worker.say((m.BEAT, self._state.losses.heartbeat))
        worker.say((m.IMPORT_FROM, program_folders()))
        comm.start(
            partial(self._on_messages, worker, self._worker_handlers),
            partial(self._on_worker_closed, worker),
        )
        logger.info("worker joined name=%s from=%s", worker.name, comm.peer_address)
        self._scheduler.publish(WorkerJoined(WorkerInfo.of(worker)))

    def _accept_client(self, comm: Comm) -> None:
        client = ClientRecord(str(comm.peer.get("name", "client")), self._clients)
        client.name = f"{client.name}-{self._clients}"
        self._clients += 1
        self._comms[client] = comm
        self._state.add_client(client)
        if self._log is not None:
            self._log.write("client-joined", client=client.name, address=comm.peer_address)
        if self._scheduler.outage is not None:
            client.say((m.OUTAGE, self._scheduler.outage))
        if self._scheduler.judge is not None:
            client.say((m.STRANDED, True))
        comm.start(
            partial(self._on_messages, client, self._client_handlers),
            partial(self._on_client_closed, client),
        )

    def _accept_agent(self, comm: Comm) -> None:
        agent = AgentRecord(f"agent at {comm.peer_address}")
        self._comms[agent] = comm
        comm.start(
            partial(self._on_messages, agent, self._agent_handlers),
            partial(self._on_agent_closed, agent),
        )

    # -- who speaks --------------------------------------------------------------------------------

    def _on_messages(self, peer: Peer, handlers: Handlers, messages: Sequence[Message]) -> None:
        if peer not in self._comms:
            return
        if isinstance(peer, WorkerRecord):
            self._state.heard(peer, self._scheduler.time())
        message: Message = ()
        try:
            for message in messages:
                handlers[message[0]](peer, *message[1:])
        except Exception as error:
            # A bug, there or here, or another version.
            said = f"{message!r:.100}"
            logger.warning("connection ended peer=%s said=%s error=%r", peer.name, said, error)
            logger.debug("at length:", exc_info=True)
            self._comms[peer].abort(CommClosed(f"it said {said}, which cannot be: {error!r:.200}"))
        self._scheduler.flush_soon()

    # -- who goes ----------------------------------------------------------------------------------

    def _on_agent_closed(self, agent: AgentRecord, reason: CommError) -> None:
        del self._comms[agent]

    def _on_client_closed(self, client: ClientRecord, reason: CommError) -> None:
        del self._comms[client]
        if self._log is not None:
            self._log.write("client-left", client=client.name, cause=str(reason))
        self._state.remove_client(client)
        self._scheduler.calls.forget_client(client)
        self._scheduler.questions.forget_client(client)
        self._scheduler.schedule_flush()

    def _on_worker_closed(self, worker: WorkerRecord, reason: CommError) -> None:
        if worker not in self._comms:
            return
        del self._comms[worker]
        said = self._leaving.pop(worker, None)
        if said is None:
            said = self._state.draining.excuse(worker, self._scheduler.time())
        info = WorkerInfo.of(worker)
        cause = said or f"its connection ended: {reason}"
        self._remove_worker(worker, cause=cause, charge=said is None)
        self._scheduler.calls.forget_worker(worker, cause)
        level = logging.INFO if said else logging.WARNING
        if not self._closing:
            logger.log(level, "worker left name=%s cause=%s", worker.name, cause)
        self._scheduler.publish(WorkerLeft(info, cause, expected=said is not None))
        self._scheduler.schedule_flush()

    def worker_leaves(self, worker: WorkerRecord, reason: str) -> None:
        """Take over what is only at a worker that says it ends: its job has some seconds left."""
        self._leaving[worker] = reason
        self._state.transfers.retire(worker)

    def worker_drains(
        self, worker: WorkerRecord, reason: str, seconds: float, ran: Mapping[str, float]
    ) -> None:
        """Save what is at a worker whose job ends in so many seconds."""
        logger.info("worker drains name=%s reason=%s seconds=%.0f", worker.name, reason, seconds)
        self._state.draining.begin(worker, reason, seconds, ran)
        self._scheduler.publish(WorkerDrains(WorkerInfo.of(worker), reason))

    def expect_end(self, worker: WorkerRecord, reason: str) -> None:
        """Note that a worker was told to end, so that nothing is to blame when it does."""
        self._leaving[worker] = reason

    def drop_worker(self, worker: WorkerRecord, cause: str) -> None:
        """Part with a worker now, and without blaming what it runs."""
        comm = self._comms[worker]
        comm.send([(m.END, cause)])
        self._leaving[worker] = cause
        self._on_worker_closed(worker, CommError(cause))
        comm.close()

    async def close(self) -> None:
        """Tell workers to end and clients that nothing more will come."""
        self._closing = True
        comms = list(self._comms.items())
        for peer, comm in comms:
            if isinstance(peer, WorkerRecord):
                self._leaving[peer] = "the scheduler closes"
                comm.send([(m.END, "the scheduler closes")])
            elif isinstance(peer, ClientRecord):
                comm.send([(m.END, "the cluster was closed")])
            comm.close()
        closing = [asyncio.create_task(comm.wait_closed()) for _, comm in comms]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            for _, comm in comms:
                comm.abort()
            if late:
                await asyncio.wait(late)

    # -- who is spoken to --------------------------------------------------------------------------

    def send(self, peer: WorkerRecord | ClientRecord, messages: list[Message]) -> None:
        """Send what stood in a peer's outbox; nothing if it is gone."""
        comm = self._comms.get(peer)
        if comm is not None:
            if self._log is not None:
                self._log.sent(peer, messages)
            send(comm, messages, partial(self._undeliverable, peer))

    def _undeliverable(
        self, peer: WorkerRecord | ClientRecord, message: Message, error: JobQueueError
    ) -> None:
        """Let those who wait for what cannot be sent know that it will not come."""
        logger.warning("cannot be sent message=%s to=%s error=%s", message[0], peer.name, error)
        failure = Failure.of(error.with_traceback(None))
        if isinstance(peer, WorkerRecord):
            if message[0] == m.RUN:
                self._state.failed(peer, [(message[1][0][0], failure, 0.0)])
                self._scheduler.schedule_flush()
        elif message[0] == m.FETCHED:
            self.send(peer, [(m.FETCH_FAILED, message[1], failure)])
        elif message[0] in (m.ANSWER, m.CALLED):
            self.send(peer, [(m.REFUSED, message[1], failure)])


def program_folders() -> list[str]:
    """Return where this program's own modules are: the script's folder, or the current one.

    Jobs start elsewhere (PBS's in the home folder), and functions of such modules travel by name.
    """
    return [os.path.abspath(sys.path[0])] if sys.path else []
