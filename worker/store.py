"""A worker's results and copies of others' results, by key."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from jobqueue.protocol.payload import Serialized
from jobqueue.protocol.serialize import dumps, loads


class _Packed:
    """A value as it came over the wire, not unpickled yet: perhaps it is only passed on."""

    __slots__ = ("serialized",)

    def __init__(self, serialized: Serialized) -> None:
        self.serialized = serialized


class Store:
    """Values by key. Used from the event loop and from executor threads alike.

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

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __len__(self) -> int:
        return len(self._data)

    def put(self, key: str, value: Any) -> None:
        """Keep a value."""
        self._data[key] = value

    def put_serialized(self, key: str, serialized: Serialized) -> None:
        """Keep a value as it came over the wire; it is unpickled when a task needs it."""
        self._data[key] = _Packed(serialized)

    def get(self, key: str) -> Any:
        """Return a value.

        Raises
        ------
        KeyError
            It is not here.
        SerializationError
            It cannot be unpickled here.
        """
        value = self._data[key]
        if type(value) is _Packed:
            value = self._data[key] = loads(value.serialized)
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
        value = self._data[key]
        return value.serialized if type(value) is _Packed else dumps(value)

    def discard(self, key: str) -> None:
        """Drop a value, if it is here."""
        self._data.pop(key, None)

    def clear(self) -> None:
        """Drop everything."""
        self._data.clear()
