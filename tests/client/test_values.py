"""Values that people compute with, on their way: to a worker, between workers, and back."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import functools
import pickle
from typing import Any

import numpy
import pytest

from jobqueue import Client


@dataclasses.dataclass
class Table:
    """Buffers inside of an object, inside of containers."""

    name: str
    columns: dict[str, Any]


def same(one: Any, other: Any) -> bool:
    """Compare by what copies of them are pickled to: type and content, however nested."""
    one, other = (pickle.dumps(pickle.loads(pickle.dumps(each, 5)), 5) for each in (one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    "value",
    [
        Table("nested", {"x": numpy.arange(50_000), "empty": numpy.empty((0, 3))}),
        [numpy.zeros(0), b"", bytearray(), "", [], {}],
        [bytearray(100_000), [bytearray(0)], {"deep": (bytearray(b"x" * 20_000),)}],
        numpy.zeros(1000, dtype=[("when", "M8[s]"), ("what", "f8", (20,))]),
        collections.OrderedDict(one=collections.deque([1, 2], maxlen=5)),
        (decimal.Decimal("0.1"), datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), 10**400),
        functools.partial(int, base=16),
    ],
    ids=["object", "nothing", "bytearrays", "records", "collections", "plain", "partial"],
)
def test_values_arrive_as_they_left(client: Client, value: Any) -> None:
    """As argument, as result, as another worker's input, and scattered."""
    here, there = sorted(client.nthreads())
    made = client.submit(lambda x: x, value, workers=here)
    moved = client.submit(lambda x: x, made, workers=there)
    scattered = client.scatter({"value": value})["value"]
    for future in (made, moved, scattered):
        assert same(future.result(30), value)


def test_closures_there_and_back(client: Client) -> None:
    """Over small and large data, and over each other; they can be called at both ends."""
    weights, offset = numpy.ones(30_000), 3

    def total(values: Any) -> float:
        return float(weights @ values) + offset

    def make(factor: int) -> Any:
        return lambda values: factor * total(values)

    made = client.submit(make, 2)
    assert client.submit(lambda f: f(numpy.ones(30_000)), made).result(30) == 60_006
    assert made.result(30)(numpy.ones(30_000)) == 60_006


def test_data_frames(client: Client) -> None:
    """With columns of several kinds, also one without rows; from worker to worker."""
    import pandas

    here, there = sorted(client.nthreads())
    frame = pandas.DataFrame(
        {
            "number": numpy.arange(20_000.0),
            "text": [f"row {row}" for row in range(20_000)],
            "group": pandas.Categorical(["a", "b"] * 10_000),
            "when": pandas.date_range("2026-01-01", periods=20_000, freq="min"),
        }
    )
    for rows in (frame, frame[:0]):
        made = client.submit(lambda x: x[x["number"] % 2 == 0], rows, workers=here)
        counted = client.submit(lambda x: x.groupby("group", observed=True).size(), made)
        moved = client.submit(lambda x: x.sort_values("number"), made, workers=there)
        assert counted.result(30).sum() == len(rows) // 2
        pandas.testing.assert_frame_equal(moved.result(30), rows[rows["number"] % 2 == 0])
