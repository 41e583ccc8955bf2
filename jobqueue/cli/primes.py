"""What `jobqueue demo` computes: the number of primes below 10⁸, by many small sieves.

Workers import this file; it needs nothing but the standard library.
"""

from __future__ import annotations

import math
import os
import socket
from functools import lru_cache
from typing import NamedTuple

LIMIT = 10**8
COUNT = 5_761_455
"""Primes below `LIMIT`; OEIS A006880."""

WIDTH = 50_000
"""Numbers in one interval: about a millisecond's work."""


class Part(NamedTuple):
    """Primes found in some intervals, and how many tasks which process ran for that."""

    primes: int
    tasks: dict[str, int]


def intervals(limit: int = LIMIT, width: int = WIDTH) -> tuple[range, list[int]]:
    """Return where intervals that make up 0 to `limit` begin, and where they end; all even.

    Examples
    --------
    >>> intervals(100, 40)
    (range(0, 100, 40), [40, 80, 100])
    """
    lows = range(0, limit, width)
    return lows, [*lows[1:], limit]


def count(low: int, high: int) -> Part:
    """Count the primes from `low` up to, but without, `high`; both are even.

    Examples
    --------
    >>> count(0, 100).primes, count(100, 1000).primes
    (25, 143)
    """
    odd = bytearray(b"\1") * ((high - low) // 2)  # odd[i] stands for low + 2 i + 1
    for prime in _odd_primes(math.isqrt(high)):
        first = max(prime * prime, (low // prime + 1) * prime)
        first += prime * (first % 2 == 0)
        start = (first - low) // 2
        odd[start::prime] = bytes(len(range(start, len(odd), prime)))
    # The sieve takes 1 for a prime and knows nothing of 2.
    return Part(odd.count(1) - (low == 0) + (low <= 2 < high), {here(): 1})


def add(left: Part, right: Part) -> Part:
    """Put two parts together: one node of the tree.

    Examples
    --------
    >>> add(Part(4, {"a:1": 1}), Part(21, {"a:1": 1})).primes
    25
    """
    tasks = dict(left.tasks)
    for process, number in (*right.tasks.items(), (here(), 1)):
        tasks[process] = tasks.get(process, 0) + number
    return Part(left.primes + right.primes, tasks)


def here() -> str:
    """Name this process: ``node03:4711``."""
    return f"{socket.gethostname()}:{os.getpid()}"


@lru_cache
def _odd_primes(limit: int) -> list[int]:
    """Return the odd primes up to a limit; a worker computes them once."""
    sieve = bytearray(b"\1") * (limit + 1)
    for number in range(3, math.isqrt(limit) + 1, 2):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number**2, limit + 1, number)))
    return [number for number in range(3, limit + 1, 2) if sieve[number]]
