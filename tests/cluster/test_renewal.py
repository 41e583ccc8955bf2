"""When the job that takes another's place is submitted."""

from __future__ import annotations

import pytest

from jobqueue.cluster.jobs import JobRecord
from jobqueue.cluster.renewal import REMEMBERED, Renewal, default_margin


def job(*, took: float, walltime: float | None = 3600.0, restarts: int = 0) -> JobRecord:
    """A job submitted at 0 that worked `took` seconds later."""
    ends = None if walltime is None else took + walltime
    return JobRecord("1", "p", 0.0, took, joined_at=took, expires_at=ends, restarts=restarts)


def test_a_job_whose_end_is_not_known_is_not_replaced_ahead() -> None:
    """There is nothing to count back from."""
    assert Renewal().due(job(took=5.0, walltime=None)) is None


def test_the_time_jobs_take_to_come_is_the_median_of_the_last() -> None:
    """One that was slow for once changes nothing; a queue that becomes slow is learnt."""
    renewal = Renewal(margin=60.0)
    for _ in range(REMEMBERED):
        renewal.came(job(took=10.0))
    renewal.came(job(took=1000.0))
    assert renewal.due(job(took=0.0)) == 3600.0 - 10.0 - 60.0
    for _ in range(REMEMBERED):
        renewal.came(job(took=600.0))
    assert renewal.due(job(took=0.0)) == 3600.0 - 600.0 - 60.0


def test_what_a_requeued_job_waited_is_no_guide() -> None:
    """Between its submission and its workers another run lies."""
    renewal = Renewal(margin=0.0)
    renewal.came(job(took=500.0, restarts=1))
    assert renewal.due(job(took=0.0)) == 3600.0


@pytest.mark.parametrize(("walltime", "margin"), [(60, 10), (600, 60), (1200, 120), (86400, 120)])
def test_the_margin_grows_with_the_walltime(walltime: float, margin: float) -> None:
    """A tenth of it, at least 10 s and at most two minutes; what was said counts instead."""
    assert default_margin(walltime) == margin
    assert Renewal().due(job(took=0.0, walltime=walltime)) == walltime - margin
    assert Renewal(margin=1.0).due(job(took=0.0, walltime=walltime)) == walltime - 1.0
