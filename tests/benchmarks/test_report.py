"""The Markdown document."""

from benchmarks import report
from benchmarks.results import Outcome
from benchmarks.rows import ROWS

ROUNDS = [ROWS["tasks"], ROWS["tree"], ROWS["import"]]
NAMES = ["jobqueue", "ProcessPoolExecutor", "Ray"]
OUTCOMES = {
    ("tasks", "jobqueue"): Outcome("tasks/s", {0: 100_000.0, 1: 90_000.0, 2: 110_000.0}),
    ("tasks", "ProcessPoolExecutor"): Outcome("tasks/s", dict.fromkeys(range(3), 10_000.0)),
    ("tasks", "Ray"): Outcome("tasks/s", failure="ImportError: no | pipe"),
    ("tree", "jobqueue"): Outcome("s", {0: 0.5}),
    ("tree", "Ray"): Outcome("s", {0: 2.0}),
    ("import", "jobqueue"): Outcome("s", {0: 0.04}),
}

TABLE = """\
| what | jobqueue | ProcessPoolExecutor | Ray | goal for jobqueue | held |
| --- | ---: | ---: | ---: | --- | --- |
| no-op tasks/s, submit + gather 10,000 | 100,000 (10 ×) | 10,000 (1.0 ×) | failed \
| ≥ 5 × ProcessPoolExecutor | yes |
| tree reduction, 4,095 tasks | 500 ms (0.25 ×) | not offered | 2.00 s (1.0 ×) \
| ≤ 0.1 × Ray | **no** |
| import of what a script needs, median of 5 | 40.0 ms | - | - | ≤ 150 ms | yes |"""  # noqa: RUF001


def test_the_table():
    """Medians, ratios, what isn't offered or failed, and whether each goal was held."""
    assert report.table(OUTCOMES, ROUNDS, NAMES) == TABLE


def whole(**changes):
    """Make a document."""
    options = {"rounds": 3, "quick": False, "facts": {"Python": "3.11"}, "skipped": {}}
    return report.document(OUTCOMES, ROUNDS, NAMES, **{**options, **changes})


def test_spread_failures_and_machine_are_told():
    """A reader sees how far the rounds lie apart, who failed and why, and on what machine."""
    text = whole()
    assert TABLE in text
    assert "- tasks: jobqueue 90,000 … 110,000; ProcessPoolExecutor 10,000 … 10,000" in text
    assert "- tasks, Ray: `ImportError: no | pipe`" in text
    assert "- Python: 3.11" in text
    assert "Took no part" not in text


def test_who_took_no_part_is_told_with_the_reason():
    """A missing peer isn't silently missing."""
    assert "- Parsl: parsl is not installed" in whole(skipped={"Parsl": "parsl is not installed"})


def test_a_quick_run_says_so_and_shows_its_sizes():
    """Nobody takes the figures of a quick run for real ones."""
    text = whole(quick=True)
    assert "no figures to quote" in text
    assert "tree reduction, 255 tasks" in text
