"""Calls and values are known by what they hold, and not by how they came to be."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import json
import operator
import os
import pickle
import random
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.client.content import Calls, value_digest
from jobqueue.protocol.payload import Payload

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = LEAVES | st.tuples(LEAVES, LEAVES) | st.frozensets(LEAVES, max_size=3)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE, max_size=3)
    ),
    max_leaves=20,
)


def digest(value: Any) -> bytes:
    """A digest that was found without the value's pickle."""
    found = value_digest(value, b"")
    assert found != UNKNOWN
    return found


class Unknown:
    """Something that cannot be looked at."""

    def __reduce_ex__(self, protocol):
        raise TypeError(protocol)


UNKNOWN = value_digest(Unknown(), b"")


def strictly(value: Any) -> Any:
    """What is equal for values that are equal, and of equal types in all their parts."""
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        return kind, tuple(map(strictly, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(strictly, value))
    if isinstance(value, dict):
        return kind, frozenset((strictly(key), strictly(one)) for key, one in value.items())
    return kind, repr(value)


def rebuilt(value: Any, shuffle: random.Random) -> Any:
    """An equal value of new objects, as far as may be, with dicts and sets in another order."""
    if isinstance(value, list | tuple):
        return type(value)(rebuilt(one, shuffle) for one in value)
    if isinstance(value, set | frozenset | dict):
        parts = list(value.items() if isinstance(value, dict) else value)
        shuffle.shuffle(parts)
        return type(value)(rebuilt(one, shuffle) for one in parts)
    return pickle.loads(pickle.dumps(value))


@given(VALUES, st.randoms(use_true_random=False))
def test_equal_values_have_one_digest(value, shuffle):
    """However they came to be: which of their parts are one object, or in which order, is all the
    same."""
    assert digest(value) == digest(rebuilt(value, shuffle))
    shared, apart = [value, value], [value, rebuilt(value, shuffle)]
    assert digest(shared) == digest(apart)


@given(VALUES, VALUES)
def test_values_have_one_digest_only_if_they_are_equal(one, other):
    """And of one type: what is computed of 1 and of True may differ."""
    assert (digest(one) == digest(other)) == (strictly(one) == strictly(other))


def test_what_looks_alike_is_told_apart():
    """Containers that hold the same, and values that look like how others are written."""
    values = [
        [], (), {}, set(), frozenset(), "", b"", bytearray(), None, 0, False, 0.0, -0.0, 0j,
        [[]], [()], [None], ["a", "b"], ["ab"], {"a": "b"}, {"a", "b"}, [["a"], "b"], ["a", ["b"]],
        ("list", []), ["circle", 1], digest([]), [digest([])],
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)


def test_what_was_read_from_a_file_equals_what_was_written():
    """Through JSON or a pickle: other objects, the same content."""
    value = {"alpha": "beta", "gamma": ["alpha", "beta"], "delta": {"x": 1}}
    assert digest(value) == digest(json.loads(json.dumps(value)))
    assert digest(value) == digest(pickle.loads(pickle.dumps(value)))


@pytest.mark.parametrize("dtype", ["f8", ">i4", "bool", "U5", "S3", "M8[s]", "f4,i2", "O"])
def test_arrays(dtype):
    """By type, shape and elements: not by how they lie in memory, nor whether they are one."""
    array = np.zeros((3, 4), dtype)
    equal = np.asfortranarray(array.copy())
    assert digest([array, array]) == digest([array, equal])
    assert digest(array[::2]) == digest(array[::2].copy())
    assert digest(array) != digest(array.reshape(4, 3))
    other = np.zeros((3, 4), "f8" if dtype == "O" else "O")
    assert digest(array) != digest(other)
    other = array.copy()
    other[1, 1] = np.ones(1, dtype)[0] if dtype not in ("f4,i2",) else (1, 1)
    assert digest(array) != digest(other)
    assert digest(np.zeros(0, dtype)) == digest(np.zeros(0, dtype))


def test_data_frames():
    """By what is in them."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert digest(frame) == digest(frame.copy()) == digest(pickle.loads(pickle.dumps(frame)))
    assert digest(frame) != digest(frame.assign(a=[1, 3]))
    assert digest(frame) != digest(frame.rename(columns={"a": "c"}))


class Colour(enum.Enum):
    """Something with members."""

    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    """Something with attributes."""

    x: Any
    y: Any


def test_objects_are_what_they_hold():
    """Of the standard library's classes and of the user's."""
    text = "some text"
    pairs: list[tuple[Any, Any]] = [
        (Point(text, text), Point(1, 2)),
        (Colour.RED, Colour.BLUE),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
        (collections.Counter("aab"), collections.Counter("abb")),
        (collections.deque([1, 2]), collections.deque([2, 1])),
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (operator.itemgetter(1), operator.itemgetter(2)),
        (slice(1, 2), slice(1, 3)),
        (..., NotImplemented),
        (np.add, np.multiply),
        (np.float64(1), np.float32(1)),
        (int, str),
        ([].append, [1].append),
        (range(3), range(4)),
    ]
    for one, other in pairs:
        assert digest(one) == digest(copy.deepcopy(one)), one
        assert digest(one) != digest(other), one
    assert digest(collections.Counter("ab")) == digest(collections.Counter("ba"))


def test_functions_without_a_name_are_their_code():
    """What they do, with what they refer to; not which object they are."""

    def adder(number):
        return lambda x: x + number

    assert digest(adder(1)) == digest(adder(1)) != digest(adder(2))
    assert digest(lambda x: x + 1) == digest(lambda x: x + 1)
    assert digest(lambda x: x + 1) != digest(lambda x: x + 2)
    assert digest(lambda x: [-x for x in [1]]) != digest(lambda x: [-x for x in [2]])
    assert digest(lambda x=1: x) != digest(lambda x=2: x)


def test_what_holds_itself():
    """It has a digest, and one that says so."""
    circle: list[Any] = [1]
    circle.append(circle)
    other: list[Any] = [1]
    other.append(other)
    assert digest(circle) == digest(other) != digest([1, [1]])


def test_many_paths_to_one_object_are_gone_once():
    """A value whose parts meet again and again takes no longer than it is large."""
    value: list[Any] = []
    for _ in range(200):
        value = [value, value]
    assert digest(value) != digest(value[0])


def test_what_cannot_be_looked_at_is_its_pickle():
    """Nested too deeply, or of a class that lets nobody look."""
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for value in (deep, Unknown(), [Unknown()]):
        pickles = (b"x", b"y", Payload(b"x", [b"1"]), Payload(b"x", [b"2"]))
        assert len({value_digest(value, one) for one in pickles}) == len(pickles)
        assert value_digest(value, b"x") == value_digest(value, b"x")


def test_calls():
    """Keywords count, and not their order; so do function and arguments."""
    call = Calls(print, b"").digest((1, [2]), {"end": "", "sep": " "}, b"")
    assert call == Calls(print, b"other").digest([1, [2]], {"sep": " ", "end": ""}, b"pickle")
    assert call != Calls(repr, b"").digest((1, [2]), {"end": "", "sep": " "}, b"")
    assert call != Calls(print, b"").digest((1, [2], {"end": "", "sep": " "}), {}, b"")
    for unknown, argument in ((Unknown(), 1), (print, Unknown())):
        calls = [
            Calls(unknown, fid).digest((argument,), {}, pickled)
            for fid in (b"1", b"2")
            for pickled in (b"x", b"y")
        ]
        assert len(set(calls)) == 4


def test_processes_agree(tmp_path):
    """The same script finds the same digests whenever it runs: sets and dicts in any order, and
    functions, classes and their objects of `__main__`."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import abc, dataclasses, enum, functools
            from jobqueue.client.content import Calls, value_digest

            FACTOR = 3

            def double(x):
                return {name for name in ("a", "b", "c")}, FACTOR * x

            def twice(x):
                return double(x), len({"d", "e", "f"})

            class Base(abc.ABC):
                @abc.abstractmethod
                def area(self): ...

            @dataclasses.dataclass
            class Square(Base):
                side: float = 1.0

                def area(self): return self.side ** 2

                @property
                def half(self): return double(self.side)

                @staticmethod
                def unit(): return Square(1)

                @classmethod
                def of(cls, side): return cls(side)

            class Kind(enum.Enum):
                ONE = 1
                TWO = 2

            class Slots:
                __slots__ = ("a",)

            values = [{"x", "yy", "zzz"}, {"k": {"l", "m"}}, twice, Square, Square(2.0), Kind.ONE,
                      Slots, functools.partial(double, 1), Square(1).area]
            for value in values:
                digest = value_digest(value, b"")
                assert digest != value_digest((i for i in ()), b""), value
                print(digest.hex())
            print(Calls(twice, b"").digest((Square(2.0),), {"a": 1}, b"").hex())
            """
        )
    )

    def run(seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, check=False
        )
        assert not done.stderr
        return done.stdout.split()

    digests = run("1")
    assert len(set(digests)) == 10
    assert run("2") == digests
