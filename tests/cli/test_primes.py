"""The computation of the demonstration."""

from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.cli.primes import COUNT, LIMIT, add, count, here, intervals


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


@given(st.integers(0, 10_000), st.integers(1, 500))
def test_an_interval_is_counted_as_by_trial_division(half_low, half_width):
    """Wherever it begins and ends, as long as both are even."""
    low, high = 2 * half_low, 2 * (half_low + half_width)
    assert count(low, high).primes == sum(map(is_prime, range(low, high)))


@given(st.integers(1, 5000), st.integers(1, 700))
def test_intervals_cover_everything_once(half_limit, half_width):
    """Each begins where the one before ends."""
    lows, highs = intervals(2 * half_limit, 2 * half_width)
    assert lows[0] == 0
    assert highs[-1] == 2 * half_limit
    assert list(lows[1:]) == highs[:-1]


def test_parts_add_up():
    """Known values of the prime-counting function, and one task for each interval and each sum."""
    parts = [count(low, high) for low, high in zip(*intervals(10**6, 10**5), strict=True)]
    whole = reduce(add, parts)
    assert whole.primes == 78_498
    assert whole.tasks == {here(): 19}


def test_the_known_count_belongs_to_the_limit():
    """An interval at the far end agrees with what is known of its neighbourhood."""
    assert (LIMIT, COUNT) == (10**8, 5_761_455)
    assert count(LIMIT - 100, LIMIT).primes == sum(map(is_prime, range(LIMIT - 100, LIMIT)))
