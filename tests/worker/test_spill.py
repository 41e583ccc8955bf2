"""A store that puts what is used least on disk: against a dict, whatever happens."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jobqueue.errors import SerializationError
from jobqueue.protocol.payload import Payload, Serialized
from jobqueue.protocol.serialize import dumps, loads
from jobqueue.worker.spill import BACKOFF, SpillingStore
from jobqueue.worker.spill_books import Stored
from jobqueue.worker.spill_folder import SpillFolder


class Clock:
    """Time that passes when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Disk(SpillFolder):
    """Files in memory, on a disk that may be full or gone."""

    def __init__(self) -> None:
        super().__init__("/disk")
        self.files: dict[int, Serialized] = {}
        self.full = False
        self.writes = 0

    def write(self, serialized: Serialized) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        self.writes += 1
        if isinstance(serialized, Payload):
            serialized = serialized.copy()
        self.files[self.writes] = serialized
        return self.writes

    def read(self, number: int) -> Serialized:
        if number not in self.files:
            raise FileNotFoundError(2, "No such file")
        return self.files[number]

    def remove(self, numbers: Any) -> None:
        for number in numbers:
            self.files.pop(number, None)

    def close(self) -> None:
        self.files.clear()


@pytest.fixture
def disk() -> Disk:
    """An empty disk."""
    return Disk()


@pytest.fixture
def clock() -> Clock:
    """At 0."""
    return Clock()


@pytest.fixture
def store(disk: Disk, clock: Clock) -> SpillingStore:
    """With room for two values of `value`."""
    return SpillingStore(disk, 2500, clock=clock)


def value(number: int) -> bytes:
    return bytes([number]) * 1000


def test_the_least_recently_used_leave_memory(store: SpillingStore, disk: Disk):
    """In the order of their last use, not of their coming; all are still here."""
    store.put("a", value(1))
    store.put("b", value(2))
    store.get("a")
    store.put("c", value(3))
    assert [loads(file) for file in disk.files.values()] == [value(2)]
    assert [store.get(key) for key in "abc"] == [value(1), value(2), value(3)]
    assert all(key in store for key in "abc")
    assert len(store) == 3


def test_memory_and_files_are_counted(store: SpillingStore):
    """Each value once, wherever it is."""
    store.put("a", value(1))
    one = store.stored.memory
    store.put("b", value(2))
    store.put("c", value(3))
    assert store.stored == Stored(2 * one, one)
    store.get("a")
    assert store.stored == Stored(2 * one, one)
    store.discard("a")
    store.clear()
    assert store.stored == (0, 0)
    assert repr(store) == "<SpillingStore: 0 values, 0 bytes in memory, 0 in files>"


def test_a_value_is_written_once(store: SpillingStore, disk: Disk):
    """Read back and crowded out again and again, its first file serves."""
    for number, key in enumerate("abc"):
        store.put(key, value(number))
    for _ in range(3):
        for number, key in enumerate("abc"):
            assert store.get(key) == value(number)
    assert disk.writes == 3


def test_memory_is_free_once_a_value_is_spilled(store: SpillingStore):
    """Nothing in the store holds on to it."""

    class Value:
        nbytes = 2000

    first = Value()
    alive = weakref.ref(first)
    Value.__reduce__ = lambda self: (bytes, (5,))  # type: ignore[method-assign]
    store.put("a", first)
    del first
    store.put("b", value(1))
    gc.collect()
    assert alive() is None
    assert store.get("a") == bytes(5)


def test_what_came_over_the_wire_goes_to_disk_as_it_came(store: SpillingStore, disk: Disk):
    """Nobody unpickles it for that; nor is it kept in memory for being passed on."""
    packed = dumps(bytearray(20_000))
    store.put_serialized("a", packed)
    assert store.stored.memory >= 20_000
    assert store.pending
    store.shrink()
    assert store.stored.memory == 0
    assert not store.pending
    assert loads(store.get_serialized("a")) == bytearray(20_000)
    assert store.stored.memory == 0
    assert store.get("a") == bytearray(20_000)
    assert disk.writes == 1


def test_in_memory_it_is_passed_on_as_it_came(store: SpillingStore):
    """And is unpickled once."""
    packed = dumps([1, 2])
    store.put_serialized("a", packed)
    assert store.get_serialized("a") is packed
    assert store.get("a") is store.get("a")
    assert loads(store.get_serialized("a")) == [1, 2]


def test_what_cannot_be_pickled_stays(
    store: SpillingStore, disk: Disk, caplog: pytest.LogCaptureFixture
):
    """It is used from memory, others go in its place, and the log says so once."""
    locks = {f"lock-{n}": [threading.Lock(), bytes(1000)] for n in range(5)}
    for key, lock in locks.items():
        store.put(key, lock)
    store.put("a", value(1))
    assert all(store.get(key) is lock for key, lock in locks.items())
    assert len(disk.files) == 1
    assert caplog.text.count("result cannot be spilled, stays in memory key=lock-0") == 1
    assert "key=lock-1" not in caplog.text
    with pytest.raises(SerializationError):
        store.get_serialized("lock-0")


