"""Sockets as every stream transport wants them: opened, tuned, checked."""

from __future__ import annotations

import asyncio.trsock
import contextlib
import errno
import os
import socket
import stat
import struct

from jobqueue.comm.addresses import Address
from jobqueue.errors import AuthenticationFailed, CommError

UNIX_PATH_MAX = 107
"""Bytes of a Unix socket's path: the kernel's sockaddr_un has 108, with a zero at the end."""

_BACKLOG = 1024

_UNIX_BUFFER = 4 << 20
"""Wanted size of a Unix socket's buffers in bytes; the kernel gives what it allows."""

UNREACHABLE_AFTER = 30.0
"""Seconds without an answer from a peer's machine after which it counts as unreachable."""

# An idle connection is probed by the kernel: after 10 s of silence, then 4 times.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}

# Of struct tcp_info in <linux/tcp.h>: tcpi_retransmits and tcpi_probes, both unanswered so far,
# and tcpi_last_ack_recv in milliseconds.
_TCP_INFO = struct.Struct("=2xBB52xI")

_UNANSWERED_MIN = 3


def tune(sock: socket.socket) -> None:
    """Set a connected socket's options: no delay, keepalive, large buffers."""
    sock.setblocking(False)
    if sock.family == socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNIX_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNIX_BUFFER)
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Not every kernel has each of them.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def is_unreachable(
    sock: socket.socket | asyncio.trsock.TransportSocket, seconds: float = UNREACHABLE_AFTER
) -> bool:
    """Return whether the machine behind a TCP connection with bytes under way does not answer.

    Keepalive covers only idle connections. The kernel's own limit for the others,
    TCP_USER_TIMEOUT, also ends a connection whose machine answers well, but whose process is too
    busy to read: a task that holds the interpreter's lock for a minute would cost its worker.

    Parameters
    ----------
    sock
        A TCP socket.
    seconds
        How long there must have been no answer.
    """
    if not hasattr(socket, "TCP_INFO"):
        return False
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    retransmits, probes, silence = _TCP_INFO.unpack(info)
    return bool(retransmits + probes >= _UNANSWERED_MIN and silence >= seconds * 1000)


def check_same_user(sock: socket.socket, path: str) -> None:
    """Make sure that the process at the other end of a Unix socket runs as our user.

    Raises
    ------
    AuthenticationFailed
        It runs as somebody else.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return  # elsewhere than on Linux the folder's mode alone protects
    size = struct.calcsize("3i")
    _pid, uid, _gid = struct.unpack(
        "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    if uid != os.geteuid():
        raise AuthenticationFailed(
            f"unix://{path}: the process at the other end runs as uid {uid}, this one as "
            f"{os.geteuid()}; both must be the same user's"
        )


def check_unix_path(path: str) -> None:
    """Refuse a path that no Unix socket can have.

    Raises
    ------
    CommError
        It is too long.
    """
    length = len(os.fsencode(path))
    if length > UNIX_PATH_MAX:
        raise CommError(
            f"unix://{path}: the path has {length} bytes, a Unix socket's may have "
            f"{UNIX_PATH_MAX}; set TMPDIR to a shorter folder"
        )


def listen_unix(path: str) -> socket.socket:
    """Open a listening Unix socket in a folder that only this user may enter.

    The folder is made if it is missing. A socket file that nobody listens on is replaced.

    Raises
    ------
    AuthenticationFailed
        The folder belongs to somebody else, or others may enter it.
    CommError
        The path is too long, or somebody listens there.
    """
    check_unix_path(path)
    folder = os.path.dirname(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _check_private(folder)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_unix(sock, path)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_private(folder: str) -> None:
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise AuthenticationFailed(f"{folder} is not a folder; choose another for the socket")
    if status.st_uid != os.geteuid():
        raise AuthenticationFailed(
            f"{folder} belongs to uid {status.st_uid}, this process runs as {os.geteuid()}; "
            "choose another folder for the socket"
        )
    if status.st_mode & 0o077:
        raise AuthenticationFailed(
            f"{folder} has mode {stat.S_IMODE(status.st_mode):04o}, so that other users could "
            f"reach the socket in it; run: chmod 700 {folder}"
        )


def _bind_unix(sock: socket.socket, path: str) -> None:
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise CommError(f"unix://{path}: {error.strerror}") from error
        if _somebody_listens(path):
            raise CommError(f"unix://{path} is in use; choose another path") from error
        os.unlink(path)
        sock.bind(path)


def _somebody_listens(path: str) -> bool:
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return True  # not ours to remove
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) != errno.ECONNREFUSED


def listen_tcp(address: Address) -> socket.socket:
    """Open a listening TCP socket.

    Raises
    ------
    CommError
        The address is not this machine's, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _name, target = found[0]
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise CommError(f"{address}: cannot listen there: {error}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means IPv4 as well.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(target)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CommError(f"{address}: cannot listen there: {error.strerror}") from error
    return sock
