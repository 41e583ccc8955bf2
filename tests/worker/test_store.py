"""A worker's results and copies of others' results."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from jobqueue.errors import SerializationError
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.store import Store


class Folder(MutableMapping[str, Any]):
    """A user's own mapping, the least of one."""

    def __init__(self) -> None:
        self.items_: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self.items_[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.items_[key] = value

    def __delitem__(self, key: str) -> None:
        del self.items_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


@pytest.fixture(params=[dict, Folder])
def store(request: pytest.FixtureRequest) -> Store:
    """Over a dict, and over a user's mapping."""
    return Store(request.param())


def test_values_are_kept_by_key(store):
    """Put, asked for, dropped; dropping what is not there is no error."""
    value = [1, 2]
    store.put("a", value)
    assert store.get("a") is value
    assert "a" in store
    assert len(store) == 1
    store.discard("a")
    store.discard("a")
    assert "a" not in store
    store.put("b", 1)
    store.clear()
    assert len(store) == 0


def test_what_is_not_here_is_a_key_error(store):
    """In either form."""
    for get in (store.get, store.get_serialized):
        with pytest.raises(KeyError):
            get("a")


def test_what_came_over_the_wire_is_unpacked_when_it_is_needed(store):
    """Once; before that it is passed on as it came."""
    packed = dumps([1, 2])
    store.put_serialized("a", packed)
    assert store.get_serialized("a") is packed
    assert store.get("a") == [1, 2]
    assert store.get("a") is store.get("a")
    assert loads(store.get_serialized("a")) == [1, 2]


def test_what_cannot_be_pickled_or_read_says_so(store):
    """To whoever asks for it."""
    store.put("lock", threading.Lock())
    with pytest.raises(SerializationError, match="lock"):
        store.get_serialized("lock")
    store.put_serialized("garbage", b"garbage")
    assert store.get_serialized("garbage") == b"garbage"
    with pytest.raises(SerializationError, match="could not be read"):
        store.get("garbage")
