"""The SVG drawing."""

from xml.etree import ElementTree

from benchmarks import plot
from benchmarks.results import Outcome
from benchmarks.rows import ROWS

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["jobqueue", "ProcessPoolExecutor", "Ray"]
OUTCOMES = {
    ("tasks", "jobqueue"): Outcome("tasks/s", {0: 100_000.0, 1: 90_000.0}),
    ("tasks", "ProcessPoolExecutor"): Outcome("tasks/s", {0: 10_000.0, 1: 10_000.0}),
    ("tasks", "Ray"): Outcome("tasks/s", failure="exit code 1"),
}


def drawn(outcomes):
    """Parse the drawing of all rows."""
    return ElementTree.fromstring(plot.drawing(outcomes, list(ROWS.values()), NAMES))


def words(svg):
    """Return every text in the drawing."""
    return [element.text for element in svg.iter(f"{SVG}text")]


def test_a_dot_for_each_contender_with_figures():
    """Who has no figure has no line; a row without any has no panel."""
    svg = drawn(OUTCOMES)
    assert len(list(svg.iter(f"{SVG}circle"))) == 2
    assert "Ray" not in words(svg)
    assert not any("tree" in text for text in words(svg))


def test_better_lies_to_the_right_if_more_is_better():
    """Dots stand in the order of their figures and within the drawing, the goal between them."""
    svg = drawn(OUTCOMES)
    ours, pool = (float(dot.attrib["cx"]) for dot in svg.iter(f"{SVG}circle"))
    [goal] = [
        float(line.attrib["x1"])
        for line in svg.iter(f"{SVG}line")
        if "stroke-dasharray" in line.attrib
    ]
    assert plot.LEFT < pool < goal < ours < plot.WIDTH - plot.RIGHT
    assert "no-op tasks/s, submit + gather 10,000 (more is better)" in words(svg)


def test_equal_figures_and_no_figures_draw():
    """An axis without extent and an empty run are no special cases."""
    assert len(list(drawn({("tree", "Ray"): Outcome("s", {0: 1.0})}).iter(f"{SVG}circle"))) == 1
    assert words(drawn({})) == []
