"""Results in memory as long as there is room, and in files when there is not.

Rules of this file:

- A value is written once. Values are not changed by anybody, so when one that was read back has to
  leave memory again, its file is still good.
- Which values there are, and where, stands in `jobqueue.worker.spill_books`; here they are pickled,
  unpickled, written and read.
- The event loop never waits for a file. Files are written by the threads that store results, which
  so cannot outrun the disk, and by the thread of `jobqueue.worker.memory`; read by the threads that
  need the value; removed by either of these.
- What cannot be pickled stays in memory. What cannot be written for now (a full disk) stays too,
  and is tried again later. What cannot be read back is lost, and says so with a KeyError: the
  scheduler has it computed again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from jobqueue.errors import SerializationError
from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.room import SEND_AHEAD
from jobqueue.worker.sizeof import sizeof
from jobqueue.worker.spill_books import ABSENT, Books, Entry, Leaving, Stored
from jobqueue.worker.spill_folder import SpillFolder
from jobqueue.worker.store import Store

logger = logging.getLogger("jobqueue.worker")

BACKOFF = 5.0
"""Seconds until a disk that refused a value is tried again."""


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
        self._books = Books()
        self._not_before = 0.0  # when the disk refused something
        self._told: set[type] = set()  # types of which it was said that they cannot be spilled

    def __repr__(self) -> str:
        """``<SpillingStore: 20 values, 1000 bytes in memory, 5000 in files>``."""
        count, (memory, spilled) = len(self._books), self.stored
        return f"<SpillingStore: {count} values, {memory} bytes in memory, {spilled} in files>"

    def __contains__(self, key: object) -> bool:
        return key in self._books

    def __len__(self) -> int:
        return len(self._books)

    def keys(self) -> list[str]:
        """Return the keys of all values that are here now."""
        return self._books.keys()

    @property
    def stored(self) -> Stored:
        """How much there is."""
        return self._books.stored

    @property
    def pending(self) -> bool:
        """Whether `shrink` has something to do."""
        books = self._books
        full = books.staying > self.target and books.movable and not self.refused
        return bool(full or books.rubbish)

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
        return self._books.size(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value. To be called by the thread that made it, which may have to write files."""
        self._books.add(key, Entry(value, None, sizeof(value)))
        self.shrink()

    def put_serialized(self, key: str, serialized: Serialized) -> None:
        """Keep a value as it came over the wire; it is unpickled when a task needs it."""
        self._books.add(key, Entry(ABSENT, serialized, nbytes(serialized)))
        if self.on_full is not None and self._books.staying > self.target:
            self.on_full()

    def get(self, key: str) -> Any:
        """Return a value, read back if need be.

        Raises
        ------
        KeyError
            It is not here, or not any more.
        SerializationError
            It cannot be unpickled here.
        """
        entry = self._books.use(key)
        value = entry.value
        if value is ABSENT:
            with entry.loading:  # whoever comes second waits, and takes what the first has read
                value = entry.value
                if value is ABSENT:
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
        entry = self._books.use(key)
        packed, value = entry.packed, entry.value
        if value is not ABSENT:
            return dumps(value)
        return self._read(key, entry) if packed is None else packed

    def discard(self, key: str) -> None:
        """Drop a value, if it is here."""
        self._books.drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self._books.clear()

    def close(self) -> None:
        """Drop everything, and remove the files."""
        self.clear()
        self._folder.close()

    # -- spilling ----------------------------------------------------------------------------------

    def shrink(self) -> None:
        """Spill until no more than the target is in memory, or nothing more can be spilled."""
        self.tidy()
        while self._books.staying > self.target and self.spill():
            pass

    def release(self, size: float) -> bool:
        """Spill until that many bytes less are in memory; return whether any have left it."""
        before = self.stored.memory
        while self.stored.memory > before - size and self.spill():
            pass
        return self.stored.memory < before

    def spill(self) -> bool:
        """Take the least recently used value out of memory.

        Returns
        -------
        bool
            Whether to go on: False if nothing is left that could be spilled, or the disk refuses.
        """
        if self.refused:
            return False
        leaving = self._books.take_out()
        if leaving is None:
            return False
        entry, file = leaving.entry, None
        try:
            if entry.file is None:
                packed, value = entry.packed, entry.value
                file = self._folder.write(dumps(value) if packed is None else packed)
        except OSError as error:
            self._disk_refused(leaving, error)
            return False
        except SerializationError as error:
            self._cannot_be_spilled(leaving, error)
            return True
        finally:
            self._books.gone(leaving, file)
        return True

    def tidy(self) -> None:
        """Remove the files of values that were dropped."""
        rubbish = self._books.rubbish
        while rubbish:
            try:
                self._folder.remove([rubbish.popleft()])
            except IndexError:  # another thread was faster
                return

    # -- reading and writing -----------------------------------------------------------------------

    def _load(self, key: str, entry: Entry) -> Any:
        """Unpickle a value, and keep it; under the entry's lock."""
        packed = entry.packed
        value = loads(self._read(key, entry) if packed is None else packed)
        self._books.loaded(key, entry, value, sizeof(value))
        return value

    def _read(self, key: str, entry: Entry) -> Serialized:
        try:
            if entry.file is None:
                raise FileNotFoundError("it was dropped")
            return self._folder.read(entry.file)
        except OSError as error:
            if self._books.lose(key, entry):
                logger.error("spilled result lost key=%s error=%s", key, error)
            raise KeyError(key) from None

    def _disk_refused(self, leaving: Leaving, error: OSError) -> None:
        self._not_before = self._clock() + BACKOFF
        self._books.stays(leaving)
        logger.warning(
            "result not spilled, stays in memory key=%s bytes=%d folder=%s error=%s",
            leaving.key,
            leaving.entry.size,
            self._folder.parent,
            error,
        )

    def _cannot_be_spilled(self, leaving: Leaving, error: SerializationError) -> None:
        kind = type(leaving.entry.value)
        if kind not in self._told:
            self._told.add(kind)
            logger.warning(
                "result cannot be spilled, stays in memory key=%s error=%s", leaving.key, error
            )
