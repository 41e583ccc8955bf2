"""The table of what is measured: one `Row` each, with its size, its yardstick and its goal.

A measurement takes a contender that isn't started yet and returns one figure in the row's
unit. It warms up first, checks every result, and repeats short runs, because 10,000 tasks
that take a tenth of a second are not a second's worth of evidence.
"""

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.tasks import add, block, identity, kept_block, process_age, slow_process_id

MEASURE_FOR = 1.0
"""Seconds for which a run is repeated within one process …"""
REPEAT_AT_MOST = 5
"""… but not more often than this. The median counts."""

UP_WITHIN = 60.0
"""Seconds within which all workers of a contender must have answered."""

BEST_PEER = "best peer"
"""As a row's reference: the peer with the best median."""


class WrongResultError(Exception):
    """A contender returned something else than the right values."""


class WorkersMissingError(Exception):
    """A contender didn't bring up its workers in time."""


@contextmanager
def started(contender: Contender) -> Iterator[Contender]:
    """Start a contender, see all its workers at work, and stop it whatever happens."""
    contender.start()
    try:
        await_workers(contender)
        yield contender
    finally:
        contender.stop()


def await_workers(contender: Contender) -> None:
    """Submit tasks until as many processes as wanted have run some: workers may come up late."""
    began = perf_counter()
    seen: set[int] = set()
    while len(seen) < contender.workers:
        if perf_counter() - began > UP_WITHIN:
            raise WorkersMissingError(
                f"{len(seen)} of {contender.workers} workers ran a task within {UP_WITHIN:g} s"
            )
        futures = [contender.submit(slow_process_id) for _ in range(2 * contender.workers)]
        seen.update(contender.gather(futures))


def check(what: str, got: Any, wanted: Any) -> None:
    """Raise WrongResultError unless both are equal: a fast wrong answer is no figure."""
    if got != wanted:
        raise WrongResultError(f"{what}: got {str(got)[:60]}, not {str(wanted)[:60]}")


def repeated(run: Callable[[], float]) -> float:
    """Return the median of up to `REPEAT_AT_MOST` runs, begun within `MEASURE_FOR` seconds."""
    figures: list[float] = []
    began = perf_counter()
    while not figures or (len(figures) < REPEAT_AT_MOST and perf_counter() - began < MEASURE_FOR):
        figures.append(run())
    return statistics.median(figures)


