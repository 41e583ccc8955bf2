"""Amounts of memory and lengths of time: every accepted form, and what is refused."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config.units import (
    Clock,
    format_memory,
    format_walltime,
    parse_duration,
    parse_memory,
    parse_walltime,
)

MINUTES = Clock(bare="minutes", pair="minutes")
LSF = Clock(bare="minutes", pair="hours")
HOURS = Clock(bare="hours", pair="hours")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("100GB", 100 * 10**9),
        ("28 GB", 28 * 10**9),
        ("16GiB", 16 * 2**30),
        ("36gb", 36 * 10**9),
        ("4G", 4 * 10**9),
        ("4Gi", 4 * 2**30),
        ("4 gi", 4 * 2**30),
        ("1.5 TB", 1_500_000_000_000),
        (".5 GB", 500_000_000),
        ("1e3 MB", 10**9),
        ("1_000 MB", 10**9),
        ("500 kB", 500_000),
        ("512KiB", 512 * 1024),
        ("2P", 2 * 10**15),
        ("109GiB", 109 * 2**30),
        (" 115GB ", 115 * 10**9),
        ("165000000000", 165_000_000_000),
        ("10 bytes", 10),
        ("10 B", 10),
        (2**34, 2**34),
        (1e9, 10**9),
    ],
)
def test_memory_is_read_as_people_write_it(text: object, amount: int) -> None:
    """GB counts 10⁹ and GiB 2³⁰; case and spaces don't matter; numbers are bytes."""
    assert parse_memory(text) == amount


@pytest.mark.parametrize(
    "value",
    [
        "lots",
        "",
        "GB",
        "10 XB",
        "1,5 GB",
        "10GB 5MB",
        "ten GB",
        "-4GB",
        None,
        True,
        [],
        float("nan"),
    ],
)
def test_what_is_no_memory_is_refused_with_the_accepted_forms(value: object) -> None:
    """The error holds the value and examples of what to write."""
    with pytest.raises(ValueError, match="is not an amount of memory") as caught:
        parse_memory(value)
    assert repr(value) in str(caught.value)
    assert "100GB" in str(caught.value)
    assert "16GiB" in str(caught.value)


@pytest.mark.parametrize("value", ["0", "0 GB", "0.1B", 0, -5])
def test_memory_must_be_positive(value: object) -> None:
    """Nothing, or less than a byte, is no amount to ask for."""
    with pytest.raises(ValueError, match="not a positive amount"):
        parse_memory(value)


@given(st.integers(min_value=1, max_value=10**21))
def test_memory_survives_being_written(amount: int) -> None:
    """What is written for people reads back exactly."""
    assert parse_memory(format_memory(amount)) == amount


@given(
    st.integers(1, 10**6),
    st.sampled_from(["", "k", "M", "G", "T"]),
    st.sampled_from(["", "b", "B"]),
)
def test_a_bare_letter_is_the_decimal_unit(number: int, letter: str, tail: str) -> None:
    """ "4G" and "4GB" are the same, as in dask."""
    assert parse_memory(f"{number}{letter}{tail}") == parse_memory(f"{number} {letter}B")


@pytest.mark.parametrize(
    ("text", "clock", "seconds"),
    [
        ("00:30:00", MINUTES, 1800),
        ("12:00:00", MINUTES, 43200),
        ("48:00:00", MINUTES, 172800),
        ("30:00", MINUTES, 1800),
        ("90", MINUTES, 5400),
        ("90", Clock(), 90),
        ("0-2:00:00", MINUTES, 7200),
        ("1-00", MINUTES, 86400),
        ("1-00:00", MINUTES, 86400),
        ("1-12:30", MINUTES, 131400),
        ("2:00:00:00", Clock(), 172800),
        ("01:00", LSF, 3600),
        ("00:30", LSF, 1800),
        ("2", HOURS, 7200),
        ("1:30", HOURS, 5400),
        ("2 hours", MINUTES, 7200),
        ("90 min", LSF, 5400),
        ("1h30m", MINUTES, 5400),
        ("1 day and 12 hours", MINUTES, 129600),
        ("1 day, 2 h", MINUTES, 93600),
        ("1.5 hours", MINUTES, 5400),
        ("0.5", HOURS, 1800),
        (43200, MINUTES, 43200),
        (43200, LSF, 43200),
        (0.5, MINUTES, 1),
        (datetime.timedelta(hours=2), LSF, 7200),
    ],
)
def test_walltime_by_the_clock_of_each_batch_system(
    text: object, clock: Clock, seconds: int
) -> None:
    """Text means what the batch system takes it for; a Python number counts seconds everywhere."""
    assert parse_walltime(text, clock) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "soon",
        "",
        "1:2:3:4:5",
        "1-2:3:4:5",
        "12:00:00 h",
        "2 fortnights",
        "-5",
        "1:-2",
        None,
        True,
        "UNLIMITED",
    ],
)
def test_what_is_no_time_is_refused_with_the_accepted_forms(value: object) -> None:
    """The error holds the value and examples of what to write."""
    with pytest.raises(ValueError, match="is not a length of time") as caught:
        parse_walltime(value)
    assert repr(value) in str(caught.value)
    assert '"12:00:00"' in str(caught.value)


@pytest.mark.parametrize("value", ["00:00:00", "0", 0, -60, datetime.timedelta(0)])
def test_time_must_be_positive(value: object) -> None:
    """No time at all is not a walltime."""
    with pytest.raises(ValueError, match="not a positive length of time"):
        parse_walltime(value)


@given(st.integers(min_value=1, max_value=10**8), st.sampled_from([Clock(), MINUTES, LSF, HOURS]))
def test_walltime_survives_being_written(seconds: int, clock: Clock) -> None:
    """The full form means the same to every batch system."""
    assert parse_walltime(format_walltime(seconds), clock) == seconds


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes a parser fail in another way than by ValueError."""
    for parse in (parse_memory, parse_walltime, parse_duration):
        with contextlib.suppress(ValueError):
            assert parse(text) > 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (60, 60),
        ("60", 60),
        ("60s", 60),
        ("2 min", 120),
        ("00:01:00", 60),
        (0.5, 0.5),
        ("500 ms", 0.5),
        ("1500ms", 1.5),
        ("7000 milliseconds", 7),
        ("250us", 0.00025),
        ("250 µs", 0.00025),
        ("10 ns", 1e-8),
        ("2 days", 172_800),
    ],
)
def test_durations_count_seconds(value: object, seconds: float) -> None:
    """A bare number of a duration counts seconds, as text too."""
    assert parse_duration(value) == seconds
