"""The simulated workers drive the real core, and the table says what came of it."""

import pytest

from benchmarks import simulate


@pytest.mark.parametrize("shape", simulate.SHAPES)
def test_every_shape_runs_to_its_end(shape):
    """All tasks have a result, and nothing is left when they are released."""
    costs = simulate.simulate(shape, workers=5, tasks=300)
    assert 250 <= costs.tasks <= 300
    assert min(costs.submit, costs.run, costs.release) > 0


@pytest.mark.parametrize("shape", simulate.SHAPES)
def test_keys_are_unique_and_inputs_come_first(shape):
    """A shape names each task once, and only earlier ones as inputs."""
    seen = set()
    for key, _, inputs in simulate.SHAPES[shape](200):
        assert key not in seen
        assert seen.issuperset(inputs or ())
        seen.add(key)


def test_the_table_compares_with_the_fewest_workers():
    """The last column is the cost of a task, over that of the first line of the same shape."""
    cheap = simulate.Costs(10, 1.0, 2.0, 1.0, 300.0, 1e6)
    dear = simulate.Costs(10, 1.0, 4.0, 1.0, 300.0, 1e6)
    lines = list(simulate.table([("map", 10, cheap), ("map", 1000, dear), ("tree", 10, dear)]))
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["1.00 |", "1.50 |", "1.00 |"]


def test_an_unknown_shape_is_refused(capsys):
    """With the names of those that exist."""
    with pytest.raises(SystemExit):
        simulate.main(["--shapes", "spiral"])
    assert "unknown shapes: spiral; there are map, tree" in capsys.readouterr().err
