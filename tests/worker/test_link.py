"""What a worker says to its scheduler."""

from __future__ import annotations

import asyncio
from typing import Any

from jobqueue.worker.link import Link


class FakeComm:
    peer_address = "tls://10.0.0.1:4000"

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def send(self, messages: Any) -> None:
        self.frames.append(list(messages))


def test_what_is_said_in_one_turn_is_one_frame():
    """What is sent at once goes ahead."""

    async def main() -> None:
        link, comm = Link(), FakeComm()
        link.comm = comm  # type: ignore[assignment]
        link.say(("a",))
        link.say(("b",))
        link.send([("c",)])
        link.send([])
        await asyncio.sleep(0)
        link.say(("d",))
        await asyncio.sleep(0)
        assert comm.frames == [[("c",)], [("a",), ("b",)], [("d",)]]

    asyncio.run(main())


def test_without_a_scheduler_it_is_dropped():
    """Another one would not know what it is about."""

    async def main() -> None:
        link, comm = Link(), FakeComm()
        link.say(("a",))
        link.send([("b",)])
        await asyncio.sleep(0)
        link.say(("c",))
        link.forget()
        link.comm = comm  # type: ignore[assignment]
        await asyncio.sleep(0)
        assert comm.frames == []
        link.say(("d",))
        await asyncio.sleep(0)
        assert comm.frames == [[("d",)]]

    asyncio.run(main())


def test_a_task_that_ends_after_everything_harms_nobody():
    """Its event loop is closed by then."""

    async def main() -> Link:
        return Link()

    asyncio.run(main()).in_loop(print)
