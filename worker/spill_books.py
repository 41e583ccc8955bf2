"""Which values a worker has, and where each of them is: in memory, in a file, or both.

Rules of this file: it only keeps count. Nothing is pickled, unpickled, read or written here, so
that its lock, under which all of it happens, is held for no time. A value that is being written is
still in memory, and is used from there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Any, Final, NamedTuple

from jobqueue.protocol.payload import Serialized

ABSENT: Final = object()
"""What stands for a value that is not in memory as itself."""


class Stored(NamedTuple):
    """How much a store holds.

    Parameters
    ----------
    memory
        Bytes of values in memory, roughly.
    spilled
        Bytes of values that are in files only.
    """

    memory: int
    spilled: int


class Entry:
    """One value.

    Attributes
    ----------
    value
        It itself, or `ABSENT`.
    packed
        As it came over the wire, or None.
    size
        Its bytes in memory; of one that is in a file only, when it was last there.
    file
        The number of its file, or None.
    loading
        Held by whoever reads or unpickles it: one thread at a time.
    """

    __slots__ = ("file", "loading", "packed", "size", "value")

    def __init__(self, value: Any, packed: Serialized | None, size: int) -> None:
        self.value = value
        self.packed = packed
        self.size = size
        self.file: int | None = None
        self.loading = threading.Lock()

    @property
    def in_memory(self) -> bool:
        """Whether it need not be read from its file."""
        return self.value is not ABSENT or self.packed is not None


class Leaving(NamedTuple):
    """A value that is about to leave memory, and the bytes that will be free then."""

    key: str
    entry: Entry
    size: int


class Books:
    """Entries by key. To be used from any thread.

    Attributes
    ----------
    rubbish
        Numbers of files that nobody needs any more.

    Examples
    --------
    >>> books = Books()
    >>> books.add("x-1", Entry("a value", None, 600))
    >>> leaving = books.take_out()
    >>> books.stored, books.staying
    (Stored(memory=600, spilled=0), 0)
    >>> books.gone(leaving, file=1)
    >>> books.stored
    Stored(memory=0, spilled=600)
    """

    def __init__(self) -> None:
        self.rubbish: deque[int] = deque()
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        # In memory, least recently used first; without those that are being written, and those
        # that cannot be.
        self._order: OrderedDict[str, Entry] = OrderedDict()
        self._memory = 0
        self._leaving = 0  # bytes of what is being written
        self._spilled = 0

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def stored(self) -> Stored:
        """How much there is."""
        return Stored(self._memory, self._spilled)

    @property
    def staying(self) -> int:
        """How many bytes will be in memory when all that leaves it has left."""
        return self._memory - self._leaving

    @property
    def movable(self) -> bool:
        """Whether there is anything that `take_out` could give."""
        return bool(self._order)

    def keys(self) -> list[str]:
        """Return the keys of all values."""
        with self._lock:
            return list(self._entries)

    def size(self, key: str) -> int:
        """Return the bytes of a value in memory; 0 if it is not here."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.size

    def use(self, key: str) -> Entry:
        """Return an entry, which is the last one now to leave memory.

        Raises
        ------
        KeyError
            It is not here.
        """
        with self._lock:
            entry = self._entries[key]
            if key in self._order:
                self._order.move_to_end(key)
            return entry

    # -- values come and go ------------------------------------------------------------------------

    def add(self, key: str, entry: Entry) -> None:
        """Take in a value that is in memory, in place of another one perhaps."""
        with self._lock:
            self._drop(key)
            self._entries[key] = self._order[key] = entry
            self._memory += entry.size

    def drop(self, key: str) -> None:
        """Forget a value, if it is here."""
        with self._lock:
            self._drop(key)

    def lose(self, key: str, entry: Entry) -> bool:
        """Forget a value that cannot be read back; False if it was forgotten already."""
        with self._lock:
            lost = self._entries.get(key) is entry
            if lost:
                self._drop(key)
            return lost

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            for key in list(self._entries):
                self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._order.pop(key, None)
        if entry.in_memory:
            self._memory -= entry.size
        else:
            self._spilled -= entry.size
        if entry.file is not None:
            self.rubbish.append(entry.file)

    # -- they come into memory, and leave it -------------------------------------------------------

    def loaded(self, key: str, entry: Entry, value: Any, size: int) -> None:
        """Keep what was made of a value's pickle, unless it was dropped meanwhile."""
        with self._lock:
            if self._entries.get(key) is not entry:
                return
            if entry.in_memory:
                self._memory -= entry.size
            else:
                self._spilled -= entry.size
                self._order[key] = entry
            entry.value, entry.packed, entry.size = value, None, size
            self._memory += size

    def take_out(self) -> Leaving | None:
        """Choose the least recently used value to leave memory, to report with `gone`."""
        with self._lock:
            if not self._order:
                return None
            key, entry = self._order.popitem(last=False)
            self._leaving += entry.size
            return Leaving(key, entry, entry.size)

    def stays(self, leaving: Leaving) -> None:
        """Have it be the first to leave another time; `gone` is to be called all the same."""
        with self._lock:
            if self._entries.get(leaving.key) is leaving.entry:
                self._order[leaving.key] = leaving.entry
                self._order.move_to_end(leaving.key, last=False)

    def gone(self, leaving: Leaving, file: int | None) -> None:
        """Take note that it has left memory, or has not if there is no file with it.

        Parameters
        ----------
        leaving
            What `take_out` has chosen.
        file
            The file that was written for it, None if that failed, or was done another time.
        """
        key, entry, size = leaving
        with self._lock:
            self._leaving -= size
            if self._entries.get(key) is not entry:  # dropped while it was written
                if file is not None:
                    self.rubbish.append(file)
                return
            entry.file = entry.file if file is None else file
            if entry.file is not None:
                self._memory -= entry.size
                self._spilled += entry.size
                entry.value, entry.packed = ABSENT, None

    def validate(self) -> None:
        """Raise AssertionError if they contradict themselves, while no value is on its way."""
        entries = self._entries.values()
        assert self._memory == sum(entry.size for entry in entries if entry.in_memory)
        assert self._spilled == sum(entry.size for entry in entries if not entry.in_memory)
        assert self._leaving == 0
        assert all(entry.file is not None for entry in entries if not entry.in_memory)
        assert all(self._entries[key] is entry for key, entry in self._order.items())
