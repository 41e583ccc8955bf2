"""What pools may ask of a batch system, alone and together."""

from __future__ import annotations

from jobqueue.cluster.limits import Limits, Quota
from jobqueue.cluster.pool import PoolState, Submission


def pools(shared: Limits, *own: Limits) -> list[PoolState]:
    quota = Quota(shared)
    return [PoolState(f"p{i}", limits, shared=quota) for i, limits in enumerate(own)]


def submit(pool: PoolState, jobs: int) -> None:
    pool.submits(jobs, 0.0)
    ids = tuple(f"{pool.name}-{len(pool.jobs) + n}" for n in range(jobs))
    pool.submitted(Submission(ids), 0.0)


def test_limits_of_a_cluster_hold_for_all_its_pools_together() -> None:
    """Whoever comes second gets what is left, also while the first is still submitting."""
    one, other = pools(Limits(max_jobs=5, max_pending=4), Limits(), Limits())
    one.submits(3, 0.0)
    assert other.allowed(9) == 1
    one.submitted(Submission(("a", "b", "c")), 0.0)
    assert other.allowed(9) == 1
    one.worker_joined("a", "w", 1.0)
    assert other.allowed(9) == 2


def test_limits_of_a_pool_hold_for_it_alone() -> None:
    """The others have those of the cluster."""
    one, other = pools(Limits(max_jobs=5), Limits(max_jobs=2), Limits())
    assert (one.allowed(9), other.allowed(9)) == (2, 5)
    submit(one, 2)
    assert (one.allowed(9), other.allowed(9)) == (0, 3)
    one.wanted = other.wanted = 9
    assert (one.goal, other.goal) == (2, 5)


def test_the_rate_of_submissions_is_that_of_the_cluster() -> None:
    """Many pools are no reason to ask more often."""
    one, other = pools(Limits(burst=2, pace=10.0), Limits(), Limits())
    assert other.next_submission < 0.0
    submit(one, 1)
    assert other.next_submission <= 0.0
    submit(one, 1)
    assert other.next_submission == 10.0
    submit(other, 1)
    assert one.next_submission == 20.0


def test_limits_in_words() -> None:
    """As they are written in code."""
    assert str(Quota(Limits(max_jobs=10, max_pending=2))) == "max_jobs=10 and max_pending=2"
    assert str(Quota(Limits())) == ""
