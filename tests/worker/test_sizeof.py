"""An estimate of how much memory a value takes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from jobqueue.worker.sizeof import sizeof


class Frame:
    """Tells its size as pandas does."""

    def memory_usage(self, *, deep: bool) -> Any:
        return np.array([8000, 128])


class Broken:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __sizeof__(self) -> int:
        raise RuntimeError("size")


def test_arrays_tell_their_size():
    """By `nbytes`, alone and inside of containers."""
    array = np.zeros(100_000)
    assert sizeof(array) == 800_000
    assert 800_000 <= sizeof({"a": [array]}) < 801_000


def test_data_frames_tell_their_size():
    """By `memory_usage`."""
    assert sizeof(Frame()) == 8128


@pytest.mark.parametrize("value", [b"x" * 1000, "x" * 1000, 2**8000, bytearray(1000)], ids=type)
def test_plain_values_are_measured(value):
    """As Python does."""
    assert sizeof(value) == sys.getsizeof(value) >= 1000


@pytest.mark.parametrize("kind", [list, tuple, lambda values: dict(enumerate(values))])
def test_of_many_elements_a_few_are_looked_at(kind):
    """And the others taken to be like them."""
    size = sizeof(kind([b"x" * 1000] * 10_000))
    assert 10_000_000 < size < 13_000_000


def test_deep_nesting_ends():
    """A list that holds itself has a size too."""
    endless: list[Any] = []
    endless.append(endless)
    assert sizeof(endless) > 0
    assert sizeof([]) == sys.getsizeof([])


@pytest.mark.parametrize("value", [Broken(), np.ndarray, Frame, type], ids=type)
def test_whatever_a_class_does_there_is_an_answer(value):
    """A number, never an error."""
    assert sizeof(value) > 0
