"""How a future inside a task's arguments becomes its value."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from typing import Any

import pytest

from jobqueue.errors import SerializationError
from jobqueue.protocol.references import (
    mentioning,
    recording,
    reduce_reference,
    resolve,
    resolving,
)
from jobqueue.protocol.serialize import dumps, loads


def adopt(key: str) -> str:
    """What stands for a future where a value is read."""
    return f"a future of {key}"


class FutureLike:
    """Something with a key, as `Future` is."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        return reduce_reference(self, adopt)


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


def test_a_future_by_itself_is_one_of_the_readers():
    """Pickled anywhere else than in arguments, it becomes a future of whoever unpickles it."""
    assert loads(dumps([FutureLike("a")])) == ["a future of a"]
    assert pickle.loads(pickle.dumps(FutureLike("a"))) == "a future of a"


def test_futures_in_results_are_collected():
    """So that their tasks can be kept for whoever gets the result."""
    with mentioning() as mentioned:
        value = dumps({"x": [FutureLike("a")], "y": FutureLike("b")})
    assert [future.key for future in mentioned] == ["a", "b"]
    assert loads(value) == {"x": ["a future of a"], "y": "a future of b"}
    with mentioning() as mentioned, recording() as found:  # a call, while a result is pickled
        dumps(FutureLike("a"))
    assert (len(found), len(mentioned)) == (1, 0)


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
    """A future that is pickled next is one of the reader's again."""
    with pytest.raises(ZeroDivisionError), recording():
        raise ZeroDivisionError
    assert loads(dumps(FutureLike("a"))) == "a future of a"


def test_threads_do_not_see_each_others_recordings():
    """Nor each other's inputs."""
    seen: list[object] = []

    def other() -> None:
        seen.append(loads(dumps(FutureLike("a"))))
        try:
            resolve("a")
        except SerializationError as error:
            seen.append(type(error))

    with recording() as found, mentioning() as mentioned, resolving({"a": 1}):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == ["a future of a", SerializationError]
    assert found == mentioned == []
