"""How much of what a worker sends may be in memory at a time.

A value that lies on disk, or is copied by being pickled, takes memory from when it is read until
its receiver has taken it. Hundreds may be asked for at once; so they are read one after another, as
room allows, for each receiver apart: one that takes nothing is not to keep others waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

SEND_AHEAD: Final = 64 * 2**20
"""Most bytes of values that are made ready for one receiver before it has taken those before."""


class Room:
    """Room for values, in the order in which they ask for it. Lives in one event loop.

    Parameters
    ----------
    size
        Bytes. What is larger than that gets in alone.

    Examples
    --------
    >>> async def main():
    ...     room = Room(100)
    ...     async with room.of(60), room.of(40):
    ...         return room
    >>> asyncio.run(main())
    <Room: 0 of 100 bytes taken, 0 wait>
    """

    def __init__(self, size: int = SEND_AHEAD) -> None:
        self._size = size
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        """``<Room: 60 of 100 bytes taken, 3 wait>``."""
        return f"<Room: {self._taken} of {self._size} bytes taken, {len(self._waiting)} wait>"

    @contextlib.asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Wait for room, and take it for the length of a block."""
        if self._waiting or not self._fits(size):
            await self._wait(size)
        else:
            self._taken += size
        try:
            yield
        finally:
            self._leave(size)

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._size

    async def _wait(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had got in a moment before
                self._leave(size)
            raise

    def _leave(self, size: int) -> None:
        self._taken -= size
        while self._waiting and (
            self._waiting[0][1].cancelled() or self._fits(self._waiting[0][0])
        ):
            size, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken += size
                turn.set_result(None)
