"""The outcomes as an SVG drawing, made by hand, so that a plot needs no plotting library. Pure.

One panel for each row, one line for each contender: a dot at the median, a bar from the
least to the greatest figure, on a logarithmic axis, because the contenders lie orders of
magnitude apart. A dashed line marks the goal.
"""

import math
from collections.abc import Sequence
from html import escape

from benchmarks.contenders import OURS
from benchmarks.results import Outcome, Outcomes, figure, goal_figure, measured
from benchmarks.rows import Row

WIDTH = 760
LEFT, RIGHT = 170, 110
"""Room for the names and for the figures."""
LINE = 22
HEAD, GAP = 40, 30
INK, PALE, ACCENT = "#333333", "#8a8f98", "#c2410c"

STYLE = "font-family: sans-serif; font-size: 12px"


def drawing(
    outcomes: Outcomes, rows: Sequence[Row], contenders: Sequence[str], *, quick: bool = False
) -> str:
    """Return an SVG document; rows without any figure are left out."""
    parts: list[str] = []
    top = GAP
    for row in rows:
        there = measured(outcomes, row)
        shown = {name: there[name] for name in contenders if name in there}
        if not shown:
            continue
        title = row.title.format(size=row.quick_size if quick else row.size)
        better = "more" if row.more_is_better else "less"
        parts += panel(f"{title} ({better} is better)", shown, goal_figure(outcomes, row), top)
        top += HEAD + LINE * len(shown) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'width="{WIDTH}" height="{top}" style="{STYLE}">'
    )
    paper = f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
    return "\n".join([head, paper, *parts, "</svg>"]) + "\n"


def panel(title: str, shown: dict[str, Outcome], goal: float | None, top: int) -> list[str]:
    """Return the elements of one row's panel, whose upper edge is at `top`."""
    figures = [value for outcome in shown.values() for value in outcome.figures.values()]
    low, high = span([*figures, *([] if goal is None else [goal])])
    bottom = top + HEAD + LINE * len(shown)

    def x(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    parts = [text(10, top + 12, title, weight="bold")]
    unit = next(iter(shown.values())).unit
    powers = range(math.ceil(low), math.floor(high) + 1)
    for tick in (10.0**power for power in powers):
        parts += [
            rule(x(tick), top + HEAD - 6, bottom, "#e3e5e8"),
            text(x(tick), bottom + 13, figure(tick, unit, digits=1), PALE, anchor="middle"),
        ]
    if goal is not None:
        parts.append(rule(x(goal), top + HEAD - 6, bottom, ACCENT, dashed=True))
        parts.append(text(x(goal), top + HEAD - 10, "goal", ACCENT, anchor="middle"))
    for index, (name, outcome) in enumerate(shown.items()):
        y = top + HEAD + LINE * index + LINE // 2
        colour = ACCENT if name == OURS else PALE
        ends = x(min(outcome.figures.values())), x(max(outcome.figures.values()))
        parts += [
            text(LEFT - 12, y + 4, name, anchor="end", weight="bold" if name == OURS else ""),
            f'<line x1="{ends[0]}" x2="{ends[1]}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="2"/>',
            f'<circle cx="{x(outcome.median)}" cy="{y}" r="4.5" fill="{colour}"/>',
            text(WIDTH - 10, y + 4, figure(outcome.median, unit), anchor="end"),
        ]
    return parts


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis as powers of ten: all values within, never an empty axis."""
    logs = [math.log10(value) for value in values]
    return min(logs) - 0.15, max(logs) + 0.15


def text(
    x: float, y: float, words: str, colour: str = INK, *, anchor: str = "start", weight: str = ""
) -> str:
    """Return a text element."""
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}"{bold}>{escape(words)}</text>'
    )


def rule(x: float, top: float, bottom: float, colour: str, *, dashed: bool = False) -> str:
    """Return a vertical line."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x}" x2="{x}" y1="{top}" y2="{bottom}" stroke="{colour}"{dash}/>'