def tasks_per_second(contender: Contender, size: int) -> float:
    """Submit `size` tasks that do nothing and gather all results."""

    def run(count: int) -> float:
        values = range(count)
        began = perf_counter()
        results = contender.gather(contender.map(identity, values))
        seconds = perf_counter() - began
        check("no-op tasks", results, list(values))
        return count / seconds

    with started(contender):
        run(max(size // 10, 1))
        return repeated(lambda: run(size))


def round_trip(contender: Contender, size: int) -> float:
    """Submit one task and wait for it, `size` times: the median seconds."""

    def run(value: int) -> float:
        began = perf_counter()
        result = contender.result(contender.submit(identity, value))
        seconds = perf_counter() - began
        check("round trip", result, value)
        return seconds

    with started(contender):
        for value in range(max(size // 10, 1)):
            run(value)
        return statistics.median(run(value) for value in range(size))


def tree_reduction(contender: Contender, size: int) -> float:
    """Add up (size + 1) / 2 leaves pair by pair, `size` tasks in all, submitted without waiting."""

    def run(leaves: int) -> float:
        began = perf_counter()
        level = list(contender.map(identity, range(leaves)))
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [contender.submit(add, left, right) for left, right in pairs]
        total = contender.result(level[0])
        seconds = perf_counter() - began
        check("tree reduction", total, leaves * (leaves - 1) // 2)
        return seconds

    leaves = (size + 1) // 2
    with started(contender):
        run(max(leaves // 8, 2))
        return repeated(lambda: run(leaves))


def big_result(contender: Contender, size: int) -> float:
    """Have a task make `size` bytes, one NumPy array, and wait for it at the client."""
    return block_to_client(contender, block, size // 8)


def kept_result(contender: Contender, size: int) -> float:
    """Have a task return `size` bytes that its worker holds already."""
    return block_to_client(contender, kept_block, size // 8)


def block_to_client(contender: Contender, make: Callable[[int], Any], length: int) -> float:
    """Return the median seconds from submitting ``make(length)`` to having its array."""

    def run(_: int) -> float:
        began = perf_counter()
        array = contender.result(contender.submit(make, length))
        seconds = perf_counter() - began
        check("length of the big result", len(array), length)
        check("sum of the big result", float(array.sum()), length * (length - 1) / 2)
        return seconds

    with started(contender):
        # Several at once, so that both workers get one before the clock counts.
        contender.gather([contender.submit(make, length) for _ in range(4)])
        run(0)
        return statistics.median(run(number) for number in range(5))


def import_time(contender: Contender, size: int) -> float:
    """Import what a user's script imports, in `size` new interpreters: the median seconds."""
    program = (
        "from time import perf_counter; began = perf_counter()\n"
        f"{contender.statement}\n"
        "print(); print(perf_counter() - began)"
    )

    def run() -> float:
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        return float(done.stdout.splitlines()[-1])

    run()  # The first one reads the files from disk and writes their bytecode.
    return statistics.median(run() for _ in range(size))


def worker_ready(contender: Contender, size: int) -> float:
    """Age of a new worker process when it runs a task that was waiting for it, `size` times."""
    ages: list[float] = [contender.first_task(process_age) for _ in range(size)]
    return statistics.median(ages)


def anyone(contender: type[Contender]) -> bool:
    """Offer the row to every contender."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    """On the command line."""
    title: str
    """In the table; ``{size}`` stands for the size."""
    unit: str
    """Either "tasks/s" (more is better) or "s" (less is better)."""
    size: int
    quick_size: int
    """For ``--quick``, which proves that everything runs and yields no figure to quote."""
    measure: Callable[[Contender, int], float]
    reference: str
    """What the ratios are against: a contender's name or `BEST_PEER`."""
    goal: float | None = None
    """Ours must be at least (tasks/s) or at most (s) this much …"""
    goal_is_ratio: bool = True
    """… times the reference, or in the row's own unit."""
    offered: Callable[[type[Contender]], bool] = anyone
    """Which contenders can do this at all."""

    @property
    def more_is_better(self) -> bool:
        """Whether the larger figure wins."""
        return self.unit == "tasks/s"


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            name="tasks",
            title="no-op tasks/s, submit + gather {size:,}",
            unit="tasks/s",
            size=10_000,
            quick_size=500,
            measure=tasks_per_second,
            reference="ProcessPoolExecutor",
            goal=5,
        ),
        Row(
            name="round-trip",
            title="round trip of one task, median of {size:,}",
            unit="s",
            size=300,
            quick_size=20,
            measure=round_trip,
            reference="ProcessPoolExecutor",
            goal=1.5,
        ),
        Row(
            name="tree",
            title="tree reduction, {size:,} tasks",
            unit="s",
            size=4095,
            quick_size=255,
            measure=tree_reduction,
            reference="Ray",
            goal=0.1,
            offered=lambda contender: contender.accepts_futures,
        ),
        Row(
            name="big-result",
            title="NumPy array of {size:,} bytes, made by a task, to the client",
            unit="s",
            size=100_000_000,
            quick_size=8_000_000,
            measure=big_result,
            reference=BEST_PEER,
            goal=1,
        ),
        Row(
            name="kept-result",
            title="the same array, if the worker has it already",
            unit="s",
            size=100_000_000,
            quick_size=8_000_000,
            measure=kept_result,
            reference=BEST_PEER,
        ),
        Row(
            name="import",
            title="import of what a script needs, median of {size}",
            unit="s",
            size=5,
            quick_size=1,
            measure=import_time,
            reference="distributed",
            goal=0.15,
            goal_is_ratio=False,
        ),
        Row(
            name="worker-ready",
            title="first task of a new worker, after its process started, median of {size}",
            unit="s",
            size=3,
            quick_size=1,
            measure=worker_ready,
            reference="distributed",
            goal=0.3,
            goal_is_ratio=False,
            offered=lambda contender: contender.starts_empty,
        ),
    )
}
"""All rows, in the order of the table."""
