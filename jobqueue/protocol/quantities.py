"""Sizes and durations as people write them: ``16GiB``, ``18m``.

The configuration has a richer parser of its own; workers and clients may not import it, and need
only this.
"""

from __future__ import annotations

import math
import re

_DECIMAL = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SECONDS = {
    "ms": 0.001,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d{1,2}))?"
_SIZE = re.compile(rf"{_NUMBER}\s*([kmgtp]?)(i?)(b?)", re.IGNORECASE | re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.ASCII)


def parse_bytes(text: str) -> int:
    """Read a size in bytes.

    ``k``, ``M``, ``G``, ``T`` and ``P`` are powers of 1000, with an ``i`` powers of 1024; the final
    ``B`` and the case of letters don't matter.

    Parameters
    ----------
    text
        For example ``"16GiB"`` (16 x 2**30), ``"4 GB"`` or ``"4g"`` (4 x 10**9), ``"1e9"``.

    Returns
    -------
    int
        Bytes, rounded down.

    Raises
    ------
    ValueError
        If the text is no size.

    Examples
    --------
    >>> parse_bytes("1.5 KiB")
    1536
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[4] and not match[3]):
        raise ValueError(f"{text!r} is no size: write bytes, or a unit, as in 16GiB or 4GB")
    mantissa, exponent, prefix, binary, _ = match.groups()
    number = float(f"{mantissa}e{exponent or 0}") if exponent or "." in mantissa else int(mantissa)
    return int(number * (1024 if binary else 1000) ** _DECIMAL[prefix.lower()])


def parse_seconds(text: str) -> float:
    """Read a duration in seconds.

    Parameters
    ----------
    text
        Seconds as a bare number, or numbers with units: ``"60"``, ``"60s"``, ``"18m"``,
        ``"18 minutes"``, ``"1h30m"``, ``"2 days"``, ``"500ms"``; or a clock: ``"01:30:00"``.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        If the text is no duration.

    Examples
    --------
    >>> parse_seconds("1h30m")
    5400.0
    """
    stripped = text.strip().lower()
    clock = re.fullmatch(r"(\d+):([0-5]\d):([0-5]\d)", stripped, re.ASCII)
    if clock is not None:
        hours, minutes, seconds = map(int, clock.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    total, position = 0.0, 0
    while position < len(stripped):
        match = _DURATION_PART.match(stripped, position)
        # A bare number is seconds, but only alone: "1h30" could mean minutes or seconds.
        if match is None or (not match[2] and match[0] != stripped):
            break
        if match[2] and match[2] not in _SECONDS:
            break
        total += float(match[1]) * _SECONDS[match[2] or "s"]
        position = match.end()
    if not stripped or position < len(stripped) or not math.isfinite(total):
        raise ValueError(f"{text!r} is no duration: write seconds, or units, as in 60s, 18m, 1h30m")
    return total
