"""How a worker gets results from other workers, and sends them its own.

Connections to peers are opened when first needed and kept. Each holder of a result is tried; where
none can be reached, the scheduler passes the result on. Networks in which nodes do not reach each
other are common, so a peer that was not reached is waited for once only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import PurePosixPath

from jobqueue.comm import (
    Comm,
    Credentials,
    Listener,
    connect_any,
    contact_addresses,
    interface_address,
    listen,
    parse_address,
)
from jobqueue.errors import CommClosed, CommError, JobQueueError, SerializationError, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.hello import PYTHON
from jobqueue.protocol.messages import Message
from jobqueue.protocol.payload import Serialized
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.owning import in_memory, own
from jobqueue.worker.room import Room
from jobqueue.worker.store import Store

logger = logging.getLogger("jobqueue.worker")

CONNECT_TIMEOUT = 5.0
"""Seconds to reach another worker before the scheduler is asked to pass its result on."""

TRY_AGAIN = 10.0
"""Seconds after which it is tried again, beside what goes on, to reach a worker that was not."""

SILENCE = 5.0
"""Seconds without a byte after which a worker that owes a result is asked whether it is there;
after as many again it is given up. Not of the whole: 3 GB may take long, and so may pickling."""

ANYBODY_THERE = ""
"""The key of nothing: a SEND of it is answered at once by whoever can answer at all."""

Answer = Serialized | Failure | None
"""What a peer answers: the value, why it cannot be sent, or None if it is not there."""


async def serialized_from(store: Store, key: str) -> Answer:
    """Return a stored value as it goes over the wire, pickled outside of the event loop."""
    try:
        return await asyncio.to_thread(store.get_serialized, key)
    except KeyError:
        return None
    except SerializationError as error:
        return Failure.of(SerializationError(f"the result of task {key!r} cannot be sent: {error}"))
    except Exception as error:  # a user's mapping may raise anything
        text = f"the result of task {key!r} cannot be read: {type(error).__name__}: {error}"
        return Failure.of(TaskError(text))


def answer_message(number: int, answer: Answer) -> Message:
    """Return the message that answers a SEND."""
    if answer is None or isinstance(answer, Failure):
        return (m.NO_DATA, number, answer)
    return (m.DATA, number, answer)


_numbers = count()


def peer_address(options: WorkerOptions) -> str:
    """Return where a worker listens for others: by the same transport as its scheduler.

    Raises
    ------
    ConfigError
        The interface does not exist.
    """
    scheduler = parse_address(options.addresses[0])
    if scheduler.scheme == "memory":
        return "memory://"
    if scheduler.scheme == "unix":
        name = f"{options.slot}-{os.getpid()}-{next(_numbers)}.peer"
        return f"unix://{PurePosixPath(scheduler.path).with_name(name)}"
    host = options.host or "0.0.0.0"
    if options.host is None and options.interface is not None:
        host = interface_address(options.interface)
    return f"{scheduler.scheme}://{f'[{host}]' if ':' in host else host}:0"


def peer_addresses(options: WorkerOptions) -> list[str]:
    """Return where a worker tries to listen for others, in this order: with each of its ports.

    Each of an agent's workers begins at another port, so that they seldom try the same.

    Raises
    ------
    ConfigError
        The interface does not exist.
    """
    address = peer_address(options)
    if options.ports is None or not address.endswith(":0"):
        return [address]
    first, last = options.ports
    count = last - first + 1
    ports = (first + (options.slot + step) % count for step in range(count))
    return [f"{address.removesuffix('0')}{port}" for port in ports]


class PeerServer:
    """Sends this worker's results to other workers.

    Parameters
    ----------
    store
        Where the results are.
    credentials
        This worker's.
    """

    def __init__(self, store: Store, credentials: Credentials | None) -> None:
        self.addresses: tuple[str, ...] = ()
        self._store = store
        self._credentials = credentials
        self._listener: Listener | None = None
        self._comms: set[Comm] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, *addresses: str) -> None:
        """Listen where it is possible first; if nowhere, the scheduler passes results on."""
        for address in addresses:
            try:
                self._listener = await listen(
                    address,
                    hello={"role": "worker", "python": PYTHON},
                    credentials=self._credentials,
                    on_comm=self._on_comm,
                    roles={"peer"},
                )
            except CommError as error:
                trouble = address, error
            else:
                self.addresses = contact_addresses(self._listener.address)
                return
        logger.warning("no other worker can connect address=%s error=%s", *trouble)

    def _on_comm(self, comm: Comm) -> None:
        self._comms.add(comm)
        on_messages = partial(self._on_messages, comm, Room(self._store.send_ahead))
        comm.start(on_messages, lambda reason: self._comms.discard(comm))

    def _on_messages(self, comm: Comm, room: Room, messages: Sequence[Message]) -> None:
        for operation, number, key in messages:
            if operation == m.SEND and key == ANYBODY_THERE:
                comm.send([answer_message(number, None)])
            elif operation == m.SEND:
                task = asyncio.create_task(self._answer(comm, room, number, key))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _answer(self, comm: Comm, room: Room, number: int, key: str) -> None:
        async with room.of(self._store.size(key)):
            message = answer_message(number, await serialized_from(self._store, key))
            with contextlib.suppress(CommError):
                comm.send([own(message) if in_memory(comm) else message])
                await comm.drain()

    def close(self) -> None:
        """Stop listening and end all connections."""
        if self._listener is not None:
            self._listener.close()
        for comm in list(self._comms):
            comm.abort()


class Peers:
    """Connections to other workers, to get results from.

    Parameters
    ----------
    credentials
        This worker's.
    relay
        Asks the scheduler to pass a result on; returns what came, as a peer would answer.
    """

    def __init__(
        self,
        credentials: Credentials | None,
        relay: Callable[[str], asyncio.Future[Answer]],
    ) -> None:
        self._credentials = credentials
        self._relay = relay
        self._connections: dict[tuple[str, ...], asyncio.Task[_Connection | None]] = {}
        self._out_of_reach: dict[tuple[str, ...], float] = {}  # until when it is left at that
        self._loop = asyncio.get_running_loop()

    async def get(self, key: str, holders: Sequence[Sequence[str]]) -> Answer:
        """Get a result.

        Parameters
        ----------
        key
            Its key.
        holders
            The addresses of each worker that holds it.
        """
        for addresses in holders:
            if not addresses:
                continue
            try:
                connection = await self._connection(tuple(addresses))
                answer = None if connection is None else await connection.ask(key)
            except JobQueueError as error:
                logger.info("peer not heard addresses=%s error=%s", ",".join(addresses), error)
                continue
            if answer is not None:
                return answer
        return await self._relay(key)

    async def _connection(self, addresses: tuple[str, ...]) -> _Connection | None:
        """Return a connection to a peer; None if it cannot be reached, or could not a while ago."""
        opening = self._connections.get(addresses)
        if opening is not None and (connection := _opened(opening)):
            return connection
        quiet_until = self._out_of_reach.get(addresses)
        if opening is None or (opening.done() and self._loop.time() >= (quiet_until or 0.0)):
            opening = asyncio.create_task(self._open(addresses))
            self._connections[addresses] = opening
        return await asyncio.shield(opening) if quiet_until is None else None

    async def _open(self, addresses: tuple[str, ...]) -> _Connection | None:
        names = ",".join(addresses)
        try:
            connection = await _Connection.open(addresses, self._credentials)
        except JobQueueError as error:
            if addresses not in self._out_of_reach:
                text = "peer not reached, its results come through the scheduler addresses=%s: %s"
                logger.warning(text, names, error)
            self._out_of_reach[addresses] = self._loop.time() + TRY_AGAIN
            return None
        if self._out_of_reach.pop(addresses, None) is not None:
            logger.info("peer reached after all addresses=%s", names)
        return connection

    def close(self) -> None:
        """End all connections."""
        for opening in self._connections.values():
            if not opening.done():
                opening.cancel()
            elif connection := _opened(opening):
                connection.comm.abort()
        self._connections.clear()


def _opened(opening: asyncio.Task[_Connection | None]) -> _Connection | None:
    """Return what came of an attempt, if that is a connection and still of use."""
    if not opening.done() or opening.cancelled() or opening.exception() is not None:
        return None
    connection = opening.result()
    return None if connection is None or connection.comm.closed else connection


class _Connection:
    """One connection to a peer, and what it was asked."""

    def __init__(self, comm: Comm) -> None:
        self.comm = comm
        self._number = 0
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._answers = 0
        self._heard = (0, 0)  # bytes and answers at the last look
        self._doubted = False
        comm.start(self._on_messages, self._on_closed)

    @classmethod
    async def open(cls, addresses: Sequence[str], credentials: Credentials | None) -> _Connection:
        hello = {"role": "peer", "python": PYTHON}
        return cls(
            await connect_any(
                addresses,
                hello=hello,
                credentials=credentials,
                timeout=CONNECT_TIMEOUT,
                expect="worker",
            )
        )

    async def ask(self, key: str) -> Answer:
        self._number += 1
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._asked[self._number] = answer
        self.comm.send([(m.SEND, self._number, key)])
        if self._timer is None:
            self._doubted = False
            self._timer = self._loop.call_later(SILENCE, self._look)
        return await answer

    def _look(self) -> None:
        """See from time to time whether a peer that owes answers is still there."""
        self._timer = None
        if not self._asked:
            return
        heard, self._heard = self._heard, (self.comm.received, self._answers)
        if heard != self._heard:
            self._doubted = False
        elif self._doubted:
            peer = self.comm.peer_address
            self.comm.abort(CommClosed(f"{peer} has not said a word for {2 * SILENCE:g} s"))
            return
        else:
            self._doubted = True
            self.comm.send([(m.SEND, 0, ANYBODY_THERE)])
        self._timer = self._loop.call_later(SILENCE, self._look)

    def _on_messages(self, messages: Sequence[Message]) -> None:
        self._answers += len(messages)
        for operation, number, answer in messages:
            waiting = self._asked.pop(number, None)
            if waiting is None or waiting.done():
                continue
            if operation == m.DATA:
                waiting.set_result(answer)
            else:
                waiting.set_result(None if answer is None else Failure(*answer))

    def _on_closed(self, reason: CommError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(reason)
        self._asked.clear()
