"""The line in which items wait for a thread. A C queue, which can be paused."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from jobqueue.worker.items import Item


class Line:
    """Items in the order in which they came. All but `get` is called from the event loop.

    Attributes
    ----------
    get
        Waits for the next item and returns it, or None for a thread that is to look up. An item may
        have been withdrawn: whoever removes its key from `waiting` first has it.
    waiting
        The items that nobody has taken, by key.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, Item] = {}
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._held: deque[Item] | None = None  # while paused: what the queue would hold
        self._enqueue: Callable[[Item], object] = self._queue.put
        self.get: Callable[[], Item | None] = self._queue.get

    def put(self, item: Item) -> None:
        """Have an item wait at the end."""
        self.waiting[item.key] = item
        self._enqueue(item)

    def withdraw(self, key: str) -> bool:
        """Take an item out; return whether it still waited."""
        return self.waiting.pop(key, None) is not None

    def clear(self) -> None:
        """Take all out."""
        self.waiting.clear()  # so what the queue holds is void
        if self._held is not None:
            self._held.clear()

    def have_look_up(self, count: int) -> None:
        """Have so many of those that wait for an item look up, even while it is paused."""
        for _ in range(count):
            self._queue.put(None)

    def pause(self) -> None:
        """Let nobody have an item."""
        if self._held is not None:
            return
        held = self._held = deque()
        self._enqueue = held.append
        looks = 0
        with contextlib.suppress(Empty):
            while True:
                item = self._queue.get_nowait()
                if item is None:
                    looks += 1
                else:
                    held.append(item)
        self.have_look_up(looks)

    def resume(self) -> None:
        """Let them be had again, in the order in which they came."""
        held, self._held = self._held, None
        self._enqueue = self._queue.put
        for item in held or ():
            self._queue.put(item)
