"""Medians, ratios and verdicts."""

from dataclasses import replace

import pytest

from benchmarks import results
from benchmarks.results import Outcome, Outcomes
from benchmarks.rows import BEST_PEER, ROWS

TASKS = ROWS["tasks"]
TREE = ROWS["tree"]
BIG = ROWS["big-result"]
KEPT = ROWS["kept-result"]
IMPORT = ROWS["import"]


def outcomes(row, **figures):
    """Make the outcomes of one row: figures by contender, a round each."""
    return {
        (row.name, name): Outcome(row.unit, dict(enumerate(values)))
        for name, values in figures.items()
    }


def test_a_ratio_is_taken_within_each_round():
    """A slow minute that hits both contenders of a round leaves their ratio alone."""
    ours, peer = Outcome("s", {0: 1.0, 1: 10.0, 2: 1.0}), Outcome("s", {0: 2.0, 1: 20.0, 2: 2.0})
    assert results.ratio(ours, peer) == 0.5


def test_rounds_that_only_one_has_do_not_count():
    """A contender that failed later is compared over the rounds it took part in."""
    assert results.ratio(Outcome("s", {0: 3.0, 1: 1.0}), Outcome("s", {1: 2.0})) == 0.5
    assert results.ratio(Outcome("s", {0: 3.0}), Outcome("s", {1: 2.0})) is None


@pytest.mark.parametrize(("ours", "held"), [(51.0, True), (50.0, True), (49.0, False)])
def test_more_is_better_for_tasks(ours, held):
    """Tasks per second must reach the goal's multiple of the reference."""
    found = results.verdict(outcomes(TASKS, jobqueue=[ours], ProcessPoolExecutor=[10.0]), TASKS)
    assert found == results.Verdict(ours / 10, held)


@pytest.mark.parametrize(("ours", "held"), [(0.09, True), (0.11, False)])
def test_less_is_better_for_seconds(ours, held):
    """Seconds must stay below the goal's multiple of the reference."""
    found = results.verdict(outcomes(TREE, jobqueue=[ours], Ray=[1.0]), TREE)
    assert found == results.Verdict(ours, held)


@pytest.mark.parametrize(("ours", "held"), [(0.14, True), (0.16, False)])
def test_an_absolute_goal_needs_no_reference(ours, held):
    """Where the goal stands in seconds, ours is judged alone."""
    assert results.verdict(outcomes(IMPORT, jobqueue=[ours]), IMPORT) == results.Verdict(ours, held)


def test_the_best_peer_has_the_best_median_and_is_not_ours():
    """The reference `BEST_PEER` means the fastest of the others."""
    there = outcomes(BIG, jobqueue=[0.01], Ray=[0.1, 0.1, 9.0], loky=[0.2, 0.2, 0.2])
    assert BIG.reference == BEST_PEER
    assert results.reference(there, BIG) == "Ray"
    more = replace(TASKS, reference=BEST_PEER)
    assert results.reference(outcomes(more, jobqueue=[9], loky=[2], Ray=[1]), more) == "loky"


@pytest.mark.parametrize(
    "there", [{}, outcomes(TASKS, jobqueue=[1.0]), outcomes(TASKS, ProcessPoolExecutor=[1.0])]
)
def test_no_verdict_without_both_figures(there: Outcomes):
    """Nothing is called held that wasn't measured."""
    assert results.verdict(there, TASKS) is None


def test_no_verdict_without_a_goal():
    """A row may be measured for information only."""
    there = outcomes(KEPT, jobqueue=[1.0], Ray=[2.0])
    assert KEPT.goal is None
    assert results.verdict(there, KEPT) is None
    assert results.goal_figure(there, KEPT) is None


def test_the_goal_in_the_rows_unit():
    """A ratio becomes a figure by the reference's median; an absolute goal is one already."""
    assert results.goal_figure(outcomes(TASKS, ProcessPoolExecutor=[9.0, 10.0, 99.0]), TASKS) == 50
    assert results.goal_figure({}, TASKS) is None
    assert results.goal_figure({}, IMPORT) == 0.15


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (16_234.5, "tasks/s", "16,200"),
        (999.96, "tasks/s", "1,000"),
        (0.000_119_6, "s", "120 µs"),
        (0.001_4, "s", "1.40 ms"),
        (0.0839, "s", "83.9 ms"),
        (6.7, "s", "6.70 s"),
        (123.4, "s", "123 s"),
    ],
)
def test_figures_have_three_digits_and_a_fitting_unit(value, unit, written):
    """A figure reads without counting zeros."""
    assert results.figure(value, unit) == written


def test_the_newest_figure_or_the_failure_is_shown():
    """The line on the terminal says what has just come out."""
    assert Outcome("s", {0: 1.0, 2: 2.0}).last == "2.00 s"
    assert Outcome("s", {0: 1.0}, failure="exit code 1").last == "failed: exit code 1"
