"""What the measurements add up to: medians, ratios, verdicts. Pure."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.contenders import OURS
from benchmarks.rows import BEST_PEER, Row


@dataclass(slots=True)
class Outcome:
    """All figures of one contender in one row."""

    unit: str
    figures: dict[int, float] = field(default_factory=dict)
    """By round."""
    failure: str | None = None
    """Why there are no more."""

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.figures.values())

    @property
    def last(self) -> str:
        """The newest figure, or what went wrong."""
        if self.failure:
            return f"failed: {self.failure}"
        return figure(next(reversed(self.figures.values())), self.unit)


Outcomes = dict[tuple[str, str], Outcome]
"""By names of row and contender."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How ours stands to a row's goal."""

    measured: float
    """A ratio, or a figure in the row's unit."""
    held: bool


def measured(outcomes: Outcomes, row: Row) -> dict[str, Outcome]:
    """Return who has figures in a row."""
    return {
        contender: outcome
        for (name, contender), outcome in outcomes.items()
        if name == row.name and outcome.figures
    }


def reference(outcomes: Outcomes, row: Row) -> str | None:
    """Return the name of the contender that a row's ratios are against, if it has figures."""
    there = measured(outcomes, row)
    if row.reference != BEST_PEER:
        return row.reference if row.reference in there else None
    peers = [name for name in there if name != OURS]
    choose = max if row.more_is_better else min
    return choose(peers, key=lambda name: there[name].median, default=None)


def ratio(outcome: Outcome, yardstick: Outcome) -> float | None:
    """Return the median of the ratios within each round that both have a figure for."""
    rounds = outcome.figures.keys() & yardstick.figures.keys()
    ratios = [outcome.figures[number] / yardstick.figures[number] for number in rounds]
    return statistics.median(ratios) if ratios else None


def against_reference(outcomes: Outcomes, row: Row, contender: str) -> float | None:
    """Return a contender's ratio to the row's reference, None where either is missing."""
    there = measured(outcomes, row)
    yardstick = reference(outcomes, row)
    if yardstick is None or contender not in there:
        return None
    return ratio(there[contender], there[yardstick])


def verdict(outcomes: Outcomes, row: Row) -> Verdict | None:
    """Hold ours against the row's goal; None where there is nothing to compare."""
    there = measured(outcomes, row)
    if row.goal is None or OURS not in there:
        return None
    value: float | None = there[OURS].median
    if row.goal_is_ratio:
        value = against_reference(outcomes, row, OURS)
    if value is None:
        return None
    return Verdict(value, value >= row.goal if row.more_is_better else value <= row.goal)


def goal_figure(outcomes: Outcomes, row: Row) -> float | None:
    """Return the goal in the row's unit, given what the reference took; None without it."""
    if row.goal is None or not row.goal_is_ratio:
        return row.goal
    yardstick = reference(outcomes, row)
    return None if yardstick is None else row.goal * outcomes[row.name, yardstick].median


SECONDS = ((1.0, "s", 1.0), (1e-3, "ms", 1e3), (0.0, "µs", 1e6))
"""From how many seconds on, which unit, how many of it are a second."""


def figure(value: float, unit: str, digits: int = 3) -> str:
    """Write a figure with some significant digits: ``16,200``, ``1.40 ms``, ``120 µs``."""
    if unit != "s":
        return significant(value, digits)
    name, factor = next((name, factor) for start, name, factor in SECONDS if value >= start)
    return f"{significant(value * factor, digits)} {name}"


def significant(value: float, digits: int = 3) -> str:
    """Round to significant digits, without an exponent, thousands set off by commas."""
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = int(f"{rounded:e}".rpartition("e")[2])
    return f"{rounded:,.{max(digits - 1 - magnitude, 0)}f}"


def spread(figures: Iterable[float], unit: str) -> str:
    """Write the least and the greatest figure."""
    ordered = sorted(figures)
    return f"{figure(ordered[0], unit)} … {figure(ordered[-1], unit)}"
