"""The examples on a LocalCluster; those for batch systems are tested in tests/slurm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

RUN_HERE = {"as_completed_adaptive", "gpu_pool", "grid_search", "tree_reduction"}
RUN_IN_TEST_COLLECTIONS = {"blocked_array", "flight_delays", "xarray_mean"}
RUN_ON_SLURM = {"mpi_program"}


def test_every_example_is_run():
    """A new one needs a test, and a line in the page about them."""
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == RUN_HERE | RUN_IN_TEST_COLLECTIONS | RUN_ON_SLURM
    listed = re.findall(r"\[(\w+)\.py\]\(\1\.py\)", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == sorted(names)


def test_a_tree_reduction_gives_the_sum(run_example):
    """Of the squares below 256²."""
    assert "is 5559680" in run_example("tree_reduction")


@pytest.mark.parametrize("leaves", ["3", "0", "-4"])
def test_leaves_that_make_no_tree(refused_by_example, leaves):
    """One line says what is meant."""
    assert f"{leaves} is no power of two" in refused_by_example(
        "tree_reduction", "--leaves", leaves
    )


def test_a_resonance_curve_is_drawn_where_it_bends(run_example):
    """Its peak is found, with most simulations near it."""
    printed = run_example("as_completed_adaptive")
    assert "the peak is at 0.997, as it should be at 0.997" in printed
    places = [float(place) for place in re.findall(r"^(\d\.\d+) \*", printed, re.MULTILINE)]
    assert places == sorted(set(places))
    near = [place for place in places if 0.9 <= place <= 1.1]  # a fifth of it all
    assert len(near) > len(places) / 2


def test_tasks_that_want_a_gpu_run_in_the_pool_that_has_some(run_example):
    """What they need is prepared by the other one."""
    printed = run_example("gpu_pool")
    assert "16 trained on GPU 0" in printed
    assert "the best line is 2.0 x -1.0" in printed


def test_a_grid_search_gives_the_scores_of_a_plain_loop(run_example):
    """To the last bit."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    printed = run_example("grid_search", "--cluster", "local", "--jobs", "2", "--check")
    assert "best: C=1, gamma=0.001 with an accuracy of" in printed
    assert "and gives the same scores" in printed
