"""One worker: its life, from the first connection to a scheduler to its end, and what tasks see.

It is put together here; each part has a file of its own. What it does with what it is told stands
in `jobqueue.worker.duties`.

It lives in whichever event loop it is made in: alone in a process of its own, or as one of several
in a user's program.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import Any

from jobqueue.comm import Comm, Credentials
from jobqueue.errors import CommError
from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message
from jobqueue.worker.board import Board
from jobqueue.worker.clients import TaskClients
from jobqueue.worker.devices import Devices
from jobqueue.worker.duties import Duties
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.facts import Facts
from jobqueue.worker.heartbeat import Heartbeat
from jobqueue.worker.link import Link
from jobqueue.worker.memory import Monitor, Pressure, Usage, make_store
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.parting import Parting
from jobqueue.worker.peers import PeerServer, peer_addresses
from jobqueue.worker.search import Search

logger = logging.getLogger("jobqueue.worker")


class Worker(Facts):
    """Runs tasks that a scheduler gives it. Tasks see it as their `Host`.

    Parameters
    ----------
    options
        Its name, its threads, where its scheduler is.
    data
        Where results are kept; by default in memory, and on disk if that runs short.
    credentials
        What it proves itself with, instead of what lies in the options' folder.
    on_connected
        Called when it has found its scheduler, each time.
    tried
        Set when its first try to connect is over, well or not.
    shares_process
        Whether other things live in its process. Then `run` goes on after a restart, and waits a
        little for tasks that do not want to end; the owner of a whole process ends that instead.

    Attributes
    ----------
    clients
        What its tasks need for talking to the scheduler; all of it is closed with the connection.
    search
        How it looks for its scheduler.
    drain
        Begins to end, see `Parting.drain`.
    devices
        Its devices; what a task has of them tells `jobqueue.devices`.

    Examples
    --------
    >>> async def serve(options):
    ...     return await Worker(options).run()
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        data: MutableMapping[str, Any] | None = None,
        credentials: Credentials | None = None,
        on_connected: Callable[[], object] | None = None,
        tried: asyncio.Event | None = None,
        shares_process: bool = False,
    ) -> None:
        self._shares_process = shares_process
        self._on_connected = on_connected
        if credentials is None and options.credentials is not None:
            credentials = Credentials.load(options.credentials)
        self._credentials = credentials
        store = make_store(options, data)
        super().__init__(options, store, PeerServer(store, self._credentials))
        self._usage = Usage(store)
        self._link = Link()
        self._clients = TaskClients(self._link)
        self.clients: dict[str, Any] = self._clients
        self._heartbeat = Heartbeat(
            self._link,
            self._usage.numbers,
            addresses=options.addresses,
            credentials=credentials,
        )
        devices = Devices(options.devices, shown=options.nthreads == 1 and not shares_process)
        self.devices = devices.names
        self._duties = Duties(
            self,
            options.nthreads,
            self._store,
            board=Board(options.board),
            credentials=self._credentials,
            link=self._link,
            devices=devices,
            on_stuck=self._on_stuck,
        )
        self._monitor = self._make_monitor()
        self._parting = Parting(self._link, self._end, self._duties.executor.ran)
        self.drain = self._parting.drain
        self._ended = asyncio.Event()  # told to end, or to start again
        self._lost = asyncio.Event()  # the connection to the scheduler is gone
        self._end_reason = ""
        self._code = ExitCode.TOLD_TO_END
        self.search = Search(options, credentials, ended=self._ended, tried=tried)
        self._handlers: dict[str, Callable[..., None]] = {
            **self._duties.handlers,
            m.HEARTBEAT: self._heartbeat.answered,
            m.BEAT: self._heartbeat.every,
            m.RESTART: self._restart,
            m.END: self._end,
        }

    def _make_monitor(self) -> Monitor | None:
        limit = self.options.memory_limit
        if limit is None:
            return None
        return Monitor(
            self._store,
            Pressure(limit, self.options.memory_fractions),
            on_change=self._on_memory,
            idle=lambda: self._duties.expendable,
            on_hopeless=None
            if self._shares_process
            else partial(self.leave, then=ExitCode.RESTART),
        )

    @property
    def idle(self) -> bool:
        """Whether it has nothing to run."""
        return self._duties.idle

    # -- as its tasks see it -----------------------------------------------------------------------

    @property
    def scheduler_addresses(self) -> Sequence[str]:
        """Where the scheduler is, the one that is connected first."""
        addresses = self.options.addresses
        comm = self._link.comm
        if comm is None or comm.peer_address not in addresses:
            return addresses
        return (comm.peer_address, *(a for a in addresses if a != comm.peer_address))

    @property
    def credentials(self) -> Credentials | None:
        """What proves that it belongs to its cluster."""
        return self._credentials

    def secede(self) -> None:
        """See `Host.secede`."""
        key = self._duties.executor.secede()
        if key is not None:
            self._link.in_loop(self._link.send, [(m.SECEDED, key)])

    def rejoin(self) -> None:
        """See `Host.rejoin`."""
        key = self._duties.executor.rejoin()
        if key is not None:
            self._link.in_loop(self._link.send, [(m.REJOINED, key)])

    def keep_actor(self, key: str, instance: object) -> None:
        """See `Host.keep_actor`."""
        if self._duties.executor.keep_here():
            self._duties.calls.keep_actor(key, instance)

    # -- life --------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Work until told to end, or until there was no scheduler for the death timeout.

        Returns
        -------
        ExitCode
            Why it ended. The reason in words is logged.
        """
        await self._server.start(*peer_addresses(self.options))
        self._heartbeat.start()
        beside = []
        if self._monitor is not None:
            beside.append(asyncio.create_task(self._monitor.run()))
        try:
            while True:
                code = await self._work()
                if code is not ExitCode.RESTART or not self._shares_process:
                    return code
                await self._part()
                self._forget()
                self._begin_anew()
        finally:
            for task in beside:
                task.cancel()
            self._heartbeat.stop()
            self._ended.set()
            await self._close()

    async def _work(self) -> ExitCode:
        """Work for whichever scheduler is there; return why to end, or to start again."""
        while not self._ended.is_set():
            found = await self.search.find(self._server.addresses)
            if isinstance(found, ExitCode):
                return found
            if found is not None:
                await self._serve(found)
        logger.info("worker ends name=%s cause=%s", self.options.name, self._end_reason)
        return self._code

    async def _part(self) -> None:
        """End the connection to the scheduler in order."""
        comm, self._link.comm = self._link.comm, None
        if comm is not None:
            comm.close()
            await asyncio.wait([asyncio.create_task(comm.wait_closed())], timeout=1.0)

    def _begin_anew(self) -> None:
        self._ended.clear()
        self._end_reason, self._code = "", ExitCode.TOLD_TO_END
        self._parting.clear()

    async def _close(self) -> None:
        self._duties.close()
        self._server.close()
        await self._part()
        await self._clients.close()
        if self._shares_process and not await self._duties.wait_ended():
            logger.warning("worker ends name=%s although a task of it does not", self.name)
        await asyncio.to_thread(self._store.close)

    async def _serve(self, comm: Comm) -> None:
        """Work for a scheduler until the connection, or this worker, ends."""
        self._lost.clear()
        logger.info("worker connected name=%s to=%s", self.options.name, comm.peer_address)
        self._link.attach(comm, self._on_messages, self._on_closed)
        if self._on_connected is not None:
            self._on_connected()
        if self._monitor is not None and self._monitor.reason is not None:
            self._on_memory(self._monitor.reason)
        self._link.say((m.HEARTBEAT, self._usage.numbers()))
        await self._first_of(self._lost, self._ended)

    @staticmethod
    async def _first_of(*events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _on_memory(self, reason: str | None) -> None:
        """Begin no tasks for lack of memory, or begin them again."""
        if reason is None:
            self._duties.executor.resume()
        else:
            self._duties.executor.pause()
        self._link.say((m.PAUSED, reason))

    def leave(self, cause: str, then: ExitCode = ExitCode.TOLD_TO_END) -> None:
        """End, see `Parting.leave`; or begin anew then, with `ExitCode.RESTART`."""
        self._code = then
        self._parting.leave(cause)

    def _on_stuck(self, key: str) -> None:
        self.leave(f"task {key!r} was cancelled and does not end", ExitCode.RESTART)

    # -- messages ----------------------------------------------------------------------------------

    def _on_messages(self, messages: Sequence[Message]) -> None:
        handlers = self._handlers
        for message in messages:
            handlers[message[0]](*message[1:])

    def _on_closed(self, reason: CommError) -> None:
        how = f"the connection ended: {reason}"
        self.search.lost(how)
        self._link.comm = None
        self._lost.set()
        if self._ended.is_set():
            return
        logger.warning("scheduler lost name=%s reason=%s", self.options.name, reason)
        self._forget()
        self._parting.lost(how)

    def _forget(self) -> None:
        """Drop everything that the scheduler has brought about."""
        self._duties.forget()
        self._clients.close_soon()

    def _restart(self, reason: str) -> None:
        self._code = ExitCode.RESTART
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason
        self._ended.set()
