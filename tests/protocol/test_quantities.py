"""Sizes and durations on the command line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.protocol.quantities import parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("100", 100),
        ("16GiB", 16 * 2**30),
        ("16gib", 16 * 2**30),
        ("4GB", 4 * 10**9),
        ("4 GB", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("36gb", 36 * 10**9),
        ("1.5KiB", 1536),
        ("1e9", 10**9),
        ("2.5e3kB", 2_500_000),
        ("7B", 7),
        (" 3 MiB ", 3 * 2**20),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    """GB is 10**9, GiB is 2**30, a bare G is 10**9."""
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "lots", "GB", "-1GB", "4 GB RAM", "4i", "4iB", "nan", "1e", "4,5GB"]
)
def test_what_is_no_size(text: str) -> None:
    """The error names the value and shows how to write it."""
    with pytest.raises(ValueError, match="no size: write bytes"):
        parse_bytes(text)


@given(st.integers(0, 2**60))
def test_a_bare_number_is_bytes(number: int) -> None:
    """Integers of any size keep every digit."""
    assert parse_bytes(str(number)) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60", 60),
        ("60s", 60),
        ("0.5", 0.5),
        ("18m", 1080),
        ("18 minutes", 1080),
        ("1h30m", 5400),
        ("1 hour 30 min", 5400),
        ("2 days", 172_800),
        ("500ms", 0.5),
        ("01:30:00", 5400),
        ("72:00:00", 259_200),
    ],
)
def test_durations(text: str, expected: float) -> None:
    """Seconds, units, sums of them, and a clock."""
    assert parse_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "m", "-5", "1h30", "5 fortnights", "inf", "1:2:3"])
def test_what_is_no_duration(text: str) -> None:
    """The error names the value and shows how to write it."""
    with pytest.raises(ValueError, match="no duration: write seconds"):
        parse_seconds(text)


@given(st.text(alphabet="0123456789.emhdskgib: +-", max_size=12))
def test_parsers_answer_or_raise_value_error(text: str) -> None:
    """No text gets a parser to fail in another way, or to answer with something below zero."""
    for parse in (parse_bytes, parse_seconds):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
