"""Signs of life: how often, and what a worker concludes when they are not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jobqueue.errors import CommClosed
from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message
from jobqueue.worker.heartbeat import PATIENCE, Heartbeat

Make = Callable[..., Any]


class FakeComm:
    """A connection that can be told to grow, and tells why it was ended."""

    def __init__(self) -> None:
        self.received = 0
        self.pending_bytes = 10**9
        self.ended = asyncio.get_running_loop().create_future()

    def abort(self, reason: CommClosed) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


class FakeLink:
    """Counts what is said; `answer` is called each time."""

    def __init__(self) -> None:
        self.comm: FakeComm | None = FakeComm()
        self.said = 0
        self.answer: Callable[[], object] = lambda: None
        self.changed = asyncio.Condition()

    def say(self, message: Message) -> None:
        assert message == (m.HEARTBEAT, {"memory": 5})
        self.said += 1
        self.answer()
        self.changed_soon = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def says(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.said >= count)


def run(check: Callable[[FakeLink, Callable[[str], Heartbeat]], Any]) -> None:
    """Call `check(link, make)`; `make(address)` is a heartbeat, which is stopped at the end."""

    async def main() -> None:
        link = FakeLink()
        made: list[Heartbeat] = []

        def make(address: str) -> Heartbeat:
            numbers: Mapping[str, Any] = {"memory": 5}
            heart = Heartbeat(link, lambda: numbers, addresses=[address], credentials=None)  # type: ignore[arg-type]
            heart.every(0.01)
            heart.start()
            made.append(heart)
            return heart

        try:
            async with asyncio.timeout(20):
                await check(link, make)
        finally:
            for heart in made:
                heart.stop()
            if link.said:
                await link.changed_soon

    asyncio.run(main())


def test_a_connection_on_which_only_silence_comes_is_given_up(fake_scheduler: Make) -> None:
    """The scheduler answers elsewhere: so it is the connection that is dead, half of it or all."""

    async def check(link: FakeLink, make: Callable[[str], Heartbeat]) -> None:
        async with fake_scheduler() as scheduler:
            make(scheduler.address)
            assert link.comm is not None
            reason = await link.comm.ended
            assert "though the scheduler answers elsewhere" in str(reason)
            assert link.said >= 2 * PATIENCE

    run(check)


def test_a_scheduler_that_is_nowhere_to_be_found_is_waited_for(folder: Any) -> None:
    """Its process may be stopped or busy; what this worker holds is not to be lost for that."""

    async def check(link: FakeLink, make: Callable[[str], Heartbeat]) -> None:
        make(f"unix://{folder}/nobody")
        await link.says(5 * PATIENCE)
        assert link.comm is not None
        assert not link.comm.ended.done()

    run(check)


@pytest.mark.parametrize("sign", ["answers", "bytes that come", "bytes that leave"])
def test_whoever_is_heard_is_there(fake_scheduler: Make, sign: str) -> None:
    """By its answers; or while a large message is on its way for long, to it or from it."""

    async def check(link: FakeLink, make: Callable[[str], Heartbeat]) -> None:
        async with fake_scheduler() as scheduler:
            heart = make(scheduler.address)
            assert link.comm is not None

            def answer() -> None:
                assert link.comm is not None
                if sign == "answers":
                    heart.answered({})
                elif sign == "bytes that come":
                    link.comm.received += 1
                else:
                    link.comm.pending_bytes -= 1

            link.answer = answer
            await link.says(6 * PATIENCE)
            assert not link.comm.ended.done()

    run(check)


def test_without_a_connection_nothing_is_said() -> None:
    """And the next one begins without the silence of the last one."""

    async def check(link: FakeLink, make: Callable[[str], Heartbeat]) -> None:
        make("unix:///nowhere")
        await link.says(PATIENCE + 1)
        link.comm, said = None, link.said
        await asyncio.sleep(0.05)
        assert link.said == said
        link.comm = FakeComm()
        await link.says(said + PATIENCE)
        assert not link.comm.ended.done()

    run(check)
