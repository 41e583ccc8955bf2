"""What each thread of a worker is running, where its agent can read it after the worker's death.

A page of memory that both processes share. A thread writes the key of a task before it runs it, and
wipes it out afterwards: two stores, since it is done for every task. What the scheduler can know is
less, for results are told of in batches: of a flood of short tasks, hundreds that have ended look
as if they had not.

Every thread has a slot of its own: a byte that says how long the key is, and the key. The page says
that it does not know, rather than leaving somebody out, if a key or a thread has no room. Only that
byte is wiped out, so what a thread has run last can be read as well.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import deque
from struct import Struct
from typing import Final

SLOT: Final = 256
"""Bytes of one slot."""

SLOTS: Final = 64
"""How many there are; the last is for saying that they were too few."""

note = Struct(f"{SLOT}p").pack_into
"""``note(memory, at, key)``: write a key (bytes) into a slot. One that is too long is cut off, and
its length then is `UNKNOWN`. Writing 0 to ``memory[at]`` wipes it out."""

UNKNOWN: Final = SLOT - 1
"""The length that stands for anything that does not fit."""

KEYS: Final = ("utf-8", "surrogatepass")
"""How keys are encoded: they may be names of files, in which anything can stand."""

_LAST: Final = (SLOTS - 1) * SLOT

Slot = tuple[mmap.mmap | bytearray, int]
"""Memory, and where in it."""


class Board:
    """The worker's end.

    Parameters
    ----------
    fd
        The page, `WorkerOptions.board`; None if nobody will read it. It is closed.

    Examples
    --------
    >>> board = Board(None)
    >>> memory, at = board.take()
    >>> note(memory, at, b"inc-2f")
    """

    def __init__(self, fd: int | None) -> None:
        self._memory: mmap.mmap | bytearray = bytearray(SLOT * SLOTS)
        if fd is not None:
            self._memory = mmap.mmap(fd, SLOT * SLOTS)
            os.close(fd)  # what tasks start is not to inherit it
        self._free = deque(range(0, _LAST, SLOT))

    def take(self) -> Slot:
        """Return a slot for a thread. From any thread."""
        try:
            return self._memory, self._free.popleft()
        except IndexError:
            self._memory[_LAST] = UNKNOWN
            return bytearray(SLOT), 0

    def give_back(self, slot: Slot) -> None:
        """Take the slot of a thread that ends. From any thread."""
        memory, at = slot
        memory[at] = 0
        if memory is self._memory:
            self._free.append(at)


class SharedBoard:
    """The agent's end.

    Parameters
    ----------
    fd
        The page.

    Examples
    --------
    >>> shared = SharedBoard.make()
    >>> shared.running()
    []
    >>> shared.close()
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, SLOT * SLOTS)

    @classmethod
    def make(cls) -> SharedBoard | None:
        """Make a page, for one worker process; None if this system has no such thing."""
        if not hasattr(os, "memfd_create"):
            return None
        with contextlib.suppress(OSError):
            fd = os.memfd_create("jobqueue-board")
            try:
                os.ftruncate(fd, SLOT * SLOTS)
                return cls(fd)
            except OSError:
                os.close(fd)
        return None

    def running(self) -> list[str] | None:
        """Return the keys that stand there; None if some do not fit.

        To be called when the worker is dead: before, it may be writing.
        """
        memory, keys = self._memory, []
        for at in range(0, SLOT * SLOTS, SLOT):
            length = memory[at]
            if length == UNKNOWN:
                return None
            if length:
                keys.append(memory[at + 1 : at + 1 + length].decode(*KEYS))
        return keys

    def ended(self) -> list[str]:
        """Return the keys of what ended last in threads that are running nothing.

        A task may harm its process, its open files for instance, so that it dies a moment later.
        """
        memory = self._memory
        slots = [memory[at : at + SLOT] for at in range(0, _LAST, SLOT)]
        ended = [slot[1:].rstrip(b"\0") for slot in slots if not slot[0]]
        return [key.decode("utf-8", "replace") for key in ended if key]

    def close(self) -> None:
        """Give the page back."""
        self._memory.close()
        os.close(self.fd)
