"""When a job ends, as far as its node can know."""

from __future__ import annotations

import pytest

from jobqueue.worker.deadline import Deadline, default_margin, find_deadline


def test_nothing_is_known() -> None:
    """Without a walltime there is no deadline."""
    assert find_deadline({}, now=100.0) is None
    assert find_deadline({"JOBQUEUE_JOB_STARTED": "90"}, now=100.0) is None


@pytest.mark.parametrize(
    ("environ", "at", "source"),
    [
        ({}, 700.0, "--walltime"),
        ({"JOBQUEUE_JOB_STARTED": "90"}, 690.0, "--walltime"),
        ({"JOBQUEUE_JOB_STARTED": "soon"}, 700.0, "--walltime"),
        ({"SLURM_JOB_END_TIME": "500", "SLURM_JOB_ID": "7"}, 500.0, "SLURM_JOB_END_TIME"),
        ({"SLURM_JOB_END_TIME": "500", "SLURM_ARRAY_JOB_ID": "7"}, 500.0, "SLURM_JOB_END_TIME"),
        ({"SLURM_JOB_END_TIME": "500", "SLURM_JOB_ID": "6"}, 700.0, "--walltime"),
        ({"SLURM_JOB_END_TIME": "99", "SLURM_JOB_ID": "7"}, 700.0, "--walltime"),
        (
            {
                "OAR_JOB_WALLTIME_SECONDS": "300",
                "OAR_JOB_ID": "7",
                "JOBQUEUE_JOB_STARTED": "90",
            },
            390.0,
            "OAR_JOB_WALLTIME_SECONDS",
        ),
    ],
)
def test_who_says_it(environ: dict[str, str], at: float, source: str) -> None:
    """The batch system rather than the command line, if it speaks of this job and not of another.

    What is over already was wrong.
    """
    found = find_deadline(environ, now=100.0, job_id="7_3", walltime=600.0)
    assert found is not None
    assert (found.at, found.source) == (at, source)


def test_a_bare_environment() -> None:
    """All of it may stand on the command line."""
    found = find_deadline({}, now=100.0, started=50.0, walltime=600.0, margin=30.0)
    assert found == Deadline(650.0, 30.0, "--walltime")


def test_the_margin() -> None:
    """A tenth, within bounds, and never more than half of what is left."""
    assert [default_margin(60.0), default_margin(600.0), default_margin(86400.0)] == [10, 60, 120]
    found = find_deadline({}, now=100.0, walltime=600.0)
    assert found is not None
    assert found.margin == 60.0
    found = find_deadline({}, now=100.0, started=100.0, walltime=8.0)
    assert found is not None
    assert found.margin == 4.0
