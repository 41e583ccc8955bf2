"""How sockets are opened and tuned, and how a cut network is told from a busy process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.comm import parse_address
from jobqueue.comm.sockets import (
    is_unreachable,
    listen_tcp,
    listen_unix,
    tune,
)
from jobqueue.errors import CommError


def test_tcp_is_tuned_for_latency_and_for_noticing_the_end() -> None:
    """No delay; keepalive that notices a silent machine in 30 seconds."""
    with socket.socket() as sock:
        tune(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name}"))
            for name in ("IDLE", "INTVL", "CNT")
        )
        assert idle + interval * count == 30


def test_unix_sockets_get_larger_buffers() -> None:
    """As large as the kernel allows, up to what is asked for."""
    with socket.socket(socket.AF_UNIX) as plain, socket.socket(socket.AF_UNIX) as tuned:
        tune(tuned)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            before = plain.getsockopt(socket.SOL_SOCKET, option)
            assert tuned.getsockopt(socket.SOL_SOCKET, option) >= before


def test_a_missing_folder_is_made_private(folder: Path) -> None:
    """Nobody else may enter it from the first moment."""
    with listen_unix(str(folder / "new" / "socket")):
        assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o700


def test_an_address_that_is_taken_or_foreign_is_one_clear_error() -> None:
    """The error names the address and the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(CommError, match=f"tls://127.0.0.1:{port}: cannot .* in use"):
            listen_tcp(parse_address(f"tls://127.0.0.1:{port}"))
    with pytest.raises(CommError, match="cannot listen there: Cannot assign"):
        listen_tcp(parse_address("tls://203.0.113.1:0"))
    with pytest.raises(CommError, match="cannot listen there"):
        listen_tcp(parse_address(f"tls://{'x' * 64}:0"))
    with pytest.raises(CommError, match="cannot listen there"):
        listen_tcp(parse_address("tls://[fe80::1%nosuch]:0"))


def test_listening_on_both_ip_versions(folder: Path) -> None:
    """`::` takes IPv4 connections as well."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with listen_tcp(parse_address("tls://[::]:0")) as sock:
        socket.create_connection(("127.0.0.1", sock.getsockname()[1])).close()


def test_a_process_that_does_not_read_is_not_unreachable() -> None:
    """Its machine answers, however full its buffers are."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.send(bytes(65536))
        assert not is_unreachable(sock, 0.0)


CUT = """
import asyncio, subprocess, sys
import jobqueue.comm.stream as stream
from jobqueue.comm import Credentials, connect, listen

stream.UNREACHABLE_AFTER, stream.WATCH_INTERVAL = 1.0, 0.1
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
credentials = Credentials.create("cut")

async def main():
    accepted, ended = [], asyncio.Event()
    listener = await listen(f"{sys.argv[1]}://127.0.0.1:0", hello={"role": "scheduler"},
                            credentials=credentials, on_comm=accepted.append)
    comm = await connect(listener.address, hello={"role": "client"},
                         credentials=credentials.others["client"])
    comm.start(print, lambda reason: (print(reason), ended.set()))
    await asyncio.sleep(0.1)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    comm.send([("n", 1)])
    async with asyncio.timeout(30):
        await ended.wait()
    for each in (comm, *accepted):
        each.abort()
        await each.wait_closed()
    listener.close()
    await listener.wait_closed()

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"),
    reason="needs root, unshare and ip, to cut a network of its own",
)
@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_cut_network_is_noticed_while_bytes_are_under_way(scheme: str) -> None:
    """The connection ends, saying that the machine does not answer."""
    command = ["unshare", "--net", sys.executable, "-c", CUT, scheme]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine allows no network namespaces")
    assert "its machine has not answered for 1 s" in done.stdout, done.stderr
