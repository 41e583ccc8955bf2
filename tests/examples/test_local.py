"""The examples on a LocalCluster; those for batch systems are tested in tests/slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

RUN_HERE = {"as_completed_adaptive", "grid_search", "tree_reduction"}


def test_every_example_is_run():
    """A new one needs a test."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == RUN_HERE


def test_a_tree_reduction_gives_the_sum(run_example):
    """Of the squares below 256²."""
    assert "is 5559680" in run_example("tree_reduction")


def test_an_adaptive_integral_converges(run_example):
    """To the value that is known."""
    assert "exactly 3.136830762" in run_example("as_completed_adaptive")


def test_a_grid_search_gives_the_scores_of_a_plain_loop(run_example):
    """To the last bit."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed here")
    printed = run_example("grid_search", "--cluster", "local", "--jobs", "2", "--check")
    assert "best: C=1, gamma=0.001 with an accuracy of" in printed
    assert "and gives the same scores" in printed
