"""Calls and values are known by what they hold, and not by how they came to be."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import json
import math
import os
import pickle
import random
import struct
import subprocess
import sys
import types
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.client.calls import dumps_arguments
from jobqueue.client.content import call_digest, value_digest
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
    assert is_looked_into(value)
    return value_digest(value, b"")


def is_looked_into(value: Any) -> bool:
    """Whether the digest is of what the value holds, and not of its pickle."""
    return value_digest(value, b"x") == value_digest(value, b"y")


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
    """However they came to be: which of their strings are one object, or in which order dicts and
    sets were made, is all the same."""
    value = rebuilt(value, shuffle)
    other = rebuilt(value, shuffle)
    assert value_digest(value, b"x") == value_digest(other, b"x")
    assert digest([value, other]) == digest([rebuilt(value, shuffle), rebuilt(value, shuffle)])


@given(VALUES, VALUES)
def test_values_have_one_digest_only_if_they_are_equal(one, other):
    """And of one type: what is computed of 1 and of True may differ."""
    assert (digest(one) == digest(other)) == (strictly(one) == strictly(other))


def test_what_looks_alike_is_told_apart():
    """Containers that hold the same, and values that look like how others are written."""
    values = [
        [], (), {}, set(), frozenset(), "", b"", bytearray(), None, 0, False, 0.0, -0.0,
        [[]], [()], [None], ["a", "b"], ["ab"], {"a": "b"}, {"a", "b"}, [["a"], "b"], ["a", ["b"]],
        ("list", []), ["future", 1], digest([]), [digest([])], 1, True, 1.0, 1 + 0j, "1", b"1",
        bytearray(b"1"), [1], (1,), {1}, frozenset({1}), [True], {1: 1}, {True: 1}, {1.0: 1},
        {1: {2: 3}}, {1: 2, 3: 4}, {1: 4, 3: 2}, [b"a", b"b"], [b"ab"], [b"a", [b"b"]], 0j, -0j,
        math.nan, struct.unpack("d", struct.pack("Q", 0x7FF8000000000001))[0], np.float64(1),
        np.float32(1), np.int64(1), np.uint64(1), np.bool_(True), np.longlong(1), np.array(1),
        np.array([1]), np.array([1, 2]), np.array([[1, 2]]), np.array([1, 2], ">i8"),
        np.array([1, 2], "q"), np.array([1], "M8[D]"), np.array([1], "M8[s]"), np.array(["a"]),
        np.array([b"a"]), np.datetime64(1, "D"), np.datetime64(1, "s"), np.zeros(0),
        np.zeros((0, 1)),
        np.zeros((2, 2), order="C"), np.zeros((2, 2), order="F"), np.timedelta64(1, "s"),
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)


def test_what_was_read_from_a_file_equals_what_was_written():
    """Through JSON or a pickle: other objects, the same content."""
    value = {"alpha": "beta", "gamma": ["alpha", "beta"], "delta": {"x": 1}}
    assert digest(value) == digest(json.loads(json.dumps(value)))
    assert digest(value) == digest(pickle.loads(pickle.dumps(value)))


@pytest.mark.parametrize("dtype", ["f8", ">i4", "bool", "U5", "S3", "M8[s]", "c16"])
def test_arrays(dtype):
    """By type, shape, order and elements, and not by how they came to lie in memory."""
    array = np.zeros((3, 4), dtype)
    assert digest([array, array.copy()]) == digest([array.copy(), array])
    assert digest(array[::2]) == digest(array[::2].copy())
    assert digest(array.T) == digest(array.copy().T) != digest(np.ascontiguousarray(array.T))
    assert digest(array) != digest(array.reshape(4, 3))
    other = array.copy()
    other[1, 1] = np.ones(1, dtype)[0]
    assert digest(array) != digest(other)
    assert digest(np.zeros(0, dtype)) == digest(np.zeros(0, dtype))


class Multi:
    """A dict that may hold a key more than once."""

    def __init__(self) -> None:
        self.items: list[tuple[Any, Any]] = []

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def __reduce__(self) -> tuple[Any, ...]:
        return Multi, (), None, None, iter(self.items)


class Words(str):
    """A string of another class."""


class Numbers(np.ndarray):
    """An array of another class."""


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def _doubled() -> list[Any]:
    value: list[Any] = []
    for _ in range(200):
        value = [value, value]
    return value


def _circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


SHARED = [1]

NOT_LOOKED_INTO = [
    Multi(), Words("a"), types.ModuleType("m"), np, len, [].append, Multi().__setitem__, Multi, int,
    lambda: 1, ..., range(3), slice(1), functools.partial(int), enum.Enum, enum.IntFlag("I", "A").A,
    collections.OrderedDict(a=1), collections.Counter("a"), collections.deque(),
    collections.namedtuple("P", "x")(1), pd.DataFrame({"a": [1]}), memoryview(b"1"), Decimal(1),
    Fraction(1, 2), datetime.datetime(2026, 1, 1), np.zeros(2).view(Numbers), np.str_("a"),
    np.ma.array([1], mask=[1]), np.zeros(1, "longdouble"), np.zeros(2, "V3"),
    np.zeros(2, "O"), np.zeros(2, "f4,i2"),
    np.zeros(2, np.dtype("i4", metadata={"a": 1})), np.dtype("i4"), np.add, (i for i in ()),
    _deep(60), _deep(5000), _doubled(), _circle(), [SHARED, SHARED], ([SHARED], [SHARED]),
    {"a": SHARED, "b": SHARED}, {((1, 2), 3): 4},
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_LOOKED_INTO, ids=lambda value: type(value).__name__)
def test_what_cannot_be_looked_into_is_its_pickle(value):
    """Of another class than the plain ones, if only a little; nested too deeply; or met twice, so
    that whoever changes it in one place does so in the other. So is what holds it."""
    pickles = [b"x", b"y", b"xy", Payload(b"x", [b"1"]), Payload(b"x", [b"2"])]
    pickles += [Payload(b"x", [b"1", b"2"]), Payload(b"x", [b"12"]), Payload(b"x1", [b"2"])]
    for one in (value, [value], (1, {"a": value})):
        assert len({value_digest(one, pickled) for pickled in pickles}) == len(pickles)
    assert len({call_digest(b"f", (value,), {}, one) for one in pickles}) == len(pickles)
    assert len({call_digest(b"f", (), {"a": value}, one) for one in pickles}) == len(pickles)


def test_calls():
    """Keywords count, and not their order; so do function and arguments."""
    call = call_digest(b"f", (1, [2]), {"end": "", "sep": " "}, b"")
    assert call == call_digest(b"f", [1, [2]], {"sep": " ", "end": ""}, b"pickle")
    assert call != call_digest(b"g", (1, [2]), {"end": "", "sep": " "}, b"")
    assert call != call_digest(b"f", (1, [2], {"end": "", "sep": " "}), {}, b"")


@given(st.lists(LEAVES | st.sampled_from(["a", "b"]), max_size=3))
def test_calls_with_plain_arguments(args):
    """They have the digest that equal ones have, which tells them from others."""

    def found(args: list[Any]) -> bytes:
        return call_digest(b"f", args, {}, dumps_arguments(args, {}, "f"))

    assert found(args) == found(pickle.loads(pickle.dumps(args)))
    assert found(args) == found([pickle.loads(pickle.dumps(one)) for one in args])
    assert found(args) != found([*args, None])


def test_processes_agree():
    """The same program finds the same digests whenever it runs: sets and dicts in any order."""
    script = """
from jobqueue.client.content import call_digest, value_digest
for value in [{"x", "yy", "zzz"}, {"k": {"l", "m"}}, {"a": 1, 2: frozenset({"b", 3})}]:
    print(value_digest(value, b"").hex())
print(call_digest(b"f", ({"x", "yy", "zzz"},), {"a": 1}, b"").hex())
"""

    def run(seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr
        return done.stdout.split()

    digests = run("1")
    assert len(set(digests)) == 4
    assert run("2") == digests
