"""Connections in memory, seen from a worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.protocol.payload import Payload
from jobqueue.worker.link import Link


class FakeComm:
    def __init__(self, peer_address: str) -> None:
        self.peer_address = peer_address
        self.frames: list[Any] = []

    def start(self, on_messages: Any, on_closed: Any) -> None:
        self.on_messages = on_messages

    def send(self, messages: Any) -> None:
        self.frames.append(list(messages))


@pytest.mark.parametrize(("address", "shared"), [("memory://1", False), ("unix:///x", True)])
def test_in_memory_nobody_sees_what_a_task_does_to_its_arrays(address, shared):
    """Over a socket everybody has copies anyway."""

    async def main() -> None:
        link, comm, got = Link(), FakeComm(address), []
        link.attach(comm, got.extend, print)  # type: ignore[arg-type]
        array = bytearray(b"1")
        message = ("data", 7, [("key", Payload(b"", [array]))])
        comm.on_messages((message,))
        link.send([message])
        array[:] = b"2"
        for _, _, ((_, payload),) in (got[0], comm.frames[0][0]):
            assert payload.buffers == [b"2" if shared else b"1"]

    asyncio.run(main())
