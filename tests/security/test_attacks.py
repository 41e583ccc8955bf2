"""Strangers at the scheduler's and the workers' doors: all are turned away, and work goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client
from jobqueue.comm import Credentials, connect
from jobqueue.errors import AuthenticationFailed, CommError
from jobqueue.protocol.frames import encode
from jobqueue.protocol.hello import PYTHON, WorkerFacts

OVERSIZED = struct.pack("!II", (256 << 20) + 1, 0)

# What may be said to a stranger: a TLS alert, or over a Unix socket, behind which there is none,
# the hello
GARBAGE = {
    "noise": random.Random(1).randbytes(100_000),
    "a browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(100_000),
    "an oversized frame": OVERSIZED + bytes(100_000),
    "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "a message before the hello": b"".join(encode([("submit", b"f", None, [])])),
}


def talk(address: str, credentials: Credentials | None, hello: dict[str, Any]) -> dict[str, Any]:
    """Connect with our own protocol; give the scheduler's hello."""

    async def main() -> dict[str, Any]:
        comm = await connect(address, hello=hello, credentials=credentials, timeout=30)
        comm.abort()
        return dict(comm.peer)

    return asyncio.run(main())


def hello_of(role: str) -> dict[str, Any]:
    if role == "worker":
        return WorkerFacts(name="intruder", nthreads=1).to_hello()
    return {"role": role, "name": "intruder", "python": PYTHON}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage(lab: Any, knock: Any, said: Any, kind: str) -> None:
    """Bytes that are not our protocol end their connection, and nothing else."""
    with lab.at_work(), knock(lab.address) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(GARBAGE[kind])
        assert len(said(sock)) < 1000


@pytest.mark.parametrize("lab", ["tls", "tcp"], indirect=True)
@pytest.mark.parametrize("role", ["worker", "client", "agent"])
def test_credentials_of_another_cluster(lab: Any, role: str) -> None:
    """Even one of the same name: its authority and its token are others."""
    foreign = Credentials.create(lab.cluster.name).others[role.replace("agent", "worker")]
    with lab.at_work(), pytest.raises(AuthenticationFailed, match="the same cluster"):
        talk(lab.address, foreign, hello_of(role))


@pytest.mark.parametrize("lab", ["tls"], indirect=True)
@pytest.mark.parametrize(("has", "says"), [("worker", "client"), ("client", "worker")])
def test_a_role_that_the_certificate_does_not_give(lab: Any, has: str, says: str) -> None:
    """Who may run tasks may not submit any: a worker's credentials lie where jobs run."""
    with lab.at_work(), pytest.raises(AuthenticationFailed, match=f"certificate is a {has}'s"):
        talk(lab.address, lab.cluster.credentials.others[has], hello_of(says))


@pytest.mark.parametrize("lab", ["tls"], indirect=True)
def test_nobody_joins_without_a_certificate(lab: Any, knock: Any, said: Any) -> None:
    """Whoever speaks TLS, knows the authority, and has no certificate of his own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=lab.cluster.credentials.authority.decode())
    with lab.at_work(), knock(lab.address) as sock, context.wrap_socket(sock) as stranger:
        try:
            assert said(stranger) == b""
        except ssl.SSLError:  # the alert, if it comes before the end
            assert lab.cluster.status == "running"


def test_a_known_client_is_held_to_the_limits_as_well(lab: Any) -> None:
    """A frame that is too large ends its connection, although the peer has proved itself."""
    credentials = lab.cluster.credentials and lab.cluster.credentials.others["client"]

    async def main() -> CommError:
        comm = await connect(lab.address, hello=hello_of("client"), credentials=credentials)
        over: asyncio.Future[CommError] = asyncio.get_running_loop().create_future()
        comm.start(lambda messages: None, over.set_result)
        comm._transport.write(OVERSIZED)
        async with asyncio.timeout(60):
            return await over

    with lab.at_work():
        assert isinstance(asyncio.run(main()), CommError)


def test_peers_that_stop_in_mid_handshake(lab: Any, knock: Any, tmp_path: Path) -> None:
    """More of them than may shake hands at once: a good peer is served all the same."""
    credentials = lab.cluster.credentials
    if credentials is not None:
        credentials.others["client"].save(tmp_path / "credentials")
    folder = credentials and tmp_path / "credentials" / "client"
    half = b"\x16\x03\x01\x02\x00\x01" if lab.scheme == "tls" else b"\x00\x00"
    with lab.at_work(), contextlib.ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(knock(lab.address))
            if number % 2:
                sock.sendall(half)
        with Client(lab.address, credentials=folder, timeout=60) as client:
            assert client.submit(sum, [3, 4]).result(timeout=60) == 7


def test_what_listens(lab: Any, listening: Any, knock: Any, said: Any) -> None:
    """The scheduler and each worker, once; over a network they turn strangers away."""
    workers = lab.workers()
    assert len(workers) == 2
    parents = {worker.parent() for worker in workers}
    assert not any(listening(agent.pid) for agent in parents)
    foreign = Credentials.create(lab.cluster.name).others["worker"]
    doors = {"scheduler": listening(os.getpid()), "worker": set[str]()}
    for worker in workers:
        mine = listening(worker.pid)
        assert len(mine) == 1
        doors["worker"] |= mine
    assert len(doors["scheduler"]) == 1
    for role, each in doors.items():
        for door in each:
            kind, _, place = door.partition(":")
            assert kind == ("unix" if lab.scheme == "unix" else "tcp")
            if kind == "unix":
                assert_private(Path(place))
                continue
            address = f"{lab.scheme}://127.0.0.1:{place}"
            with knock(address) as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(GARBAGE["noise"])
                assert len(said(sock)) < 100
            hello = {"role": "client" if role == "scheduler" else "peer", "python": PYTHON}
            with pytest.raises(CommError):
                asyncio.run(
                    connect(address, hello=hello, credentials=foreign, timeout=30, expect=role)
                )


def assert_private(path: Path) -> None:
    """Nobody else may enter the folder."""
    status = path.parent.stat()
    assert status.st_mode & 0o777 == 0o700
    assert status.st_uid == os.geteuid()
