"""Amounts of memory and lengths of time, from the way people write them and back.

Pure functions; each raises `ValueError` with the fact, the value and the accepted forms. Callers
add where the value came from.

Memory: ``GB`` is 10⁹ bytes and ``GiB`` 2³⁰. A bare ``K``, ``M``, ``G`` is the decimal one, as in
dask; ``Ki``, ``Mi``, ``Gi`` the binary one. Case and spaces don't matter. A bare number counts
bytes.

Time: ``12:00:00``, ``1-12:00:00``, ``90 min``, ``1h30m``, or a `datetime.timedelta`. Batch systems
disagree about short forms (``30:00`` is half an hour for Slurm and PBS, thirty hours for LSF), so
`parse_walltime` takes a `Clock` that says how one system reads them. Python numbers always count
seconds.
"""

from __future__ import annotations

import datetime
import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from fractions import Fraction

    Number = int | float | Fraction

_DECIMAL = {letter: 1000**power for power, letter in enumerate(["", *"kMGTPE"])}
_BINARY = {letter: 1024**power for power, letter in enumerate(["", *"KMGTPE"]) if letter}

# Every accepted suffix in lower case → bytes.
_MEMORY_SUFFIXES: dict[str, int] = {
    **{(letter + tail).lower(): n for letter, n in _DECIMAL.items() for tail in ("", "b")},
    **{(letter + tail).lower(): n for letter, n in _BINARY.items() for tail in ("i", "ib")},
    "byte": 1,
    "bytes": 1,
}

# What `format_memory` may write, exact and readable.
_MEMORY_UNITS: dict[str, int] = {
    **{f"{letter}B": n for letter, n in _DECIMAL.items()},
    **{f"{letter}iB": n for letter, n in _BINARY.items()},
}

