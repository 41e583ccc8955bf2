"""Bad peers: each costs its own connection and one line in the log, and a good one is served."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import os
import ssl
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue.comm import Credentials, connect, listen, parse_address
from jobqueue.comm import listener as listener_module
from jobqueue.comm.certificates import dns_name
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError
from jobqueue.protocol.frames import encode

STREAMS = ("unix", "tcp", "tls")

# The beginning of a TLS 1.3 ClientHello, as any TLS client sends it.
CLIENT_HELLO = bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + bytes(508)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another user")


@contextlib.asynccontextmanager
async def raw(
    address: str, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection of bytes, without our protocol."""
    parsed = parse_address(address)
    if parsed.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(parsed.path)
    else:
        reader, writer = await asyncio.open_connection(parsed.host, parsed.port, **options)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """What the other side says until it ends the connection."""
    said = b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(30):
            while data := await reader.read(1 << 16):
                said += data
    return said


async def wait_until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in caplog.text:  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.005)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines in the log, which must all be facts and no tracebacks."""
    assert all(record.exc_info is None for record in caplog.records), caplog.text
    assert {record.name for record in caplog.records} <= {"jobqueue.comm"}, caplog.text
    lines = [record.getMessage() for record in caplog.records]
    assert all("\n" not in line and "event=" in line for line in lines)
    return lines


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


GARBAGE = {
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": CLIENT_HELLO,
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "oversized body": struct.pack("!II", 1 << 31, 0),
    "oversized buffers": struct.pack("!IIQ", 20, 1, 1 << 40) + bytes(100),
    "broken msgpack": struct.pack("!II", 4, 0) + b"\xc1\xc1\xc1\xc1",
    "message before the handshake": b"".join(encode([("run", "rm -rf")])),
    "done already": b"".join(encode([("welcome",)])),
    "deep nesting": struct.pack("!II", 60_000, 0) + b"\x91" * 60_000,
    "many items": struct.pack("!II", 9, 0) + b"\x91\xdd\xff\xff\xff\xff\x01\x01\x01",
    "a pickle": b"\x80\x05cos\nsystem\n(S'id'\ntR.",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("scheme", STREAMS)
def test_garbage_ends_its_own_connection(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str, garbage: bytes
) -> None:
    """Whatever a stranger says first, the listener closes on it and goes on serving."""

    async def check() -> None:
        async with lab.wire(scheme, handshake_timeout=1.0) as wire:
            async with raw(wire.listener.address) as (reader, writer):
                writer.write(garbage)
                await read_to_end(reader)
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())
    (line,) = refusals(caplog)
    assert f"address={scheme}://" in line


@pytest.mark.parametrize("scheme", STREAMS)
@pytest.mark.parametrize("words", [b"", b"\x00", b"\x00\x00\x00\x09\x00\x00\x00\x00half"])
def test_a_peer_that_stops_in_mid_handshake_is_let_go(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str, words: bytes
) -> None:
    """Silence, or half a word, costs the listener a connection for a limited time."""

    async def check() -> None:
        async with lab.wire(scheme, handshake_timeout=0.1) as wire:
            async with raw(wire.listener.address) as (reader, writer):
                writer.write(CLIENT_HELLO[: len(words)] if scheme == "tls" else words)
                await read_to_end(reader)
            await wait_until_logged(caplog, "no handshake within 0.1 s")

        async with lab.wire(scheme) as wire:
            await wire.check_good_peer()

    lab.run(check())
    assert len(refusals(caplog)) == 1


@pytest.mark.parametrize("scheme", STREAMS)
def test_a_slow_dribble_does_not_prolong_the_handshake(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    """The time is for the whole handshake, however many bytes come meanwhile."""

    async def dribble(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"\x00")
            await asyncio.sleep(0.01)

    async def check() -> None:
        async with lab.wire(scheme, handshake_timeout=0.3) as wire:
            async with raw(wire.listener.address) as (reader, writer):
                writer.write(b"\x00\x00\x10\x00\x00\x00\x00" if scheme != "tls" else b"\x16")
                task = asyncio.create_task(dribble(writer))
                await read_to_end(reader)
                task.cancel()
            await wait_until_logged(caplog, "event=peer-refused")

    lab.run(check())
    assert len(refusals(caplog)) == 1


@pytest.mark.parametrize("scheme", STREAMS)
def test_stalling_peers_make_room_for_a_good_one(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every place is taken by somebody who says nothing, the oldest has to go."""
    monkeypatch.setattr(listener_module, "STALL_GRACE", 0.05)

    async def check() -> None:
        async with lab.wire(scheme, handshakes_max=3) as wire, contextlib.AsyncExitStack() as stack:
            for _ in range(6):
                await stack.enter_async_context(raw(wire.listener.address))
            await wire.check_good_peer()

    lab.run(check())
    assert "to make room" in refusals(caplog)[0]


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_credentials_are_needed_on_both_sides(lab: Any, scheme: str) -> None:
    """Neither side can even begin without credentials."""

    async def check() -> None:
        with pytest.raises(ConfigError, match="needs credentials"):
            await listen(f"{scheme}://127.0.0.1:0", hello={}, on_comm=print)
        with pytest.raises(ConfigError, match="needs credentials"):
            await connect(f"{scheme}://127.0.0.1:1", hello={})

    lab.run(check())


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_another_clusters_credentials_are_refused(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    """Credentials of the same name and another authority are of no use, and both sides say so."""
    caplog.set_level(logging.INFO, "jobqueue.comm")
    foreign = Credentials.create(lab.credentials.cluster).others["client"]

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            with pytest.raises(AuthenticationFailed, match="the same cluster"):
                await wire.connect(credentials=foreign)
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())
    (line,) = refusals(caplog)
    assert "cluster" in line


