"""Pickling of functions, arguments and results."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib._bootstrap import _DeadlockError  # type: ignore[import-not-found]
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.errors import SerializationError
from jobqueue.protocol import serialize
from jobqueue.protocol.payload import Payload
from jobqueue.protocol.serialize import (
    LARGE_HEAD,
    OUT_OF_BAND,
    describe,
    dumps,
    dumps_function,
    dumps_if_small,
    loads,
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.frozensets(LEAVES, max_size=3)
    ),
    max_leaves=20,
)

LARGE = np.arange(OUT_OF_BAND, dtype="float64")


@dataclasses.dataclass
class Holder:
    """Something of ours that holds something."""

    content: Any


class Stubborn:
    """It cannot be pickled, and says so in its own way."""

    def __reduce__(self) -> Any:
        raise ValueError("I stay here")

    def __repr__(self) -> str:
        raise RuntimeError("and say nothing")


# -- values ----------------------------------------------------------------------------------------


@given(VALUES)
def test_values_arrive_as_they_left(value):
    """Whatever their nesting, in either way of pickling."""
    assert loads(dumps(value)) == value
    small = dumps_if_small(value, 1 << 20)
    assert small is not None
    assert loads(small) == value


def test_small_values_are_plain_bytes():
    """Which travel inside of messages, thousands together."""
    assert type(dumps({"a": [1, 2.5, "x"]})) is bytes


@pytest.mark.parametrize("dtype", ["float64", "int8", "complex128", "S5"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_travel_beside_the_pickle(dtype, order):
    """Without being copied."""
    array = np.zeros((300, 500), dtype, order=order)
    serialized = dumps([array, 1])
    assert isinstance(serialized, Payload)
    assert len(serialized.head) < 1000
    (buffer,) = serialized.buffers
    assert np.shares_memory(np.frombuffer(buffer, "u1"), array)
    arrived, one = loads(serialized)
    assert one == 1
    assert arrived.dtype == array.dtype
    assert (arrived == array).all()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10.0),
        LARGE[::2],
        np.array(["a", None], dtype=object),
        np.float64(1.5),
        LARGE.astype("datetime64[s]"),
    ],
    ids=["small", "with holes", "objects", "scalar", "without buffers"],
)
def test_other_arrays_travel_inside(array):
    """Small ones, and those that numpy does not lend its memory of."""
    assert (loads(dumps(array)) == array).all()


def test_a_large_pickle_travels_beside_the_messages():
    """So that no frame's body grows large."""
    value = [f"text {i:06}" for i in range(LARGE_HEAD // 5)]
    serialized = dumps(value)
    assert isinstance(serialized, Payload)
    assert serialized.buffers == []
    assert loads(serialized) == value


def test_what_is_owned_does_not_change_any_more():
    """A user may reuse an array right after submit()."""
    array = LARGE.copy()
    owned, shared = dumps(array, own=True), dumps(array)
    array[:] = -1
    assert (loads(owned) == LARGE).all()
    assert (loads(shared) == -1).all()


def test_what_cannot_change_is_not_copied():
    """Read-only memory is shared, even if it is to be owned."""
    frozen = LARGE.copy()
    frozen.flags.writeable = False
    serialized = dumps(frozen, own=True)
    assert isinstance(serialized, Payload)
    assert np.shares_memory(np.frombuffer(serialized.buffers[0], "u1"), frozen)


def test_arrays_can_be_written_to_where_their_memory_can():
    """As received: a fresh bytearray for each buffer."""
    serialized = dumps(LARGE)
    assert isinstance(serialized, Payload)
    arrived = loads(Payload(serialized.head, [bytearray(b) for b in serialized.buffers]))
    arrived[0] = 7
    assert not loads(Payload(serialized.head, [bytes(LARGE.tobytes())])).flags.writeable


def test_thousands_of_large_buffers_travel_in_one_piece(monkeypatch):
    """A frame holds only so many."""
    monkeypatch.setattr(serialize, "MOST_BUFFERS", 3)
    value = [np.full(OUT_OF_BAND, i, "u1") for i in range(4)]
    serialized = dumps(value)
    assert isinstance(serialized, Payload)
    assert serialized.buffers == []
    assert [array[0] for array in loads(serialized)] == [0, 1, 2, 3]


# -- what C pickle cannot take ---------------------------------------------------------------------


def test_functions_made_anywhere_are_taken_by_value():
    """Lambdas, closures, classes made in functions, partials of them."""

    class Local:
        factor = 3

    def scaled(x: int, *, by: Any) -> int:
        return x * by.factor

    assert loads(dumps(lambda x: x + 1))(1) == 2
    assert loads(dumps(functools.partial(scaled, by=Local)))(2) == 6
    assert type(loads(dumps(Local()))).factor == 3


def test_classes_of_main_are_taken_by_value():
    """`__main__` is another module at the other end."""
    script = """
        import dataclasses, subprocess, sys
        from jobqueue.protocol.serialize import dumps, dumps_if_small, dumps_function
        @dataclasses.dataclass
        class Point:
            x: int
            def twice(self):
                return self.x * 2
        def call(point):
            return point.twice()
        _, function = dumps_function(call)
        for value in (dumps(Point(21)), dumps_if_small(Point(21), 1 << 16)):
            there = "import sys, pickle; f, v = pickle.load(sys.stdin.buffer); "
            there += "print(pickle.loads(f)(pickle.loads(v)))"
            import pickle
            subprocess.run([sys.executable, "-c", there], input=pickle.dumps((function, value)))
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == ["42", "42"], output.stderr


def test_large_arrays_inside_of_what_is_taken_by_value_travel_beside_it_too():
    """The second attempt begins anew: no buffer comes twice."""
    serialized = dumps([LARGE, lambda: 1, LARGE + 1])
    assert isinstance(serialized, Payload)
    assert len(serialized.buffers) == 2
    first, function, second = loads(serialized)
    assert (first == LARGE).all()
    assert (second == LARGE + 1).all()
    assert function() == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (threading.Lock(), "_thread.lock"),
        ([1, {"file": io.FileIO(sys.executable)}], "list"),
        (Stubborn(), "Stubborn.*ValueError: I stay here"),
        ((i for i in range(3)), "generator"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_be_pickled_is_named(value, words):
    """By its type, with what pickle said."""
    with pytest.raises(SerializationError, match="cannot be pickled"):
        dumps(value)
    with pytest.raises(SerializationError, match="cannot be pickled"):
        dumps_if_small(value, 1 << 20)
    with pytest.raises(SerializationError, match=words):
        dumps(value)


def test_too_deep_a_nesting_is_named():
    """With what can be done about it."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="nested too deeply"):
        dumps(value)
    while value:  # or its end would be too deep a recursion as well
        value = value[0]


def test_what_cannot_be_read_is_named():
    """Bytes that are no pickle, and modules that are not installed here."""
    with pytest.raises(SerializationError, match="could not be read here"):
        loads(b"garbage")
    missing = b"\x80\x04\x8c\x0cnot_here_xyz\x8c\x01f\x93."
    with pytest.raises(SerializationError, match=r"not_here_xyz.*same software"):
        loads(missing)


# -- small enough? ---------------------------------------------------------------------------------


@given(VALUES | st.binary(max_size=200), st.integers(0, 150))
def test_the_limit_is_exact(value, limit):
    """What takes as many bytes as are allowed rides along; one more, and it does not."""
    whole = dumps_if_small(value, 1 << 30)
    assert whole is not None
    small = dumps_if_small(value, limit)
    assert small == (whole if len(whole) <= limit else None)


class Counted:
    """Counts how many of its kind were pickled."""

    pickled = 0

    def __reduce__(self) -> Any:
        Counted.pickled += 1
        return str, (f"{Counted.pickled:01000}",)


def test_large_values_are_given_up_early():
    """A few frames of the pickle are enough to see it."""
    Counted.pickled = 0
    assert dumps_if_small([Counted() for _ in range(10_000)], 4096) is None
    assert Counted.pickled < 1000


@pytest.mark.parametrize("value", [LARGE, [LARGE], {"a": (LARGE,)}, LARGE[::2]], ids=str)
def test_large_arrays_are_given_up_at_once(value):
    """Alone or inside of something, before any byte of them is looked at."""
    assert dumps_if_small(value, 4096) is None


@pytest.mark.parametrize("value", [np.ndarray, np.float64, np.float64(1.5)], ids=repr)
def test_what_calls_something_else_nbytes_is_taken_too(value):
    """A class of arrays has the attribute, but no size."""
    small = dumps_if_small(value, 4096)
    assert small is not None
    assert loads(small) == value


# -- functions -------------------------------------------------------------------------------------


def test_a_function_is_named_by_its_pickle():
    """The same function has the same name, another another."""
    fid, head = dumps_function(functools.reduce)
    assert len(fid) == 16
    assert dumps_function(functools.reduce) == (fid, head)
    assert dumps_function(functools.partial)[0] != fid
    assert loads(head) is functools.reduce


def test_a_function_over_large_data_travels_in_one_piece():
    """Whatever it closes over."""
    large = LARGE.copy()
    _, head = dumps_function(lambda: large.sum())
    assert type(head) is bytes
    assert loads(head)() == LARGE.sum()


# -- names -----------------------------------------------------------------------------------------


def test_descriptions():
    """Short reprs are shown, names of functions and classes too; long or broken ones are not."""
    assert describe(dumps) == "function 'dumps'"
    assert describe(Holder) == "type 'Holder'"
    assert describe([1, 2]) == "an object of type list ([1, 2])"
    assert describe("x" * 100) == "an object of type str"
    assert describe(Stubborn()).startswith("an object of type ")


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("own", [False, True])
def test_large_bytes_travel_beside_the_pickle(kind: type, own: bool) -> None:
    """They are not copied into it; they arrive as what they were, in memory of their own."""
    value = kind(b"__main__" * 100_000)
    packed = dumps(value, own=own)
    assert isinstance(packed, Payload)
    assert len(packed.head) < 200
    first, second = loads(packed), loads(packed)
    assert (type(first), first) == (kind, value)
    if kind is bytearray:
        first[0] = 0
        assert second == value
        if own:
            value[1] = 0
            assert loads(packed)[1] == second[1]


class Odd:
    """Raises what it likes where it is asked for an attribute that it does not have."""

    def __getattr__(self, name):
        if name.startswith("__") and name != "__qualname__":
            raise AttributeError(name)
        raise ValueError(name)


def test_objects_that_raise_when_asked_for_attributes() -> None:
    """They are pickled like others, and described by their type."""
    small = dumps_if_small(Odd(), 1000)
    assert small is not None
    assert isinstance(loads(small), Odd)
    assert describe(Odd()).startswith("an object of type ")


class ImportsOddly:
    """Cannot be unpickled at the first attempt; notes whether others could at the second."""

    raises: type[Exception] = ImportError
    fails = 1
    attempts: ClassVar[list[bool]] = []

    def __reduce__(self):
        return _imported_oddly, ()


def _imported_oddly() -> str:
    def free() -> bool:
        if serialize._turns.acquire(blocking=False):
            serialize._turns.release()
            return True
        return False

    with ThreadPoolExecutor(1) as other:
        ImportsOddly.attempts.append(other.submit(free).result())
    if len(ImportsOddly.attempts) <= ImportsOddly.fails:
        raise ImportsOddly.raises("cannot import name 'core' from partially initialized module")
    return "it came"


@pytest.mark.parametrize("error", [ImportError, AttributeError, _DeadlockError])
def test_modules_that_another_thread_has_half_imported(error: type[Exception]) -> None:
    """Where threads import modules that import each other, the value comes all the same."""
    ImportsOddly.raises = error
    for fails in (1, 3):  # others in the way again
        ImportsOddly.fails = fails
        ImportsOddly.attempts.clear()
        assert loads(dumps(ImportsOddly())) == "it came"
        assert ImportsOddly.attempts == [True] + fails * [False]


@pytest.mark.parametrize("error", [KeyError, RuntimeError])
def test_what_a_value_itself_raises_is_not_tried_again(error: type[Exception]) -> None:
    """What its code does on the way is done once."""
    ImportsOddly.fails, ImportsOddly.raises = 1, error
    ImportsOddly.attempts.clear()
    with pytest.raises(SerializationError, match=error.__name__):
        loads(dumps(ImportsOddly()))
    assert len(ImportsOddly.attempts) == 1


def test_a_forked_process_waits_for_nobody() -> None:
    """Though another thread was unpickling alone when it was forked, which did not come along."""
    begun, end = threading.Event(), threading.Event()

    def unpickle() -> None:
        with serialize.alone():
            begun.set()
            end.wait()

    thread = threading.Thread(target=unpickle)
    thread.start()
    begun.wait()
    child = os.fork()
    if not child:
        os._exit(not serialize._turns.acquire(blocking=False))
    end.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_what_cannot_be_read_is_not_tried_for_ever() -> None:
    """The error is that of the last try."""
    ImportsOddly.fails, ImportsOddly.raises = 1000, ImportError
    ImportsOddly.attempts.clear()
    with pytest.raises(SerializationError, match="partially initialized module"):
        loads(dumps(ImportsOddly()))
    assert len(ImportsOddly.attempts) < 10
