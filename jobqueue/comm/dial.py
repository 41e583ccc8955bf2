"""Connecting: to one address, or to the first of several that completes the handshake."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jobqueue.comm import memory
from jobqueue.comm.addresses import Address, parse_address
from jobqueue.comm.base import Comm, Hello
from jobqueue.comm.certificates import dns_name
from jobqueue.comm.credentials import Credentials, require_credentials
from jobqueue.comm.handshake import CERTIFICATE_ROLES, LEFT, Handshake, Redundant, Terms
from jobqueue.comm.sockets import check_same_user, check_unix_path, tune
from jobqueue.comm.stream import StreamComm
from jobqueue.comm.tls import client_context, explain
from jobqueue.errors import AuthenticationFailed, CommError, HandshakeRefused

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection and its handshake, unless told otherwise."""

STAGGER = 0.25
"""Seconds after which the next address is tried beside one that has not answered yet."""


async def connect(
    address: str,
    *,
    hello: Hello,
    credentials: Credentials | None = None,
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - the error says which address took so long
    expect: str = "scheduler",
) -> Comm:
    """Connect to an address; `connect_any` with one address.

    Parameters
    ----------
    address
        Where to connect to.
    hello
        What this side says of itself; its `role` must go with the credentials.
    credentials
        For `tls` and `tcp`.
    timeout
        Seconds for the connection and its handshake.
    expect
        The role that the peer must have and, over TLS, prove.

    Raises
    ------
    CommError
        Nobody answers; `AuthenticationFailed` or `HandshakeRefused` if somebody does, but not who
        is expected, or will not have us.
    ConfigError
        It is not an address, or one that needs credentials.
    """
    return await connect_any(
        [address], hello=hello, credentials=credentials, timeout=timeout, expect=expect
    )


async def connect_any(
    addresses: Sequence[str],
    *,
    hello: Hello,
    credentials: Credentials | None = None,
    timeout: float = CONNECT_TIMEOUT,  # noqa: ASYNC109 - the error says which address took so long
    expect: str = "scheduler",
) -> Comm:
    """Connect to the first of several addresses that completes the handshake.

    Only the one that answered first hears this side's hello: a scheduler that heard it at two of
    its addresses would take the second for a new connection of the same worker, and end the first.

    Parameters
    ----------
    addresses
        Tried in this order, each a moment after the one before it unless that has failed.
    hello, credentials, timeout, expect
        As for `connect`; the time is for all of them together.

    Raises
    ------
    CommError
        As for `connect`; lists each address with what happened there.
    """
    if not addresses:
        raise CommError("there is no address to connect to")
    parsed = deque(parse_address(address) for address in addresses)
    terms = Terms(hello, frozenset({expect}))
    stagger = min(STAGGER, timeout / 2 / len(parsed))
    end = asyncio.get_running_loop().time() + timeout
    race = _Race()
    running: dict[asyncio.Task[Comm], tuple[Address, object]] = {}
    spare: list[Address] = []
    failures: dict[Address, CommError] = {}
    try:
        while parsed or running:
            if parsed:
                address, entrant = parsed.popleft(), object()
                wanted = partial(race.claim, entrant)
                attempt = _attempt(address, replace(terms, wanted=wanted), credentials, expect, end)
                running[asyncio.create_task(attempt)] = address, entrant
            done, _ = await asyncio.wait(
                running,
                timeout=stagger if parsed else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                address, entrant = running.pop(task)
                try:
                    return task.result()
                except Redundant:
                    spare.append(address)
                except CommError as error:
                    failures[address] = error
                    race.withdraw(entrant)
            if race.leader is None:
                parsed.extend(spare)
                spare.clear()
    finally:
        await _give_up(running)
    raise _nobody(failures)


class _Race:
    """Which attempt may say its hello: the first that asks, unless it fails after all."""

    def __init__(self) -> None:
        self.leader: object = None

    def claim(self, entrant: object) -> bool:
        """Tell whether it is this attempt."""
        if self.leader is None:
            self.leader = entrant
        return self.leader is entrant

    def withdraw(self, entrant: object) -> None:
        """Let another attempt lead if this one did."""
        if self.leader is entrant:
            self.leader = None


async def _give_up(running: Iterable[asyncio.Task[Comm]]) -> None:
    """End the attempts that are not needed any more, also one that has just succeeded."""
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, Comm):
            result.abort()


