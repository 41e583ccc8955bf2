"""The accepting side: places for handshakes, shortage of files, its end."""

from __future__ import annotations

import asyncio
import errno
import logging
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


def test_a_shortage_of_files_is_survived(
    lab: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Accepting fails while the process has no file descriptor left, and goes on afterwards."""
    monkeypatch.setattr(module, "_ACCEPT_PAUSE", 0.01)

    async def check() -> None:
        loop = asyncio.get_running_loop()
        accept, failures = loop.sock_accept, [OSError(errno.EMFILE, "Too many open files")] * 3

        async def accept_or_fail(sock: Any) -> Any:
            if failures:
                raise failures.pop()
            return await accept(sock)

        monkeypatch.setattr(loop, "sock_accept", accept_or_fail)
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