def test_tls_without_a_certificate_is_refused(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever knows the authority but has no certificate gets nothing to read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=lab.credentials.authority.decode())
    name = dns_name(lab.credentials.cluster, "scheduler")

    async def check() -> None:
        async with lab.wire("tls") as wire:
            options = {"ssl": context, "server_hostname": name}
            async with raw(wire.listener.address, **options) as (reader, _):
                assert await read_to_end(reader) == b""
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())
    assert "no certificate" in refusals(caplog)[0]


def test_a_foreign_clients_own_certificate_is_refused(
    lab: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that trusts anybody, with a certificate of another authority, is told off."""
    foreign = Credentials.create("other").others["client"]

    async def check() -> None:
        async with lab.wire("tls") as wire:
            lenient = Credentials(
                lab.credentials.cluster,
                "client",
                lab.credentials.authority,
                foreign.certificate,
                foreign.key,
                b"",
            )
            with pytest.raises(CommError, match="may refuse these credentials"):
                await wire.connect(credentials=lenient)
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())
    assert len(refusals(caplog)) == 1


def test_expired_certificates_are_refused(lab: Any) -> None:
    """The error tells an old certificate, or a clock that is wrong, from a wrong cluster."""
    old = Credentials.create("old", lifetime=datetime.timedelta(hours=-1))

    async def check() -> None:
        async with lab.wire("tls", credentials=old) as wire:
            with pytest.raises(AuthenticationFailed, match=r"has expired; compare the clocks"):
                await wire.connect(credentials=old.others["client"])

    lab.run(check())


def test_only_tls_13_is_spoken(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An older version is refused, certificate or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=lab.credentials.authority.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    name = dns_name(lab.credentials.cluster, "scheduler")

    async def check() -> None:
        async with lab.wire("tls") as wire:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with raw(wire.listener.address, ssl=context, server_hostname=name):
                    pass
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())


def test_tls_to_a_tcp_port_and_the_reverse_say_what_is_wrong(lab: Any) -> None:
    """Mixing the two up is one clear error at once, not a timeout."""

    async def check() -> None:
        async with lab.wire("tcp") as wire:
            address = wire.listener.address.replace("tcp:", "tls:")
            with pytest.raises(
                CommError, match=r"does not speak TLS|want tls:// instead of tcp://"
            ):
                await wire.connect(address=address, timeout=20)
            await wire.check_good_peer()
        async with lab.wire("tls") as wire:
            address = wire.listener.address.replace("tls:", "tcp:")
            with pytest.raises(CommError, match="want tls:// instead of tcp://"):
                await wire.connect(address=address, timeout=20)
            await wire.check_good_peer()

    lab.run(check())


@pytest.mark.parametrize(
    ("role", "hello"), [("worker", "client"), ("client", "worker"), ("client", "agent")]
)
def test_a_hello_must_match_the_certificate(
    lab: Any, caplog: pytest.LogCaptureFixture, role: str, hello: str
) -> None:
    """A worker's certificate makes no client, and the reverse."""

    async def check() -> None:
        async with lab.wire("tls") as wire:
            with pytest.raises(AuthenticationFailed, match=f"its certificate is a {role}'s"):
                await wire.connect(hello={"role": hello}, credentials=lab.credentials.others[role])
            await wait_until_logged(caplog, "event=peer-refused")
            await wire.check_good_peer()

    lab.run(check())
    assert len(refusals(caplog)) == 1


@pytest.mark.parametrize("role", ["worker", "client"])
def test_nobody_else_can_pose_as_the_scheduler(lab: Any, role: str) -> None:
    """Who connects to the scheduler checks that the certificate is the scheduler's."""
    impostor = lab.credentials.others[role]

    async def check() -> None:
        async with lab.wire("tls", credentials=impostor) as wire:
            with pytest.raises(AuthenticationFailed, match="the peer's certificate"):
                await wire.connect(credentials=lab.credentials.others["worker"])

    lab.run(check())


def test_workers_talk_to_each_other_with_their_own_certificates(lab: Any) -> None:
    """Between workers both sides use the same credentials; a client has no business there."""
    worker = lab.credentials.others["worker"]

    async def check() -> None:
        options = {"hello": {"role": "worker"}, "roles": {"peer"}, "credentials": worker}
        async with lab.wire("tls", **options) as wire:
            peer = await wire.connect(hello={"role": "peer"}, credentials=worker, expect="worker")
            assert peer.comm.peer["role"] == "worker"
            with pytest.raises(AuthenticationFailed):
                await wire.connect(expect="worker")

    lab.run(check())


@pytest.mark.parametrize("scheme", STREAMS)
def test_an_oversized_frame_after_the_handshake_ends_the_connection(
    lab: Any, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    """A peer that has proved itself is still held to the limits."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            client.comm._transport.write(struct.pack("!II", (256 << 20) + 1, 0))
            assert "body has 268435457 bytes" in str(await server.wait_reason())
            await client.wait_reason()
            await wire.check_good_peer()

    lab.run(check())
    (line,) = refusals(caplog)
    assert "event=bad-frame" in line


@pytest.mark.parametrize(
    "mode", [0o755, 0o750, 0o701], ids=["world-readable", "group-readable", "searchable"]
)
def test_a_socket_folder_that_others_may_enter_is_refused(
    lab: Any, folder: Path, mode: int
) -> None:
    """The error says which folder, its mode and the remedy."""
    folder.chmod(mode)

    async def check() -> None:
        with pytest.raises(AuthenticationFailed, match=f"mode {mode:04o}.*run: chmod 700 {folder}"):
            async with lab.wire("unix"):
                pass

    lab.run(check())


@root_only
def test_a_socket_folder_of_another_user_is_refused(lab: Any, folder: Path) -> None:
    """Its owner could exchange the socket."""
    os.chown(folder, 65534, -1)

    async def check() -> None:
        with pytest.raises(AuthenticationFailed, match="belongs to uid 65534"):
            async with lab.wire("unix"):
                pass

    lab.run(check())


CONNECT_AS_NOBODY = """
import os, socket, sys
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
print(sock.recv(1000))
"""

LISTEN_AS_NOBODY = """
import os, socket, sys
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@root_only
def test_another_users_process_is_refused_at_the_socket(
    lab: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if the folder is opened to others afterwards, the peer's uid is checked."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            os.chmod(folder, 0o755)
            os.chmod(folder / "socket", 0o777)
            command = [sys.executable, "-c", CONNECT_AS_NOBODY, str(folder / "socket")]
            said = await asyncio.to_thread(subprocess.run, command, capture_output=True)
            assert said.stdout in (b"b''\n", b""), said
            await wait_until_logged(caplog, "runs as uid 65534")
            await wire.check_good_peer()

    lab.run(check())
    assert len(refusals(caplog)) == 1


@root_only
def test_another_users_listener_is_refused_by_who_connects(lab: Any, folder: Path) -> None:
    """A socket that somebody else listens on gets nothing from us."""
    folder.chmod(0o777)
    path = folder / "socket"
    command = [sys.executable, "-c", LISTEN_AS_NOBODY, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"

        async def check() -> None:
            with pytest.raises(AuthenticationFailed, match="runs as uid 65534"):
                await connect(f"unix://{path}", hello={"role": "client"})

        lab.run(check())
        process.stdin.close()


def test_a_stale_socket_file_is_replaced_and_a_live_one_is_not(lab: Any, folder: Path) -> None:
    """What a killed process left behind is no obstacle; a living listener is not robbed."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            with pytest.raises(CommError, match="is in use"):
                await listen(wire.listener.address, hello={}, on_comm=print)
            wire.listener._path = ""  # as if killed: the file stays
            wire.listener.close()
            await wire.listener.wait_closed()
            assert stat.S_ISSOCK((folder / "socket").stat().st_mode)
            await wire.listen()
            await wire.check_good_peer()
        assert not (folder / "socket").exists()

    lab.run(check())


def test_a_file_that_is_no_socket_is_left_alone(lab: Any, folder: Path) -> None:
    """Nothing but a stale socket is ever removed."""
    (folder / "socket").write_text("precious")

    async def check() -> None:
        with pytest.raises(CommError, match="is in use"):
            async with lab.wire("unix"):
                pass

    lab.run(check())
    assert (folder / "socket").read_text() == "precious"


def test_a_path_too_long_for_a_socket_is_one_clear_error(lab: Any, folder: Path) -> None:
    """The error names the length, the limit and the remedy, on both sides."""
    address = f"unix://{folder}/{'x' * 100}"

    async def check() -> None:
        for attempt in (
            listen(address, hello={}, on_comm=print),
            connect(address, hello={"role": "client"}),
        ):
            with pytest.raises(CommError, match=r"has 1\d\d bytes.*107.*TMPDIR"):
                await attempt

    lab.run(check())