def test_a_full_disk(
    store: SpillingStore, disk: Disk, clock: Clock, caplog: pytest.LogCaptureFixture
):
    """Values stay in memory, one line says so, and the disk is tried again after a while."""
    disk.full = True
    for number in range(5):
        store.put(str(number), value(number))
    assert store.refused
    assert not store.pending
    assert not store.release(1)
    assert store.stored.spilled == 0
    assert caplog.text.count("result not spilled") == 1
    assert "No space left on device" in caplog.text
    clock.now += BACKOFF
    store.put("5", value(5))
    assert caplog.text.count("result not spilled") == 2
    disk.full = False
    clock.now += BACKOFF
    assert store.pending
    store.shrink()
    assert store.stored.memory <= 2500
    assert [store.get(str(number)) for number in range(6)] == [value(n) for n in range(6)]


def test_a_file_that_cannot_be_read(
    store: SpillingStore, disk: Disk, caplog: pytest.LogCaptureFixture
):
    """Its value is not here any more, in any form; the log says what was wrong."""
    for number, key in enumerate("abcd"):
        store.put(key, value(number))
    disk.files.clear()
    with pytest.raises(KeyError):
        store.get("a")
    with pytest.raises(KeyError):
        store.get_serialized("b")
    assert "a" not in store
    assert "b" not in store
    assert caplog.text.count("spilled result lost key=") == 2
    assert store.stored.spilled == 0
    assert store.get("d") == value(3)


def test_files_of_values_that_were_dropped_are_removed(store: SpillingStore, disk: Disk):
    """Not by the event loop, which drops them, but by whoever writes or tidies up next."""
    for number, key in enumerate("abcd"):
        store.put(key, value(number))
    assert len(disk.files) == 2
    store.discard("a")
    assert len(disk.files) == 2
    assert store.pending
    store.shrink()
    assert len(disk.files) == 1
    store.put("b", value(9))  # another value under the same key
    store.shrink()
    assert store.get("b") == value(9)


def test_dropped_while_it_is_written(store: SpillingStore, disk: Disk):
    """It is gone, and so is its file."""
    write = disk.write

    def drop_and_write(serialized: Serialized) -> int:
        store.discard("a")
        return write(serialized)

    disk.write = drop_and_write  # type: ignore[method-assign]
    store.put("a", bytes(5000))
    store.tidy()
    assert "a" not in store
    assert disk.files == {}
    assert store.stored == (0, 0)


def test_as_much_as_is_asked_for_is_released(store: SpillingStore):
    """Also below the target: the process has less room than the results may take."""
    store.put("a", value(1))
    store.put("b", value(2))
    before = store.stored.memory
    assert store.release(1)
    assert store.stored.memory < before
    assert store.release(10**6)
    assert store.stored.memory == 0
    assert not store.release(1)


def test_threads_that_use_the_same_values(tmp_path: Path):
    """Each always gets what was stored, from real files, while others crowd it out."""
    store = SpillingStore(SpillFolder(str(tmp_path)), 10_000)
    wrong: list[object] = []

    def use(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(300):
            number = choose.randrange(40)
            key = str(number)
            try:
                match choose.randrange(4):
                    case 0:
                        store.put(key, value(number))
                    case 1:
                        store.put_serialized(key, dumps(value(number)))
                    case 2:
                        store.discard(key)
                    case _:
                        found = store.get(key), loads(store.get_serialized(key))
                        if found != (value(number), value(number)):
                            wrong.append((key, found))
            except KeyError:
                continue
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    store.shrink()
    assert store.stored.memory <= 10_000
    store._books.validate()
    store.close()
    assert os.listdir(tmp_path) == []


class StoreMachine(RuleBasedStateMachine):
    """Whatever is stored, dropped and asked for, on a disk that fails, a dict would do as well."""

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.clock = Disk(), Clock()
        self.store = SpillingStore(self.disk, 3000, clock=self.clock)
        self.truth: dict[str, bytes] = {}

    keys = st.sampled_from("abcdefgh")

    @rule(key=keys, size=st.integers(0, 4000))
    def put(self, key: str, size: int) -> None:
        self.truth[key] = os.urandom(1) * size
        self.store.put(key, self.truth[key])

    @rule(key=keys, size=st.integers(0, 4000))
    def put_serialized(self, key: str, size: int) -> None:
        self.truth[key] = os.urandom(1) * size
        self.store.put_serialized(key, dumps(self.truth[key]))

    @rule(key=keys)
    def get(self, key: str) -> None:
        if key in self.truth:
            assert self.store.get(key) == self.truth[key]
            assert loads(self.store.get_serialized(key)) == self.truth[key]
        else:
            for get in (self.store.get, self.store.get_serialized):
                with pytest.raises(KeyError):
                    get(key)

    @rule(key=keys)
    def discard(self, key: str) -> None:
        self.truth.pop(key, None)
        self.store.discard(key)

    @rule(full=st.booleans())
    def disk_fills(self, full: bool) -> None:
        self.disk.full = full

    @rule(seconds=st.sampled_from([1.0, BACKOFF]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.store.shrink()
        if not self.disk.full and not self.store.refused:
            assert self.store.stored.memory <= 3000

    @rule(size=st.integers(1, 5000))
    def release(self, size: int) -> None:
        self.store.release(size)

    @invariant()
    def books_are_right(self) -> None:
        books = self.store._books
        books.validate()
        assert set(books._entries) == set(self.truth)
        self.store.tidy()
        used = {entry.file for entry in books._entries.values()} - {None}
        assert used == set(self.disk.files)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(stateful_step_count=30)
