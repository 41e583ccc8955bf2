"""What to do about jobs that will never start, by the batch systems' own words."""

from __future__ import annotations

import pytest

from jobqueue.batch.hopeless import remedy_for


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("PartitionTimeLimit", "walltime="),
        ("QOSMaxWallDurationPerJobLimit", "walltime="),
        ("PartitionNodeLimit", "nodes="),
        ("BadConstraints", "memory="),
        ("QOSMaxCpuPerJobLimit", "cores="),
        ("AccountNotAllowed", "account="),
        ("JobHeldUser", "scontrol release"),
        ("Can Never Run: Insufficient amount of resource: ncpus (R: 100 A: 16 T: 16)", "cores="),
        ("no match found ", "condor_q -better-analyze"),
    ],
)
def test_what_time_does_not_mend_has_a_remedy(reason: str, named: str) -> None:
    """It names what to change."""
    assert named in remedy_for(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "Priority",
        "Resources",
        "BeginTime",
        "QOSMaxJobsPerUserLimit",
        "QOSMaxCpuPerUserLimit",
        "AssocGrpCpuLimit",
        "Not Running: Insufficient amount of resource: ncpus",
    ],
)
def test_what_may_pass_needs_none(reason: str) -> None:
    """Most jobs wait because others run."""
    assert remedy_for(reason) == ""
