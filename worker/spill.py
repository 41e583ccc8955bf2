"""Results in memory as long as there is room, and in files when there is not.

Rules of this file:

- A value is written once. Values are not changed by anybody, so when one that was read back has to
  leave memory again, its file is still good.
- The lock guards the books alone: nothing is pickled, unpickled, read or written under it. A value
  that is being written is still in memory, and is used from there.
- The event loop never waits for a file. Files are written by the threads that store results, which
  so cannot outrun the disk, and by the thread of `jobqueue.worker.memory`; read by the threads that
  need the value; removed by either of these.
- What cannot be pickled stays in memory. What cannot be written for now (a full disk) stays too,
  and is tried again later. What cannot be read back is lost, and says so with a KeyError: the
  scheduler has it computed again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from jobqueue.errors import SerializationError
from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.room import SEND_AHEAD
from jobqueue.worker.sizeof import sizeof
from jobqueue.worker.spill_folder import SpillFolder
from jobqueue.worker.store import Store

logger = logging.getLogger("jobqueue.worker")

BACKOFF = 5.0
"""Seconds until a disk that refused a value is tried again."""

_ABSENT = object()


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


class _Entry:
    """One value: in memory as itself or as it came over the wire, in a file, or both."""

    __slots__ = ("file", "loading", "packed", "size", "value")

    def __init__(self, value: Any, packed: Serialized | None, size: int) -> None:
        self.value = value
        self.packed = packed
        self.size = size  # in memory; of a value that is in a file only, when it was last there
        self.file: int | None = None
        self.loading = threading.Lock()

    @property
    def in_memory(self) -> bool:
        return self.value is not _ABSENT or self.packed is not None


class SpillingStore(Store):
    """Values by key, the least recently used of them in files when there are too many.

    Parameters
    ----------
    folder
        Where the files go.
    target
        Bytes that values may take in memory.
    clock
        Tells the time in seconds.

    Attributes
    ----------
    on_full
        Called by the event loop when it has stored more than the target, as it cannot spill itself.

    Examples
    --------
    >>> store = SpillingStore(SpillFolder("/tmp"), target=1000)
    >>> store.put("x-1", bytes(600))
    >>> store.put("x-2", bytes(600))
    >>> store.stored
    Stored(memory=633, spilled=633)
    >>> store.get("x-1") == bytes(600)
    True
    >>> store.close()
    """

    def __init__(
        self, folder: SpillFolder, target: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.target = target
        self.on_full: Callable[[], object] | None = None
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        # In memory, least recently used first; without those that are being written, and those
        # that cannot be.
        self._order: OrderedDict[str, _Entry] = OrderedDict()
        self._memory = 0
        self._leaving = 0  # bytes of what is being written
        self._spilled = 0
        self._rubbish: deque[int] = deque()  # files that nobody needs
        self._not_before = 0.0  # when the disk refused something
        self._told: set[type] = set()  # types of which it was said that they cannot be spilled

    def __repr__(self) -> str:
        """``<SpillingStore: 20 values, 1000 bytes in memory, 5000 in files>``."""
        count, (memory, spilled) = len(self._entries), self.stored
        return f"<SpillingStore: {count} values, {memory} bytes in memory, {spilled} in files>"

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def stored(self) -> Stored:
        """How much there is."""
        return Stored(self._memory, self._spilled)

    @property
    def pending(self) -> bool:
        """Whether `shrink` has something to do."""
        full = self._memory - self._leaving > self.target and self._order and not self.refused
        return bool(full or self._rubbish)

    @property
    def refused(self) -> bool:
        """Whether the disk takes nothing for now."""
        return self._clock() < self._not_before

    # -- as any store ------------------------------------------------------------------------------

    @property
    def send_ahead(self) -> int:
        """How many bytes of values may be made ready to be sent to one receiver, see `Room`."""
        return int(min(SEND_AHEAD, self.target / 10))

    def size(self, key: str) -> int:
        """Return roughly how many bytes a value takes in memory; 0 if it is not here."""
        entry = self._entries.get(key)
        return 0 if entry is None else entry.size

    def put(self, key: str, value: Any) -> None:
        """Keep a value. To be called by the thread that made it, which may have to write files."""
        self._put(key, _Entry(value, None, sizeof(value)))
        self.shrink()

    def put_serialized(self, key: str, serialized: Serialized) -> None:
        """Keep a value as it came over the wire; it is unpickled when a task needs it."""
        self._put(key, _Entry(_ABSENT, serialized, nbytes(serialized)))
        if self.on_full is not None and self._memory - self._leaving > self.target:
            self.on_full()

    def _put(self, key: str, entry: _Entry) -> None:
        with self._lock:
            self._drop(key)
            self._entries[key] = self._order[key] = entry
            self._memory += entry.size

    def get(self, key: str) -> Any:
        """Return a value, read back if need be.

        Raises
        ------
        KeyError
            It is not here, or not any more.
        SerializationError
            It cannot be unpickled here.
        """
        entry = self._use(key)
        value = entry.value
        if value is _ABSENT:
            with entry.loading:  # whoever comes second waits, and takes what the first has read
                value = entry.value
                if value is _ABSENT:
                    value = self._load(key, entry)
            self.shrink()
        return value

    def get_serialized(self, key: str) -> Serialized:
        """Return a value as it goes over the wire; what is in a file only is not kept in memory.

        Raises
        ------
        KeyError
            It is not here, or not any more.
        SerializationError
            It cannot be pickled.
        """
        entry = self._use(key)
        packed, value = entry.packed, entry.value
        if value is not _ABSENT:
            return dumps(value)
        return self._read(key, entry) if packed is None else packed

    def discard(self, key: str) -> None:
        """Drop a value, if it is here."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            for key in list(self._entries):
                self._drop(key)

    def close(self) -> None:
        """Drop everything, and remove the files."""
        self.clear()
        self._folder.close()

    # -- spilling ----------------------------------------------------------------------------------

    def shrink(self) -> None:
        """Spill until no more than the target is in memory, or nothing more can be spilled."""
        self.tidy()
        while self._memory - self._leaving > self.target and self.spill():
            pass

    def release(self, size: float) -> bool:
        """Spill until that many bytes less are in memory; return whether any have left it."""
        before = self._memory
        while self._memory > before - size and self.spill():
            pass
        return self._memory < before

    def spill(self) -> bool:
        """Take the least recently used value out of memory.

        Returns
        -------
        bool
            Whether to go on: False if nothing is left that could be spilled, or the disk refuses.
        """
        if self.refused:
            return False
        with self._lock:
            if not self._order:
                return False
            key, entry = self._order.popitem(last=False)
            size = entry.size
            self._leaving += size
        try:
            if entry.file is None:
                self._write(entry)
        except OSError as error:
            self._disk_refused(key, entry, error)
            return False
        except SerializationError as error:
            self._cannot_be_spilled(key, entry, error)
            return True
        finally:
            self._leaving_ends(key, entry, size)
        return True

    def tidy(self) -> None:
        """Remove the files of values that were dropped."""
        while self._rubbish:
            try:
                self._folder.remove([self._rubbish.popleft()])
            except IndexError:  # another thread was faster
                return

    # -- the books ---------------------------------------------------------------------------------

    def _use(self, key: str) -> _Entry:
        with self._lock:
            entry = self._entries[key]
            if key in self._order:
                self._order.move_to_end(key)
            return entry

    def _drop(self, key: str) -> None:
        """Forget a value; under the lock."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._order.pop(key, None)
        if entry.in_memory:
            self._memory -= entry.size
        else:
            self._spilled -= entry.size
        if entry.file is not None:
            self._rubbish.append(entry.file)

    def _load(self, key: str, entry: _Entry) -> Any:
        """Unpickle a value, and keep it; under the entry's lock."""
        packed = entry.packed
        value = loads(self._read(key, entry) if packed is None else packed)
        size = sizeof(value)
        with self._lock:
            if self._entries.get(key) is not entry:
                return value  # freed meanwhile
            if entry.in_memory:
                self._memory -= entry.size
            else:
                self._spilled -= entry.size
                self._order[key] = entry
            entry.value, entry.packed, entry.size = value, None, size
            self._memory += size
        return value

    def _read(self, key: str, entry: _Entry) -> Serialized:
        try:
            if entry.file is None:
                raise FileNotFoundError("it was dropped")
            return self._folder.read(entry.file)
        except OSError as error:
            with self._lock:
                lost = self._entries.get(key) is entry
                if lost:
                    self._drop(key)
            if lost:
                logger.error("spilled result lost key=%s error=%s", key, error)
            raise KeyError(key) from None

    def _write(self, entry: _Entry) -> None:
        packed, value = entry.packed, entry.value
        file = self._folder.write(dumps(value) if packed is None else packed)
        with self._lock:
            entry.file = file

    def _leaving_ends(self, key: str, entry: _Entry, size: int) -> None:
        with self._lock:
            self._leaving -= size
            if entry.file is None:
                return
            if self._entries.get(key) is not entry:  # dropped while it was written
                self._rubbish.append(entry.file)
                return
            self._memory -= entry.size
            self._spilled += entry.size
            entry.value, entry.packed = _ABSENT, None

    def _disk_refused(self, key: str, entry: _Entry, error: OSError) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                self._order[key] = entry
                self._order.move_to_end(key, last=False)
            self._not_before = self._clock() + BACKOFF
        logger.warning(
            "result not spilled, stays in memory key=%s bytes=%d folder=%s error=%s",
            key,
            entry.size,
            self._folder.parent,
            error,
        )

    def _cannot_be_spilled(self, key: str, entry: _Entry, error: SerializationError) -> None:
        kind = type(entry.value)
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("result cannot be spilled, stays in memory key=%s error=%s", key, error)
