"""How a future inside a task's arguments becomes its value."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from typing import Any

import pytest

from jobqueue.errors import SerializationError
from jobqueue.protocol.references import recording, reduce_reference, resolve, resolving
from jobqueue.protocol.serialize import dumps, loads


class FutureLike:
    """Something with a key, as `Future` is."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return reduce_reference(self)


@dataclasses.dataclass
class Model:
    """A user's own class."""

    weights: Any
    children: list[Any]


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: (value, lambda: 1)])
def test_futures_are_found_anywhere(wrap):
    """In dataclasses, dicts, lists, attributes; by C pickle and by cloudpickle alike."""
    model = Model(FutureLike("a"), [{"deep": (FutureLike("b"), FutureLike("a"))}, 7])
    with recording() as found:
        serialized = dumps(wrap(model))
    assert {future.key for future in found} == {"a", "b"}
    with resolving({"a": 1, "b": 2}):
        arrived = loads(serialized)
    arrived = arrived[0] if isinstance(arrived, tuple) else arrived
    assert arrived == Model(1, [{"deep": (2, 1)}, 7])


def test_a_future_by_itself_is_no_value():
    """Pickling it outside of a submission says what to do instead."""
    with pytest.raises(SerializationError, match=r"'a' cannot be pickled by itself.*submit"):
        dumps(FutureLike("a"))
    with pytest.raises(SerializationError, match="'a' cannot be pickled by itself"):
        pickle.dumps([FutureLike("a")])


def test_a_value_is_only_known_while_its_task_runs():
    """Before, after, and for keys that are no inputs of it, there is none."""
    with pytest.raises(SerializationError, match="'a' is only known while its task runs"):
        resolve("a")
    with resolving({"a": None}):
        assert resolve("a") is None
        with pytest.raises(SerializationError, match="'b'"):
            resolve("b")
    with pytest.raises(SerializationError):
        resolve("a")


def test_recordings_nest():
    """A submission inside of a pickling (a property that submits) does not mix with it."""
    with recording() as outer:
        dumps(FutureLike("a"))
        with recording() as inner:
            dumps(FutureLike("b"))
        dumps(FutureLike("c"))
    assert [future.key for future in outer] == ["a", "c"]
    assert [future.key for future in inner] == ["b"]
    with resolving({"a": 1}):
        with resolving({"b": 2}), pytest.raises(SerializationError):
            resolve("a")
        assert resolve("a") == 1


def test_an_error_ends_a_recording():
    """The next pickling of a future is an error again."""
    with pytest.raises(ZeroDivisionError), recording():
        raise ZeroDivisionError
    with pytest.raises(SerializationError):
        dumps(FutureLike("a"))


def test_threads_do_not_see_each_others_recordings():
    """Nor each other's inputs."""
    errors: list[type[BaseException]] = []

    def other() -> None:
        for call in (lambda: dumps(FutureLike("a")), lambda: resolve("a")):
            try:
                call()
            except SerializationError as error:
                errors.append(type(error))

    with recording() as found, resolving({"a": 1}):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert errors == [SerializationError, SerializationError]
    assert found == []
