"""What each row measures, with a contender that runs everything in place."""

from concurrent.futures import Future

import pytest

from benchmarks import rows
from benchmarks.contenders import Contender


class InPlace(Contender):
    """Runs each call when it is submitted; remembers what happened."""

    name = "in place"
    statement = "import json"
    workers = 1

    def __init__(self, spoil=lambda value: value):
        self.spoil = spoil
        self.calls = 0
        self.running = False

    def start(self):
        """Begin."""
        self.running = True

    def submit(self, function, *args):
        """Run the call; futures among the arguments stand for their values."""
        assert self.running
        self.calls += 1
        future = Future()
        values = [arg.result() if isinstance(arg, Future) else arg for arg in args]
        future.set_result(self.spoil(function(*values)))
        return future

    def first_task(self, function):
        """Call in place."""
        return function()

    def stop(self):
        """End."""
        self.running = False


@pytest.mark.parametrize("row", rows.ROWS.values(), ids=lambda row: row.name)
def test_every_row_yields_a_figure_and_stops_its_contender(row):
    """Each measurement returns a positive figure and leaves nothing running."""
    if "result" in row.name:
        pytest.importorskip("numpy")
    contender = InPlace()
    assert row.measure(contender, row.quick_size) > 0
    assert not contender.running


@pytest.mark.parametrize("name", ["tasks", "round-trip", "tree"])
def test_a_wrong_result_is_no_figure(name):
    """A contender that loses or changes a value fails, and is stopped all the same."""
    contender = InPlace(spoil=lambda value: value + 1)
    with pytest.raises(rows.WrongResultError):
        rows.ROWS[name].measure(contender, 15)
    assert not contender.running


def test_the_tree_has_as_many_tasks_as_its_size(monkeypatch):
    """15 tasks: 8 leaves and 7 additions, after a warm-up tree of 2 leaves."""
    monkeypatch.setattr(rows, "REPEAT_AT_MOST", 1)
    contender = InPlace()
    rows.tree_reduction(contender, 15)
    seeing_the_worker = 2
    assert contender.calls == seeing_the_worker + 3 + 15


def test_nothing_is_measured_before_all_workers_are_up(monkeypatch):
    """A contender that runs on fewer workers than the others is a failure, not a figure."""
    monkeypatch.setattr(rows, "UP_WITHIN", 0.05)
    monkeypatch.setattr(InPlace, "workers", 2)
    contender = InPlace()
    with pytest.raises(rows.WorkersMissingError, match="1 of 2 workers ran a task within"):
        rows.round_trip(contender, 10)
    assert not contender.running


def test_short_runs_are_repeated_but_not_for_ever():
    """The median of a few runs counts where one is too short to say much."""
    figures = iter(range(100))
    assert rows.repeated(lambda: float(next(figures))) == (rows.REPEAT_AT_MOST - 1) / 2


def test_trees_are_full():
    """A tree reduction needs a power of two of leaves, in quick runs, too."""
    tree = rows.ROWS["tree"]
    for size in (tree.size, tree.quick_size):
        assert (size + 1) & size == 0