def _nobody(failures: dict[Address, CommError]) -> CommError:
    """One error for all addresses; of the kind that says most about the reason."""
    text = "; ".join(f"{address}: {error}" for address, error in failures.items())
    kinds = [
        kind
        for kind in (HandshakeRefused, AuthenticationFailed)
        if any(isinstance(error, kind) for error in failures.values())
    ]
    nobody = [*kinds, CommError][0](f"tried {text}")
    nobody.tried = tuple((str(address), str(error)) for address, error in failures.items())
    return nobody


async def _attempt(
    address: Address, terms: Terms, credentials: Credentials | None, expect: str, end: float
) -> Comm:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout_at(end) as limit:
            if address.scheme == "memory":
                return memory.connect(address.path, terms)
            if address.scheme == "unix":
                return await _connect_unix(address, terms)
            return await _connect_tcp(address, terms, credentials, expect)
    except CommError:
        raise
    except ssl.SSLError as error:
        raise explain(error) from error
    except OSError as error:
        if limit.expired():
            raise CommError(f"timed out after {loop.time() - began:.3g} s") from None
        raise CommError(_in_words(error)) from error


def _in_words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused, nobody listens there"
    if isinstance(error, FileNotFoundError):
        return "no such socket; has the scheduler ended?"
    if isinstance(error, ConnectionError):
        return f"the peer {LEFT}"
    if error.errno and str(error.strerror).startswith("Connect call failed"):
        return os.strerror(error.errno).lower()  # asyncio's own words are the address once more
    return error.strerror or str(error) or type(error).__name__


async def _connect_unix(address: Address, terms: Terms) -> Comm:
    check_unix_path(address.path)
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    comm = StreamComm(Handshake(terms, server=False))
    comm.local_address = comm.peer_address = str(address)
    try:
        tune(sock)
        await _reach_unix(sock, address.path)
        check_same_user(sock, address.path)
    except BaseException:
        sock.close()
        raise
    return await _shake_hands(comm, loop.create_unix_connection(lambda: comm, sock=sock))


async def _reach_unix(sock: socket.socket, path: str) -> None:
    while True:
        await asyncio.get_running_loop().sock_connect(sock, path)
        try:
            sock.getpeername()
        except OSError:
            # The listener's queue is full: the kernel says "try again", which asyncio takes for
            # "under way".
            await asyncio.sleep(0.01)
        else:
            return


async def _connect_tcp(
    address: Address, terms: Terms, credentials: Credentials | None, expect: str
) -> Comm:
    credentials = require_credentials(credentials, address)
    tls: dict[str, Any] = {}
    if address.scheme == "tls":
        name = dns_name(credentials.cluster, CERTIFICATE_ROLES[expect])
        tls = {"ssl": client_context(credentials), "server_hostname": name}
    else:
        terms = replace(terms, token=credentials.token)
    sock = await _reach_tcp(address)
    comm = StreamComm(Handshake(terms, server=False))
    comm.peer_address = str(address)
    tune(sock)
    host, port = sock.getsockname()[:2]
    comm.local_address = str(Address(address.scheme, host=host, port=port))
    loop = asyncio.get_running_loop()
    return await _shake_hands(comm, loop.create_connection(lambda: comm, sock=sock, **tls))


async def _shake_hands(comm: StreamComm, connection: Coroutine[Any, Any, Any]) -> Comm:
    """Let the event loop have the socket, and wait for the peer's welcome."""
    try:
        await connection
        await comm.ready
    except BaseException:
        comm.abort()
        raise
    return comm


async def _reach_tcp(address: Address) -> socket.socket:
    """Connect to a host by the first of its IP addresses that answers."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise CommError(f"the name {address.host!r} is unknown here ({error})") from error
    failure: OSError = OSError("it has no address")
    for family, kind, protocol, _name, target in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, target)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
