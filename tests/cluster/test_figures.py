"""A cluster in one line, and as a table in a notebook."""

from __future__ import annotations

from jobqueue.cluster.figures import Figures, table

ONE = Figures({"default": (2, 4)}, workers=2, threads=8, memory=3 * 2**30)
TWO = ONE._replace(pools={"default": (2, 4), "gpu": (1, 1)})


def test_jobs_of_several_pools_are_counted_together_and_apart() -> None:
    """Of one pool the sum says all."""
    assert str(ONE) == "2/4 jobs, workers=2, threads=8, memory=3GiB"
    assert str(TWO).startswith("3/5 jobs (default 2/4, gpu 1/1), workers=2")


def test_a_table_has_a_row_for_each_pool() -> None:
    """Named only where there are several."""
    assert ONE.rows() == [
        ("jobs", "2 of 4 connected"),
        ("workers", "2, threads=8, memory=3GiB"),
    ]
    assert [key for key, _ in TWO.rows()] == ["jobs of default", "jobs of gpu", "workers"]


def test_names_are_escaped_in_html() -> None:
    """A cluster's name may be anything, and so may be what a batch system says."""
    html = table("<script>", [("state", "<b>")])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
