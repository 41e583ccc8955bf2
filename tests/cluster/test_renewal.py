"""When the job that takes another's place is submitted."""

from __future__ import annotations

import math

import pytest

from jobqueue.cluster.adapt import Adaptation, Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobRecord, JobReport, JobState, Phase
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import decide
from jobqueue.cluster.renewal import REMEMBERED, Renewal
from jobqueue.scheduler.load import Backlog, JobLoad, Load


def job(*, took: float, walltime: float | None = 3600.0, restarts: int = 0) -> JobRecord:
    """A job submitted at 0 that worked `took` seconds later."""
    ends = None if walltime is None else took + walltime
    return JobRecord(
        "1", "p", 0.0, started_at=took, joined_at=took, expires_at=ends, restarts=restarts
    )


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


def test_jobs_that_end_soon_after_each_other_are_replaced_together() -> None:
    """What takes their place is one submission; nobody goes before the first has to."""
    renewal = Renewal(margin=0.0)
    jobs = [job(took=took) for took in (0.0, 1.0, 100.0, 1000.0)]  # each ends an hour later
    assert renewal.over(jobs, 3599.0) == []
    assert renewal.over(jobs, 3600.0) == jobs[:3]


@pytest.mark.parametrize(("walltime", "margin"), [(60, 10), (600, 60), (1200, 120), (86400, 120)])
def test_the_margin_grows_with_the_walltime(walltime: float, margin: float) -> None:
    """A tenth of it, at least 10 s and at most two minutes; what was said counts instead."""
    assert Renewal().due(job(took=0.0, walltime=walltime)) == walltime - margin
    assert Renewal(margin=1.0).due(job(took=0.0, walltime=walltime)) == walltime - 1.0


def test_a_pool_that_adapts_renews_each_job_once() -> None:
    """Eight tasks at all times, on jobs of two minutes that take 5 s to come: two jobs, no more."""
    size = JobSize(workers=1, threads=4, cores=4, memory=0)
    adaptation, pool = Adaptation(Policy(maximum=6, idle=30.0), size), PoolState()
    coming: dict[str, float] = {}
    submitted = 0
    for second in range(600):
        now = float(second)
        for job_id in [i for i, due in coming.items() if now >= due]:
            del coming[job_id]
            pool.worker_joined(job_id, f"{job_id}-0", now, now + 120.0)
        for each in pool.unended():
            if each.expires_at is not None and now >= each.expires_at:
                pool.worker_left(each.job_id, f"{each.job_id}-0")
                pool.report(JobReport(each.job_id, Phase.ENDED, cause="walltime"), now)
        working = [each.job_id for each in pool.unended() if each.state is JobState.CONNECTED]
        hands = {
            (pool.name, i): JobLoad(threads=4, tasks=4, seconds=40.0, busy=True)
            for i in working[:2]
        }
        backlog = [Backlog(b"f", 8 - 4 * len(hands), 10.0)] if len(hands) < 2 else []
        pool.wanted = adaptation.wanted(Load(backlog, dict(hands)), list(pool.jobs.values()), now)
        actions = decide(pool, {}, now)
        for job_id, workers in actions.retire.items():
            for worker in workers:
                pool.worker_left(job_id, worker)
            pool.report(JobReport(job_id, Phase.ENDED, cause="completed"), now)
        if actions.submit:
            ids = [str(submitted + n) for n in range(actions.submit)]
            submitted += actions.submit
            pool.submitted(Submission(tuple(ids)), now)
            coming |= dict.fromkeys(ids, now + 5.0)
        assert pool.wanted == 2
    life = 120.0 - 12.0 - 5.0 + 5.0  # until the one in its place is there
    assert submitted == 2 * math.ceil((600.0 - 5.0) / life)
    assert {each.cause for each in pool.jobs.values()} == {"", "walltime"}
