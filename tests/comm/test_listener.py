"""The accepting side: places for handshakes, shortage of files, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import socket
from typing import Any

import pytest

from jobqueue.comm import listener as module
from jobqueue.comm import parse_address


def test_the_address_holds_the_real_port(lab: Any) -> None:
    """Port 0 becomes the one that was free."""

    async def check() -> None:
        async with lab.wire("tls") as wire:
            parsed = parse_address(wire.listener.address)
            assert parsed.port > 0
            assert repr(wire.listener) == f"<StreamListener tls://127.0.0.1:{parsed.port}>"

    lab.run(check())


def test_closing_ends_handshakes_under_way(lab: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has said nothing yet is let go at once, with a line in the log."""
    caplog.set_level(logging.INFO)

    async def check() -> None:
        async with lab.wire("tcp") as wire:
            address = parse_address(wire.listener.address)
            reader, writer = await asyncio.open_connection(address.host, address.port)
            while not wire.listener._handshakes:  # noqa: ASYNC110 - which nobody is told of
                await asyncio.sleep(0)
            wire.listener.close()
            await wire.listener.wait_closed()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    lab.run(check())
    assert "ended before its handshake was complete" in caplog.text


@pytest.mark.parametrize("turns", range(6))
def test_closing_while_somebody_comes(lab: Any, turns: int) -> None:
    """In whatever turn of the loop it happens, no connection is left open, nor a socket lost."""

    async def check() -> None:
        async with lab.wire("tcp") as wire:
            address = parse_address(wire.listener.address)
            with socket.create_connection((address.host, address.port)) as peer:
                for _ in range(turns):
                    await asyncio.sleep(0)
                wire.listener.close()
                await wire.listener.wait_closed()
                gc.collect()  # a lost socket is a warning, and so an error
                peer.settimeout(60)
                with contextlib.suppress(ConnectionResetError):  # nobody had accepted it
                    assert await asyncio.to_thread(peer.recv, 100) == b""

    lab.run(check())


def test_a_shortage_of_files_is_survived(
    lab: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Accepting fails while the process has no file descriptor left, and goes on afterwards."""
    monkeypatch.setattr(module, "_ACCEPT_PAUSE", 0.01)

    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "Too many open files")] * 3

    def accept_or_fail(sock: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return accept(sock)

    async def check() -> None:
        monkeypatch.setattr(socket.socket, "accept", accept_or_fail)
        async with lab.wire("unix") as wire:
            await wire.check_good_peer()

    lab.run(check())
    assert caplog.text.count("event=accept-failed") == 3
    assert "Too many open files" in caplog.text


def test_an_on_comm_that_fails_costs_that_connection(
    lab: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged with its traceback, being our own, and the next peer is served."""

    async def check() -> None:
        async with lab.wire("unix") as wire:
            wire.listener._on_comm = fail_once(wire._on_comm)
            client = (await wire.connect()).start()
            await client.wait_reason()
            await wire.check_good_peer()

    def fail_once(then: Any) -> Any:
        calls: list[Any] = []

        def on_comm(comm: Any) -> None:
            calls.append(comm)
            if len(calls) == 1:
                raise KeyError("no such worker")
            then(comm)

        return on_comm

    lab.run(check())
    assert "event=callback-failed" in caplog.text
    assert "no such worker" in caplog.text
