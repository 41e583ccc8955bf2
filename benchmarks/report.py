"""The outcomes as a Markdown document: one table, then what is needed to judge it. Pure."""

from collections.abc import Mapping, Sequence

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.results import (
    Outcomes,
    against_reference,
    figure,
    reference,
    significant,
    spread,
    verdict,
)
from benchmarks.rows import BEST_PEER, Row

TIMES = "\N{MULTIPLICATION SIGN}"


def document(
    outcomes: Outcomes,
    rows: Sequence[Row],
    contenders: Sequence[str],
    *,
    rounds: int,
    quick: bool,
    facts: Mapping[str, str],
    skipped: Mapping[str, str],
) -> str:
    """Return the whole document.

    Parameters
    ----------
    facts
        The machine and the versions, by name.
    skipped
        Why a contender took no part, by its name.
    """
    parts = ["# Benchmarks"]
    if quick:
        parts.append("**A quick run: small sizes, no figures to quote.**")
    parts += [
        "Medians; in brackets the ratio to the row's reference (the median of the ratios "
        f"within each of the {rounds} round{'s' * (rounds != 1)}).",
        table(outcomes, rows, contenders, quick=quick),
        "## Least and greatest figure",
        spreads(outcomes, rows, contenders),
    ]
    failures = [
        f"- {row.name}, {contender}: `{outcomes[row.name, contender].failure}`"
        for row in rows
        for contender in contenders
        if (row.name, contender) in outcomes and outcomes[row.name, contender].failure
    ]
    if failures:
        parts += ["## Failed", "\n".join(failures)]
    if skipped:
        parts += ["## Took no part", lines(skipped)]
    parts += ["## Measured on", lines(facts)]
    return "\n\n".join(parts) + "\n"


def table(
    outcomes: Outcomes, rows: Sequence[Row], contenders: Sequence[str], *, quick: bool = False
) -> str:
    """Return the table: a line for each row, a column for each contender, the goal last."""
    head = ["what", *contenders, f"goal for {OURS}", "held"]
    body = [
        [
            row.title.format(size=row.quick_size if quick else row.size),
            *(cell(outcomes, row, contender) for contender in contenders),
            goal(outcomes, row),
            held(outcomes, row),
        ]
        for row in rows
    ]
    rule = ["---", *("---:" for _ in contenders), "---", "---"]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def cell(outcomes: Outcomes, row: Row, contender: str) -> str:
    """Return a contender's median and ratio, or why there is none."""
    if not row.offered(CONTENDERS[contender]):
        return "not offered"
    outcome = outcomes.get((row.name, contender))
    if outcome is None:
        return "-"
    if not outcome.figures:
        return "failed"
    text = figure(outcome.median, row.unit)
    ratio = against_reference(outcomes, row, contender)
    return text if ratio is None else f"{text} ({significant(ratio, 2)} {TIMES})"


def goal(outcomes: Outcomes, row: Row) -> str:
    """Word the goal: at least, or at most, so many times the reference."""
    if row.goal is None:
        return "-"
    sign = "≥" if row.more_is_better else "≤"
    if not row.goal_is_ratio:
        return f"{sign} {figure(row.goal, row.unit)}"
    against = row.reference
    best = reference(outcomes, row)
    if against == BEST_PEER and best:
        against = f"{BEST_PEER} ({best})"
    return f"{sign} {row.goal:g} {TIMES} {against}"


def held(outcomes: Outcomes, row: Row) -> str:
    """Say whether the goal was held."""
    found = verdict(outcomes, row)
    if found is None:
        return "-"
    return "yes" if found.held else "**no**"


def spreads(outcomes: Outcomes, rows: Sequence[Row], contenders: Sequence[str]) -> str:
    """Return one list item for each row: how far the rounds lie apart."""
    items = []
    for row in rows:
        found = [
            f"{contender} {spread(outcomes[row.name, contender].figures.values(), row.unit)}"
            for contender in contenders
            if (row.name, contender) in outcomes and outcomes[row.name, contender].figures
        ]
        items.append(f"- {row.name}: {'; '.join(found) or 'no figures'}")
    return "\n".join(items)


def lines(facts: Mapping[str, str]) -> str:
    """Return a list of names and texts."""
    return "\n".join(f"- {name}: {text}" for name, text in facts.items())
