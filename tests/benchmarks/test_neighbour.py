"""Counting what a cluster asks of its site."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.neighbour import Meter, scheduled
from jobqueue.batch import commands


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    monkeypatch.setattr(commands, "run", commands.run)  # put back at the end
    return Meter()


def test_commands_are_counted_where_all_of_them_pass(meter: Meter) -> None:
    """By name, for each phase by itself, with the processor time that they take."""
    phase = meter.during("two", lambda: [asyncio.run(commands.run(["true"])) for _ in range(2)])
    assert phase.asked == {"true": 2}
    assert phase.theirs >= 0
    assert phase.seconds > 0
    assert meter.during("none", lambda: None).asked == {}
    assert phase.asked == {"true": 2}, "a phase that is over does not change"


def test_the_schedule_is_that_of_a_cluster() -> None:
    """Often at first, then once a minute."""
    assert scheduled(0.5, (1.0, 2.0, 10.0)) == 0
    assert scheduled(3.0, (1.0, 2.0, 10.0)) == 2
    assert scheduled(103.0, (1.0, 2.0, 10.0)) == 12
