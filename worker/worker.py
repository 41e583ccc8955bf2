"""One worker: its connection to the scheduler, and what it does with what it is told."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from jobqueue.comm import (
    Comm,
    Credentials,
    connect_any,
    interface_address,
    parse_address,
)
from jobqueue.errors import AuthenticationFailed, CommError, HandshakeRefused
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.worker.executor import Executor
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.intake import Intake
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.peers import Answer, Peers, PeerServer, answer_message, serialized_from
from jobqueue.worker.store import Store

logger = logging.getLogger("jobqueue.worker")

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for one try to reach the scheduler."""

RETRY: Final = 0.5
"""Seconds between two tries."""

DRAIN: Final = 8.0
"""Seconds to hand over results after SIGTERM; the agent waits a little longer before it kills."""


class Worker:
    """Runs tasks that a scheduler gives it.

    Parameters
    ----------
    options
        What the agent said.
    data
        Where results are kept; a dict by default.

    Examples
    --------
    >>> async def serve(options):
    ...     return await Worker(options).run()
    """

    def __init__(
        self, options: WorkerOptions, *, data: MutableMapping[str, Any] | None = None
    ) -> None:
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._credentials = (
            Credentials.load(options.credentials) if options.credentials is not None else None
        )
        self._store = Store({} if data is None else data)
        self._executor = Executor(
            options.nthreads,
            self._store,
            where=options.name,
            wake=lambda: self._loop.call_soon_threadsafe(self._send_results),
        )
        self._relays: dict[str, asyncio.Future[Answer]] = {}
        self._peers = Peers(self._credentials, self._relay)
        self._server = PeerServer(self._store, self._credentials)
        self._intake = Intake(self._executor, self._store, self._peers, self._say)
        self._answering: set[asyncio.Task[None]] = set()
        self._comm: Comm | None = None
        self._outbox: list[Message] = []
        self._ended = asyncio.Event()  # told to end
        self._lost = asyncio.Event()  # the connection to the scheduler is gone
        self._end_reason = ""
        self._parted = "it was never reached"  # how contact with the scheduler ended
        self._last_error = ""  # of the last attempt to connect since then
        self._handlers: dict[str, Callable[..., None]] = {
            m.RUN: self._intake.run,
            m.FUNCTIONS: self._add_functions,
            m.FREE: self._free,
            m.CANCEL: self._cancel,
            m.RECALL: self._recall,
            m.SEND: self._send,
            m.STORE: self._keep,
            m.COPY: self._intake.copy,
            m.RELAYED: self._relayed,
            m.INLINE_LIMIT: self._set_inline_limit,
            m.HEARTBEAT: lambda numbers: None,
            m.IMPORT_FROM: import_from,
            m.END: self._end,
        }

    @property
    def idle(self) -> bool:
        """Whether it has nothing to run."""
        return self._executor.idle and self._intake.idle

    # -- life --------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Work until told to end, or until there was no scheduler for the death timeout.

        Returns
        -------
        ExitCode
            Why it ended. The reason in words is logged.
        """
        options = self.options
        await self._server.start(peer_address(options))
        heartbeat = asyncio.create_task(self._beat())
        alone_since = self._loop.time()
        try:
            while not self._ended.is_set():
                left = alone_since + options.death_timeout - self._loop.time()
                if left <= 0:
                    logger.error(
                        "worker ends name=%s cause=no scheduler for %g s; %s; %s",
                        options.name,
                        options.death_timeout,
                        self._parted,
                        self._last_error,
                    )
                    return ExitCode.NO_SCHEDULER
                try:
                    comm = await self._connect(left)
                except (AuthenticationFailed, HandshakeRefused) as error:
                    logger.error("worker ends name=%s cause=refused: %s", options.name, error)
                    return ExitCode.REFUSED
                except CommError as error:
                    self._last_error = str(error)
                    await self._pause(RETRY)
                    continue
                await self._serve(comm)
                alone_since = self._loop.time()
            logger.info("worker ends name=%s cause=%s", options.name, self._end_reason)
            return ExitCode.TOLD_TO_END
        finally:
            heartbeat.cancel()
            self._executor.close()
            self._peers.close()
            self._server.close()
            if self._comm is not None:
                self._comm.close()
                await asyncio.wait([asyncio.create_task(self._comm.wait_closed())], timeout=1.0)

    async def _connect(self, left: float) -> Comm:
        options = self.options
        facts = WorkerFacts(
            name=options.name,
            nthreads=options.nthreads,
            addresses=self._server.addresses,
            memory_limit=options.memory_limit,
            job_id=options.job_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            resources=options.resources,
        )
        return await connect_any(
            options.addresses,
            hello=facts.to_hello(),
            credentials=self._credentials,
            timeout=min(CONNECT_TIMEOUT, max(left, RETRY)),
        )

    async def _serve(self, comm: Comm) -> None:
        """Work for a scheduler until the connection, or this worker, ends."""
        self._lost.clear()
        self._comm = comm
        logger.info("worker connected name=%s to=%s", self.options.name, comm.peer_address)
        comm.start(self._on_messages, self._on_closed)
        await self._first_of(self._lost, self._ended)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless told to end."""
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return

    @staticmethod
    async def _first_of(*events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            self._say((m.HEARTBEAT, {"results": len(self._store)}))

    def drain(self, cause: str) -> None:
        """Ask the scheduler to take over what is only here, then end; at the latest in `DRAIN` s.

        Parameters
        ----------
        cause
            Why, for messages.
        """
        self._say((m.LEAVING, cause))
        if self._comm is None or self._comm.closed:
            self._end(cause)
        else:
            self._loop.call_later(DRAIN, self._end, f"{cause}; not drained within {DRAIN:g} s")

    # -- messages ----------------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        """Say something to the scheduler, together with all else of this turn of the loop."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(message)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if self._comm is not None and outbox:
            self._comm.send(outbox)

    def _send_results(self) -> None:
        done, failed, gone = self._executor.take_results()
        if self._comm is None:  # what ends while there is no scheduler, nobody will ask for
            for key, *_ in done:
                self._store.discard(key)
            return
        messages: list[Message] = []
        if done:
            messages.append((m.DONE, done))
        if failed:
            messages.append((m.FAILED, failed))
        messages.extend((m.INPUT_GONE, key, source) for key, source in gone)
        if messages:
            self._comm.send(messages)

    def _on_messages(self, messages: Sequence[Message]) -> None:
        handlers = self._handlers
        for message in messages:
            handlers[message[0]](*message[1:])

    def _on_closed(self, reason: CommError) -> None:
        self._parted, self._last_error = f"the connection ended: {reason}", ""
        self._comm = None
        self._lost.set()
        if self._ended.is_set():
            return
        # Whatever it asked for will be done by others; a scheduler that comes back knows nothing
        # of what is here.
        logger.warning("scheduler lost name=%s reason=%s", self.options.name, reason)
        self._intake.clear()
        self._store.clear()
        for relay in self._relays.values():
            relay.cancel()
        self._relays.clear()
        self._outbox.clear()

    def _add_functions(self, functions: Iterable[tuple[bytes, str, bytes]]) -> None:
        for fid, name, pickle in functions:
            self._executor.add_function(fid, name, pickle)

    def _free(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._store.discard(key)
            self._intake.freed(key)

    def _cancel(self, force: bool, keys: Iterable[str]) -> None:
        for key in keys:
            self._intake.withdraw(key)

    def _recall(self, keys: Iterable[str]) -> None:
        self._say((m.RETURNED, [key for key in keys if self._intake.withdraw(key)]))

    def _send(self, number: int, key: str) -> None:
        task = asyncio.create_task(self._answer(number, key))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, number: int, key: str) -> None:
        self._say(answer_message(number, await serialized_from(self._store, key)))

    def _keep(self, items: Iterable[tuple[str, Serialized]]) -> None:
        for key, value in items:
            self._store.put_serialized(key, value)
            self._say((m.COPIED, [key], []))

    def _relay(self, key: str) -> asyncio.Future[Answer]:
        waiting = self._relays.get(key)
        if waiting is None:
            waiting = self._relays[key] = self._loop.create_future()
            self._say((m.RELAY, key))
        return waiting

    def _relayed(self, key: str, value: Serialized | None, failure: Any) -> None:
        waiting = self._relays.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(Failure(*failure) if failure else value)

    def _set_inline_limit(self, limit: int) -> None:
        self._executor.inline_limit = limit

    def _end(self, reason: str) -> None:
        self._end_reason = self._end_reason or reason
        self._ended.set()


def import_from(folders: Iterable[str]) -> None:
    """Have modules looked for in these folders, too, after all others."""
    sys.path.extend(f for f in folders if f not in sys.path and os.path.isdir(f))


def peer_address(options: WorkerOptions) -> str:
    """Return where a worker listens for others: by the same transport as its scheduler.

    Raises
    ------
    ConfigError
        The interface does not exist.
    """
    scheduler = parse_address(options.addresses[0])
    if scheduler.scheme == "unix":
        name = f"{options.slot}-{os.getpid()}.peer"
        return f"unix://{PurePosixPath(scheduler.path).with_name(name)}"
    host = interface_address(options.interface) if options.interface else "0.0.0.0"
    return f"{scheduler.scheme}://{f'[{host}]' if ':' in host else host}:0"
