"""A worker's results and copies of others' results, by key."""

from __future__ import annotations

import logging
import threading
from collections.abc import MutableMapping
from typing import Any

from jobqueue.protocol.payload import Serialized, nbytes
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.room import SEND_AHEAD
from jobqueue.worker.sizeof import sizeof

logger = logging.getLogger("jobqueue.worker")


class Store:
    """Values by key, in any mapping. Used from the event loop and from executor threads alike.

    What came over the wire is unpickled, and put into the mapping, when a task needs it: perhaps it
    is only passed on. So the mapping sees values and nothing else, and what it raises concerns the
    task or the peer that asks for that value.

    Parameters
    ----------
    data
        Where the values are kept; its single operations must be safe to call from any thread.

    Examples
    --------
    >>> store = Store({})
    >>> store.put("x-1", 5)
    >>> store.get("x-1")
    5
    """

    def __init__(self, data: MutableMapping[str, Any]) -> None:
        self._data = data
        self._packed: dict[str, Serialized] = {}  # as they came over the wire
        self._unpacking = threading.Lock()

    def __contains__(self, key: object) -> bool:
        if key in self._packed:
            return True
        try:
            return key in self._data
        except Exception as error:  # of a user's mapping: then it is not to be had from there
            logger.warning("data= failed key=%s error=%r", key, error)
            return False

    def __len__(self) -> int:
        return len(self._data) + len(self._packed)

    def keys(self) -> list[str]:
        """Return the keys of all values that are here now."""
        return list(dict.fromkeys([*self._packed, *self._data]))

    @property
    def send_ahead(self) -> int:
        """How many bytes of values may be made ready to be sent to one receiver, see `Room`."""
        return SEND_AHEAD

    def size(self, key: str) -> int:
        """Return roughly how many bytes a value takes; 0 if it is not here, or not to be seen."""
        serialized = self._packed.get(key)
        if serialized is not None:
            return nbytes(serialized)
        # A mapping of the user's may have to read it first.
        return sizeof(self._data[key]) if type(self._data) is dict and key in self._data else 0

    def put(self, key: str, value: Any) -> None:
        """Keep a value. To be called by the thread that made it, which may have to wait."""
        self._data[key] = value

    def put_serialized(self, key: str, serialized: Serialized) -> None:
        """Keep a value as it came over the wire; it is unpickled when a task needs it."""
        self._packed[key] = serialized

    def get(self, key: str) -> Any:
        """Return a value.

        Raises
        ------
        KeyError
            It is not here.
        SerializationError
            It cannot be unpickled here.
        """
        if key in self._packed:
            return self._unpack(key)
        return self._data[key]

    def _unpack(self, key: str) -> Any:
        # One thread at a time, lest two unpickle the same value; they would share the
        # interpreter's lock anyway.
        with self._unpacking:
            serialized = self._packed.get(key)
            if serialized is None:
                return self._data[key]
            value = self._data[key] = loads(serialized)
            if self._packed.pop(key, None) is None:  # freed meanwhile, and not to come back
                self._data.pop(key, None)
            return value

    def get_serialized(self, key: str) -> Serialized:
        """Return a value as it goes over the wire.

        Raises
        ------
        KeyError
            It is not here.
        SerializationError
            It cannot be pickled.
        """
        serialized = self._packed.get(key)
        return dumps(self._data[key]) if serialized is None else serialized

    def discard(self, key: str) -> None:
        """Drop a value, if it is here."""
        self._packed.pop(key, None)
        try:
            self._data.pop(key, None)
        except Exception as error:  # of a user's mapping: nobody waits for this
            logger.warning("data= failed key=%s error=%r", key, error)

    def clear(self) -> None:
        """Drop everything."""
        self._packed.clear()
        try:
            self._data.clear()
        except Exception as error:
            logger.warning("data= failed error=%r", error)

    def close(self) -> None:
        """Drop what this worker alone has made use of, at its end; a user's mapping stays."""
        self._packed.clear()
