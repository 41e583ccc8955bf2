"""Where a worker listens for others, when it was told which ports it may use."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.peers import PeerServer, peer_addresses
from jobqueue.worker.store import Store

OPTIONS = WorkerOptions(("tls://10.0.0.1:4000",), "w")


def test_any_port_unless_some_are_named():
    """The kernel chooses one that is free."""
    assert peer_addresses(OPTIONS) == ["tls://0.0.0.0:0"]
    unix = OPTIONS._replace(addresses=("unix:///run/x/scheduler",), ports=(3000, 3001))
    assert len(peer_addresses(unix)) == 1


def test_each_worker_of_an_agent_begins_at_another_port():
    """And goes on to the others, round about."""
    options = OPTIONS._replace(ports=(3000, 3002), host="10.0.0.2")
    ports = [[int(a.rpartition(":")[2]) for a in peer_addresses(options._replace(slot=slot))]
             for slot in range(4)]  # fmt: skip
    assert ports == [[3000, 3001, 3002], [3001, 3002, 3000], [3002, 3000, 3001], [3000, 3001, 3002]]
    assert peer_addresses(options)[0] == "tls://10.0.0.2:3000"


def test_a_host_goes_before_an_interface():
    """IPv6 too."""
    options = OPTIONS._replace(host="fd00::2", interface="no such interface")
    assert peer_addresses(options) == ["tls://[fd00::2]:0"]


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The next one is tried; when all are taken, the worker says so, and works."""

    async def main() -> None:
        credentials = Credentials.create("c").others["worker"]
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", 0))  # so that nobody else is given it
            free = other.getsockname()[1]
            addresses = [f"tls://127.0.0.1:{port}" for port in (taken.getsockname()[1], free)]
            server = PeerServer(Store({}), credentials)
            await server.start(*addresses)
            assert server.addresses == (addresses[1],)
            second = PeerServer(Store({}), credentials)
            await second.start(*addresses)
            assert second.addresses == ()
            server.close()

    asyncio.run(main())
    assert caplog.text.count("no other worker can connect") == 1
