"""The server side of stream transports: accepts connections and shakes hands.

A peer that is refused, speaks another language or stops in mid-handshake costs its own connection
and one line in the log. Nothing of it may reach the event loop's exception handler, so connections
are accepted here and not by asyncio's server, which hides a failed TLS handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
import ssl
from collections.abc import Callable, Collection
from dataclasses import replace

from jobqueue.comm import memory
from jobqueue.comm.addresses import Address, parse_address
from jobqueue.comm.base import Comm, Hello, Listener
from jobqueue.comm.credentials import Credentials, require_credentials
from jobqueue.comm.handshake import Admit, Handshake, Redundant, Terms
from jobqueue.comm.sockets import check_same_user, listen_tcp, listen_unix, tune
from jobqueue.comm.stream import StreamComm
from jobqueue.comm.tls import explain, server_context
from jobqueue.errors import CommClosed, CommError

logger = logging.getLogger("jobqueue.comm")

HANDSHAKE_TIMEOUT = 10.0
"""Seconds that a peer has to complete the handshake."""

HANDSHAKES_MAX = 256
"""Connections that may be in the handshake at the same time."""

STALL_GRACE = 2.0
"""Seconds after which the oldest of them makes room for a new one, when there are so many."""

_FAREWELL_TIMEOUT = 1.0
"""Seconds that a refused peer has to read why and to close."""

_ACCEPT_PAUSE = 0.5
"""Seconds to wait when the system is out of files or memory for another connection."""


class StreamListener(Listener):
    """A listening socket and the handshakes under way.

    Parameters
    ----------
    address
        What is listened on, with the real port.
    sock
        The listening socket.
    terms
        This side of each handshake.
    on_comm
        Called with each connection that is ready.
    context
        For TLS.
    handshake_timeout
        Seconds that a peer has to complete the handshake.
    handshakes_max
        Connections that may be in the handshake at the same time.
    """

    def __init__(
        self,
        address: Address,
        sock: socket.socket,
        terms: Terms,
        on_comm: Callable[[Comm], None],
        *,
        context: ssl.SSLContext | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        handshakes_max: int = HANDSHAKES_MAX,
    ) -> None:
        self.address = str(address)
        self._scheme = address.scheme
        self._path = address.path
        self._sock = sock
        self._terms = terms
        self._on_comm = on_comm
        self._context = context
        self._timeout = handshake_timeout
        self._max = handshakes_max
        # Handshakes under way, oldest first, with the time when each began.
        self._handshakes: dict[asyncio.Task[None], float] = {}
        self._loop = asyncio.get_running_loop()
        self._accepting = self._loop.create_task(self._accept(), name=f"accept {address}")

    def close(self) -> None:
        """See `Listener.close`. Handshakes under way are ended."""
        self._accepting.cancel()
        for task in self._handshakes:
            task.cancel()
        if self._sock.fileno() != -1:
            self._loop.remove_reader(self._sock)
        self._sock.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    async def wait_closed(self) -> None:
        """See `Listener.wait_closed`."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            await self._wait_for_room()
            await self._arrival()
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                continue  # whoever had come is gone again
            except OSError as error:
                # Out of file descriptors, most likely; the connections that are there live on.
                logger.warning("event=accept-failed address=%s error=%r", self.address, str(error))
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            sock.setblocking(False)
            name = self._name(peer)
            task = self._loop.create_task(self._welcome(sock, name))
            self._handshakes[task] = self._loop.time()
            task.add_done_callback(functools.partial(self._welcomed, sock, name))

    async def _arrival(self) -> None:
        """Wait until there is somebody to accept.

        `sock_accept` of the loop would lose a connection that comes while it is cancelled.
        """
        arrived: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._sock, self._arrived, arrived)
        await arrived

    def _arrived(self, arrived: asyncio.Future[None]) -> None:
        self._loop.remove_reader(self._sock)
        if not arrived.done():
            arrived.set_result(None)

    def _welcomed(self, sock: socket.socket, peer: str, task: asyncio.Task[None]) -> None:
        del self._handshakes[task]
        if task.cancelled():  # before it began: afterwards it ends in order
            self._log_refused(peer, asyncio.CancelledError())
            sock.close()

    async def _wait_for_room(self) -> None:
        """Wait until another handshake may begin; the oldest that stalls gives way."""
        while len(self._handshakes) >= self._max:
            oldest, began = next(iter(self._handshakes.items()))
            patience = began + STALL_GRACE - self._loop.time()
            if patience <= 0:
                oldest.cancel()
            await asyncio.wait(
                self._handshakes,
                timeout=max(patience, 0) or None,
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def _welcome(self, sock: socket.socket, peer: str) -> None:
        """Shake hands with one peer, and pass the connection on."""
        comm = StreamComm(Handshake(self._terms, server=True))
        comm.local_address, comm.peer_address = self.address, peer
        try:
            async with asyncio.timeout(self._timeout):
                self._check(sock)
                await self._loop.connect_accepted_socket(lambda: comm, sock, ssl=self._context)
                await comm.ready
        except (OSError, asyncio.CancelledError) as error:
            self._log_refused(peer, error)
            await self._part(comm, error)
        else:
            self._hand_over(comm)

    def _check(self, sock: socket.socket) -> None:
        try:
            tune(sock)
            if sock.family == socket.AF_UNIX:
                check_same_user(sock, self._path)
        except BaseException:
            sock.close()
            raise

    def _hand_over(self, comm: StreamComm) -> None:
        try:
            self._on_comm(comm)
        except Exception:
            logger.exception("event=callback-failed peer=%s", comm.peer_address)
            comm.abort()

    async def _part(self, comm: StreamComm, error: BaseException) -> None:
        """Let a refused peer read why, but not for long."""
        if isinstance(error, CommError) and comm.connected:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(min(_FAREWELL_TIMEOUT, self._timeout)):
                    await comm.wait_closed()
        comm.abort()

    def _log_refused(self, peer: str, error: BaseException) -> None:
        # A peer that goes by itself has most likely got through at another of our addresses: when
        # many workers come at once, that happens often. If something is wrong, it says so itself.
        gone = isinstance(error, (Redundant, CommClosed, ConnectionError))
        level = logging.INFO if gone or self._sock.fileno() == -1 else logging.WARNING
        if isinstance(error, ssl.SSLError):
            text = str(explain(error))
        elif isinstance(error, TimeoutError):
            text = f"no handshake within {self._timeout:g} s"
        elif isinstance(error, asyncio.CancelledError):
            text = "ended before its handshake was complete, to make room or to close"
        elif isinstance(error, CommError):
            text = str(error)
        else:
            text = (
                f"it ended the connection in mid-handshake ({type(error).__name__}); it may have "
                "the credentials of another cluster"
            )
        logger.log(
            level, "event=peer-refused address=%s peer=%s error=%r", self.address, peer, text
        )

    def _name(self, peer: object) -> str:
        if isinstance(peer, tuple):
            return str(Address(self._scheme, host=peer[0], port=peer[1]))
        return f"unix://{self._path}"


WORKER_SIDE = frozenset({"worker", "agent", "task"})
"""The roles of those who connect to a scheduler from the nodes."""

CLIENT_SIDE = frozenset({"client"})
"""The roles of those who connect to it from where users are."""

SCHEDULER_PEERS = WORKER_SIDE | CLIENT_SIDE
"""The roles of all who connect to a scheduler."""


async def listen(
    address: str,
    *,
    hello: Hello,
    credentials: Credentials | None = None,
    on_comm: Callable[[Comm], None],
    roles: Collection[str] = SCHEDULER_PEERS,
    admit: Admit | None = None,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
    handshakes_max: int = HANDSHAKES_MAX,
) -> Listener:
    """Accept connections at an address.

    Parameters
    ----------
    address
        Where to listen. Port 0 takes a free one, ``memory://`` a free name. The folder of a Unix
        socket is made if it is missing.
    hello
        What this side says of itself; its `role` must go with the credentials.
    credentials
        For `tls` and `tcp`.
    on_comm
        Called with each connection whose peer has proved itself.
    roles
        The roles that a peer may have.
    admit
        Called with a peer's hello: None, or the reason why it is refused, which it is told.
    handshake_timeout
        Seconds that a peer has to complete the handshake.
    handshakes_max
        Connections that may be in the handshake at the same time; more of them wait.

    Raises
    ------
    CommError
        The address is taken, or not this machine's.
    AuthenticationFailed
        Others may enter the folder of the Unix socket.
    ConfigError
        It is not an address, or one that needs credentials.
    """
    parsed = parse_address(address)
    terms = Terms(hello, roles, admit=admit)
    context = None
    if parsed.scheme == "memory":
        return memory.listen(parsed.path, terms, on_comm)
    if parsed.scheme == "tls":
        context = server_context(require_credentials(credentials, address))
    if parsed.scheme == "tcp":
        terms = replace(terms, token=require_credentials(credentials, address).token)
    if parsed.scheme == "unix":
        sock = listen_unix(parsed.path)
    else:
        sock = listen_tcp(parsed)
        parsed = parsed._replace(port=sock.getsockname()[1])
    return StreamListener(
        parsed,
        sock,
        terms,
        on_comm,
        context=context,
        handshake_timeout=handshake_timeout,
        handshakes_max=handshakes_max,
    )
