"""Several pools in words, and what whoever waits is told of them."""

from __future__ import annotations

import pytest

from jobqueue.cluster.explain import describe, outage, shortage
from jobqueue.cluster.outages import describe_pools, outage_of, shortage_of
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.errors import CommandNotFound, WorkersUnavailable


class Member:
    """A pool as the loop's keeper shows it."""

    def __init__(self, name: str, wanted: int = 0) -> None:
        self.state = PoolState(name)
        self.state.scale(wanted)

    def describe(self, workers: int | None = None) -> str:
        return describe(self.state, workers=workers, system="slurm")

    def outage(self) -> WorkersUnavailable | None:
        return outage(self.state, system="slurm", script=None)

    def shortage(self) -> WorkersUnavailable | None:
        return shortage(self.state, system="slurm", script=None)

    def fails(self) -> Member:
        self.state.submits(1, 0.0)
        self.state.submitted(Submission(error=CommandNotFound(f"no sbatch, {self.state.name}")), 0)
        return self

    def works(self) -> Member:
        self.state.submits(1, 0.0)
        self.state.submitted(Submission((f"{self.state.name}-1",)), 0.0)
        self.state.worker_joined(f"{self.state.name}-1", "w", 1.0)
        return self


def test_a_pool_that_is_out_is_no_outage_while_another_may_serve() -> None:
    """Whether that has workers, waits for jobs, or follows the load."""
    out = Member("gpu", 1).fails()
    waiting, working = Member("cpu", 1), Member("cpu", 1).works()
    adapting = Member("cpu")
    adapting.state.mode = "adaptive"
    for other in (waiting, working, adapting):
        assert outage_of([other, out]) is None
    assert shortage_of([waiting, out]) is None
    assert shortage_of([adapting, out]) is None


def test_a_pool_of_which_nothing_is_wanted_keeps_nobody_waiting() -> None:
    """It will not bring workers."""
    with pytest.raises(WorkersUnavailable, match="no sbatch, gpu"):
        raise outage_of([Member("cpu"), Member("gpu", 1).fails()]) or AssertionError


def test_whoever_waits_for_more_workers_is_told_when_no_pool_brings_any() -> None:
    """One that has all it is to have brings no more, either."""
    with pytest.raises(WorkersUnavailable, match="no sbatch, gpu"):
        raise shortage_of([Member("cpu", 1).works(), Member("gpu", 1).fails()]) or AssertionError


def test_several_that_are_out_are_told_together() -> None:
    """Each with its reason."""
    error = outage_of([Member("cpu", 1).fails(), Member("gpu", 1).fails()])
    assert "pool cpu: submission to slurm failed" in str(error)
    assert "no sbatch, gpu" in str(error)


def test_no_pools_no_outage() -> None:
    """Nothing is expected of a cluster that was not scaled."""
    assert outage_of([]) is None
    assert outage_of([Member("cpu"), Member("gpu")]) is None
    assert shortage_of([Member("cpu").fails()]) is None


def test_one_line_for_all() -> None:
    """One pool needs no name; one of which nothing is to be said has its jobs counted."""
    assert describe_pools([Member("default")], 0) == "0 workers; no jobs wanted: call scale()"
    assert describe_pools([Member("cpu", 1).works(), Member("gpu")], 1) == (
        "1 worker; pool cpu: 1 job connected; pool gpu: no jobs wanted: call scale()"
    )
