"""Which workers an agent ends because they take too much memory."""

from __future__ import annotations

import os

from jobqueue.worker.overuse import INTERVAL, RECENT, KernelKills, Overuse


def test_whoever_takes_too_much_is_named_with_numbers() -> None:
    """Those above the fraction, and no others; a process that is gone takes nothing."""
    taken = {1: 95 * 2**20, 2: 96 * 2**20, 3: 300 * 2**20}
    overuse = Overuse(100 * 2**20, 0.95, resident=taken.get)
    assert overuse.look(enumerate([1, 2, 3, 4]), 0.0) == [
        (1, "used 96.0 MiB of its 100 MiB memory limit (96 %)"),
        (2, "used 300 MiB of its 100 MiB memory limit (300 %)"),
    ]


def test_it_looks_from_time_to_time() -> None:
    """No more often than that, whatever else the agent has to do."""
    looks: list[int] = []
    overuse = Overuse(1000, 0.95, resident=looks.append)  # type: ignore[arg-type, func-returns-value]
    for now in (0.0, 0.1, INTERVAL, INTERVAL + 0.1):
        overuse.look([(0, 1)], now)
    assert len(looks) == 2
    assert overuse.deadline() == 2 * INTERVAL


def test_without_a_limit_nobody_looks() -> None:
    """Nor with one that ends nobody."""
    for overuse in (Overuse(None, 0.95), Overuse(1000, None)):
        assert overuse.deadline() is None
        assert overuse.look([(0, os.getpid())], 0.0) == []


def test_real_processes() -> None:
    """This one takes more than a megabyte."""
    assert [slot for slot, _ in Overuse(2**20, 0.95).look([(7, os.getpid())], 0.0)] == [7]


def test_the_kernel_kills() -> None:
    """It counts from the agent's start; news is news for a moment."""
    count = 3
    kills = KernelKills(lambda: count)
    assert not kills.recent(0.0)
    count = 5
    assert kills.recent(10.0)
    assert kills.recent(10.0 + RECENT / 2)
    assert not kills.recent(10.0 + RECENT)
