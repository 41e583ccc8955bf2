"""Who runs when, each in a process of its own."""

import os

import pytest

from benchmarks import turns
from benchmarks.__main__ import chosen, main
from benchmarks.contenders import CONTENDERS, ProcessPool
from benchmarks.rows import ROWS


def test_contenders_take_turns_and_the_first_place_goes_around():
    """Everybody runs once per round; nobody always follows the same peer."""
    assert list(turns.turns("ABC", 3)) == [
        *((0, name) for name in "ABC"),
        *((1, name) for name in "BCA"),
        *((2, name) for name in "CAB"),
    ]
    assert list(turns.turns([], 3)) == []


def test_a_failure_leaves_the_others_running(monkeypatch):
    """A contender that fails is tried once per row; the rest of the run goes on."""
    tried = []

    def measure(contender, row, size):
        tried.append(contender)
        if contender == "Ray":
            raise turns.MeasurementError("it broke")
        return float(size)

    monkeypatch.setattr(turns, "measure", measure)
    outcomes = {}
    shown = list(turns.run(outcomes, [ROWS["tree"]], ["jobqueue", "loky", "Ray"], rounds=2))
    assert tried == ["jobqueue", "Ray", "jobqueue"]
    assert shown[:2] == ["tree 1/2 jobqueue: 4,100 s", "tree 1/2 Ray: failed: it broke"]
    assert outcomes["tree", "jobqueue"].figures == {0: 4095.0, 1: 4095.0}
    assert ("tree", "loky") not in outcomes


def test_a_measurement_that_fails_tells_its_last_word():
    """The last line of what the process wrote is the reason."""
    with pytest.raises(turns.MeasurementError, match="ValueError: invalid literal"):
        turns.measure("ProcessPoolExecutor", ROWS["tasks"], size="many")


def test_a_measurement_that_takes_too_long_is_ended():
    """No contender can hold up the run; its processes end with it."""
    with pytest.raises(turns.MeasurementError, match="no figure after"):
        turns.measure("ProcessPoolExecutor", ROWS["tasks"], 10**7, timeout=0.5)


def test_measurements_are_kept_from_using_more_threads(monkeypatch):
    """Numerical libraries get one thread, as the workers do; the user's path stays."""
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    made = turns.environment("Ray")
    assert made["OMP_NUM_THREADS"] == "1"
    assert made["RAY_USAGE_STATS_ENABLED"] == "0"
    assert made["PYTHONPATH"] == f"{turns.CHECKOUT}{os.pathsep}/some/where"


def test_the_command_measures_and_writes_table_and_drawing(tmp_path):
    """The whole way, with the one peer that is always there."""
    out, plot = tmp_path / "results.md", tmp_path / "results.svg"
    options = ["--contenders", "processpoolexecutor", "--rows", "tasks,tree", "--rounds", "1"]
    assert main([*options, "--quick", "--out", str(out), "--plot", str(plot)]) == 0
    line = next(line for line in out.read_text().splitlines() if "no-op tasks/s" in line)
    assert "(1.0 \N{MULTIPLICATION SIGN})" in line
    assert plot.read_text().startswith("<svg")


def test_peers_that_are_not_installed_are_skipped_with_the_reason(tmp_path, monkeypatch):
    """The run goes on without them and says so."""
    monkeypatch.setattr(ProcessPool, "module", "no_such_module")
    out = tmp_path / "results.md"
    assert main(["--contenders", "ProcessPoolExecutor", "--quick", "--out", str(out)]) == 0
    assert "- ProcessPoolExecutor: no_such_module is not installed" in out.read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "nonsense"], "no row is called 'nonsense'; there are tasks, round-trip"),
        (["--contenders", "dask"], "no contender is called 'dask'; there are jobqueue"),
        (["--rounds", "0"], "--rounds is 0; at least one is needed"),
    ],
)
def test_wrong_options_are_named(options, words):
    """One line says what is wrong and what there is."""
    with pytest.raises(SystemExit, match=words):
        main(options)


def test_names_are_chosen_in_the_tables_order():
    """However they are written, names come out as in the table."""
    assert chosen("ray, jobqueue", CONTENDERS, "contender") == ["jobqueue", "Ray"]
