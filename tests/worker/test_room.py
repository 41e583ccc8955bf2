"""How much of what a worker sends may be in memory at a time."""

from __future__ import annotations

import asyncio
import random

from jobqueue.worker.room import Room


def test_no_more_than_fits_is_under_way():
    """Whatever sizes ask for it, in whatever order they end; each gets in, in the end."""

    async def main() -> None:
        room, choose = Room(100), random.Random(1)
        taken, most, order = 0, 0, []

        async def one(number: int, size: int) -> None:
            nonlocal taken, most
            async with room.of(size):
                order.append(number)
                taken += size
                most = max(most, taken)
                for _ in range(choose.randrange(5)):
                    await asyncio.sleep(0)
                taken -= size

        await asyncio.gather(*(one(n, choose.randrange(100)) for n in range(300)))
        assert order == list(range(300))
        assert 50 < most <= 100
        assert repr(room) == "<Room: 0 of 100 bytes taken, 0 wait>"

    asyncio.run(main())


def test_what_is_larger_than_all_room_gets_in_alone():
    """Late, but at all."""

    async def main() -> None:
        room = Room(100)
        async with room.of(10):
            large = asyncio.create_task(take(room, 1000))
            small = asyncio.create_task(take(room, 1))
            await asyncio.sleep(0)
            assert not large.done()
            assert not small.done()
        assert await large == "<Room: 1000 of 100 bytes taken, 1 wait>"
        await small

    async def take(room: Room, size: int) -> str:
        async with room.of(size):
            return repr(room)

    asyncio.run(main())


def test_who_is_cancelled_takes_no_room():
    """While it waits, and in the moment when it gets in."""

    async def main() -> None:
        room = Room(100)

        async def take() -> None:
            async with room.of(80):
                await asyncio.sleep(0)

        async with room.of(80):
            tasks = [asyncio.create_task(take()) for _ in range(4)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[2].cancel()
            await asyncio.sleep(0)
        tasks[1].cancel()  # its turn has come
        await asyncio.wait(tasks)
        assert not tasks[3].cancelled()
        assert repr(room) == "<Room: 0 of 100 bytes taken, 0 wait>"

    asyncio.run(main())
