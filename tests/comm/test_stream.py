"""What is particular to connections over a stream of bytes."""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import resource
from typing import Any

import pytest

from jobqueue.comm import stream as module
from jobqueue.comm.outgoing import SLICE
from jobqueue.errors import CommError
from jobqueue.protocol.frames import FrameLimits
from jobqueue.protocol.payload import Payload


def test_a_large_buffer_is_sent_without_being_copied_and_lands_in_its_own_memory(lab: Any) -> None:
    """While it waits, what is queued is a view of the sender's memory; what arrives is writable."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            client, server = await wire.pair()
            original = bytearray(64 << 20)
            server.comm.pause()
            client.comm.send([("result", Payload(b"head", [original]))])
            assert client.comm._transport.get_write_buffer_size() <= SLICE
            assert all(memoryview(c).obj is original for c in client.comm._outgoing._chunks)
            assert client.comm.pending_bytes > 32 << 20
            server.comm.resume()
            ((_, payload),) = await server.wait_messages(1)
            (received,) = payload.buffers
            assert isinstance(received.obj, mmap.mmap)
            assert not received.readonly
            assert received == original

    lab.run(check())


def test_a_message_over_the_limits_is_the_senders_error(lab: Any) -> None:
    """The connection lives on, and the other messages are sent in frames that fit."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            client, server = await wire.pair()
            client.comm._limits = FrameLimits(body=1000)
            with pytest.raises(CommError, match=r"'big' message has .* limit .* 1000"):
                client.comm.send([("big", bytes(2000))])
            client.comm.send([("fits", bytes(600))] * 5)
            await server.wait_messages(5)

    lab.run(check())


@pytest.mark.parametrize("scheme", ["unix", "tcp", "tls"])
def test_a_peer_that_never_reads_cannot_hold_a_closed_connection(
    lab: Any, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flushing is given up after a while."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.1)

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.pause()
            client.comm.send([("n", bytes(50 << 20))])
            client.comm.close()
            assert "this side closed" in str(await client.wait_reason())

    lab.run(check())


@pytest.mark.parametrize("scheme", ["unix", "tcp", "tls"])
def test_many_sends_to_a_peer_that_is_gone_are_quiet(
    lab: Any, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Until the event loop has told of the end, asyncio would warn of each write."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            client, server = await wire.pair()
            server.comm.abort()
            await server.wait_reason()
            for _ in range(50):
                client.comm.send([("n", bytes(500_000))])
            await client.wait_reason()

    lab.run(check())
    assert "socket.send() raised" not in caplog.text


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts files as Linux shows them")
@pytest.mark.parametrize("scheme", ["unix", "tcp", "tls"])
def test_connections_leave_nothing_behind(lab: Any, scheme: str) -> None:
    """Neither files nor objects stay after hundreds of connections."""

    async def check() -> None:
        async with lab.wire(scheme) as wire:
            await wire.check_good_peer()
            files = open_files()
            for _ in range(20):
                await wire.check_good_peer()
            wire._ends.clear()
            wire.accepted.clear()
            await asyncio.sleep(0)
            assert open_files() <= files
            gc.collect()
            alive = [o for o in gc.get_objects() if type(o) is module.StreamComm]
            assert len(alive) <= 2

    lab.run(check())


def test_idle_connections_are_small(lab: Any) -> None:
    """Hundreds of them cost the scheduler little memory each."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            await wire.check_good_peer()
            before = resident()
            ends = [await wire.connect() for _ in range(100)]
            await wire.wait_accepted(100)
            # Both ends of each are in this process.
            assert resident() - before < 100 * 200_000
            assert len(ends) == 100

    lab.run(check())


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