_NUMBER = r"(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,2})?"
_MEMORY = re.compile(rf"\s*({_NUMBER})\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)

_MEMORY_FORMS = (
    'a number and a unit: "100GB" (10⁹ bytes each), "16GiB" (2³⁰ bytes each), "500 MB", "1.5 TB"; '
    "a bare number counts bytes"
)


def parse_memory(value: object) -> int:
    """Read an amount of memory.

    Parameters
    ----------
    value
        Text such as ``"100GB"`` or ``"16 GiB"``, or a number of bytes.

    Returns
    -------
    int
        Bytes; a fraction of a byte is dropped.

    Raises
    ------
    ValueError
        If it is not an amount of memory, or not a positive one.

    Examples
    --------
    >>> parse_memory("100GB"), parse_memory("16GiB"), parse_memory("1.5 TB")
    (100000000000, 17179869184, 1500000000000)
    """
    amount = _memory_amount(value)
    if amount < 1:
        raise ValueError(f"{value!r} is not a positive amount of memory; write {_MEMORY_FORMS}")
    return int(amount)


def _memory_amount(value: object) -> Number:
    if isinstance(value, str):
        match = _MEMORY.fullmatch(value)
        factor = _MEMORY_SUFFIXES.get(match[2].lower()) if match else None
        if match and factor:
            return _exactly(match[1].replace("_", "")) * factor
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError(f"{value!r} is not an amount of memory; write {_MEMORY_FORMS}")


def format_memory(amount: int) -> str:
    """Write an amount of memory (bytes) exactly, in the unit that gives the smallest number.

    Examples
    --------
    >>> format_memory(100_000_000_000), format_memory(16 * 2**30), format_memory(1001)
    ('100 GB', '16 GiB', '1001 B')
    """
    exact = {unit: n for unit, n in _MEMORY_UNITS.items() if amount % n == 0}
    unit = max(exact, key=lambda unit: exact[unit])
    return f"{amount // exact[unit]} {unit}"


Unit = Literal["seconds", "minutes", "hours"]
_UNIT_SECONDS: dict[Unit, int] = {"seconds": 1, "minutes": 60, "hours": 3600}
_SMALLER: dict[Unit, Unit] = {"hours": "minutes", "minutes": "seconds"}


class Clock(NamedTuple):
    """How one batch system reads the short forms of a length of time.

    Parameters
    ----------
    bare
        The unit of a number that stands alone: ``"90"``.
    pair
        The unit of the first of two numbers: ``"01:30"``; the second counts the next smaller one.
    """

    bare: Unit = "seconds"
    pair: Literal["minutes", "hours"] = "minutes"


SECONDS = Clock()

_CLOCK_TEXT = re.compile(r"(?:(\d+)-)?(\d+)((?::\d+)*)", re.ASCII)
_WORD_SECONDS = {
    **dict.fromkeys(["s", "sec", "secs", "second", "seconds"], 1),
    **dict.fromkeys(["m", "min", "mins", "minute", "minutes"], 60),
    **dict.fromkeys(["h", "hr", "hrs", "hour", "hours"], 3600),
    **dict.fromkeys(["d", "day", "days"], 86400),
    **dict.fromkeys(["w", "week", "weeks"], 604800),
}
# How many of them a second has: as divisors, they leave whole numbers of seconds whole.
_WORD_PARTS = {
    **dict.fromkeys(["ms", "msec", "millisecond", "milliseconds"], 10**3),
    **dict.fromkeys(["us", "µs", "μs", "usec", "microsecond", "microseconds"], 10**6),
    **dict.fromkeys(["ns", "nsec", "nanosecond", "nanoseconds"], 10**9),
}
_WORD = re.compile(r"\s*(?:,|and\b)?\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµμ]+)\s*", re.I | re.ASCII)

_TIME_FORMS = '"12:00:00" (hours:minutes:seconds), "1-12:00:00" (days first), "90 min" or "2 hours"'


def parse_walltime(value: object, clock: Clock = SECONDS) -> int:
    """Read how long a job may run.

    Parameters
    ----------
    value
        Text (see the module's docstring), a number of seconds, or a `datetime.timedelta`.
    clock
        How the batch system at hand reads ``"90"`` and ``"01:30"``.

    Returns
    -------
    int
        Seconds, rounded up: a job must never be given less than was asked for.

    Raises
    ------
    ValueError
        If it is not a length of time, or not a positive one.

    Examples
    --------
    >>> parse_walltime("00:30:00"), parse_walltime("1-12"), parse_walltime("2 hours")
    (1800, 129600, 7200)
    >>> parse_walltime("01:00"), parse_walltime("01:00", Clock(bare="minutes", pair="hours"))
    (60, 3600)
    """
    return math.ceil(_positive_time(value, clock))


def parse_duration(value: object) -> int | float:
    """Read a length of time in which a bare number, text or not, counts seconds.

    Examples
    --------
    >>> parse_duration(60), parse_duration("2 min"), parse_duration("500 ms")
    (60, 120, 0.5)
    """
    seconds = _positive_time(value, SECONDS)
    whole = int(seconds)
    return whole if whole == seconds else float(seconds)


def _positive_time(value: object, clock: Clock) -> Number:
    seconds = _time(value, clock)
    if seconds is None:
        raise ValueError(f"{value!r} is not a length of time; write {_TIME_FORMS}")
    if seconds <= 0:
        raise ValueError(f"{value!r} is not a positive length of time; write {_TIME_FORMS}")
    return seconds


def _time(value: object, clock: Clock) -> Number | None:
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    match = _CLOCK_TEXT.fullmatch(text)
    return _clock_time(match, clock) if match else _word_time(text, clock)


def _clock_time(match: re.Match[str], clock: Clock) -> int | None:
    """``D-HH[:MM[:SS]]``, ``[D:]HH:MM:SS``, and the two short forms by the system's own clock."""
    parts = [int(match[2]), *map(int, match[3].split(":")[1:])]
    if match[1] is not None:
        return _sum(int(match[1]), *parts, *[0] * (3 - len(parts))) if len(parts) <= 3 else None
    if len(parts) == 1:
        return parts[0] * _UNIT_SECONDS[clock.bare]
    if len(parts) == 2:
        first, second = _UNIT_SECONDS[clock.pair], _UNIT_SECONDS[_SMALLER[clock.pair]]
        return parts[0] * first + parts[1] * second
    if len(parts) == 3:
        return _sum(0, *parts)
    return _sum(*parts) if len(parts) == 4 else None


def _sum(days: int, hours: int, minutes: int, seconds: int) -> int:
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _word_time(text: str, clock: Clock) -> Number | None:
    """``2 hours``, ``1h30m``, ``1 day and 12 hours``, and a bare decimal such as ``1.5``."""
    if re.fullmatch(r"\d*\.\d+|\d+\.", text, re.ASCII):
        return _exactly(text) * _UNIT_SECONDS[clock.bare]
    total: Number = 0
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        unit = match[2].lower() if match else ""
        if match is None or not (unit in _WORD_SECONDS or unit in _WORD_PARTS):
            return None
        total += _exactly(match[1]) * _WORD_SECONDS.get(unit, 1) / _WORD_PARTS.get(unit, 1)
        at = match.end()
    return total if at else None


def _exactly(text: str) -> int | Fraction:
    """Read a number as it is written: 1.1 GB are 1,100,000,000 bytes, not one less."""
    if text.isdecimal():
        return int(text)
    from fractions import Fraction  # most amounts are whole, and importing it takes its time

    return Fraction(text)


def format_walltime(seconds: int) -> str:
    """Write a length of time (whole seconds) as ``HH:MM:SS``; hours may exceed 24.

    Examples
    --------
    >>> format_walltime(1800), format_walltime(129600)
    ('00:30:00', '36:00:00')
    """
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}"
