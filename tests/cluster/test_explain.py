"""A pool's state in words."""

from __future__ import annotations

from jobqueue.cluster.explain import describe, outage
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.limits import Limits
from jobqueue.cluster.pool import PoolState, Submission
from jobqueue.cluster.reconcile import decide
from jobqueue.errors import CommandNotFound, SubmissionRejected


def pool_of(*reports: JobReport) -> PoolState:
    pool = PoolState()
    pool.scale(len(reports))
    decide(pool, {}, 0.0)
    pool.submitted(Submission(tuple(report.job_id for report in reports)), 0.0)
    for report in reports:
        pool.report(report, 0.0)
    return pool


def test_pending_jobs_are_shown_with_their_reasons() -> None:
    """The first few by name, the others by number."""
    reports = [JobReport(f"5_{i}", Phase.PENDING, reason="Resources") for i in range(5)]
    assert describe(pool_of(*reports), workers=0, system="slurm") == (
        "0 workers; 5 jobs pending: slurm 5_0 PENDING (Resources), slurm 5_1 PENDING (Resources), "
        "slurm 5_2 PENDING (Resources) and 2 more"
    )


def test_what_no_time_mends_is_told_with_what_to_do() -> None:
    """Once, for however many jobs; batch systems accept what they can never start."""
    reports = [JobReport(f"5_{i}", Phase.PENDING, reason="PartitionTimeLimit") for i in range(3)]
    text = describe(pool_of(*reports), workers=0, system="slurm")
    assert text.endswith(
        "; PartitionTimeLimit may not pass: walltime is longer than the queue allows: lower "
        "walltime=, or choose another queue="
    )
    assert text.count("may not pass") == 1


def test_jobs_whose_start_is_known_are_shown_first() -> None:
    """That is what who waits wants to know; then those of which it is known why they wait."""
    reports = [
        JobReport("1", Phase.PENDING),
        JobReport("2", Phase.PENDING, reason="Priority"),
        JobReport("3", Phase.PENDING),
        JobReport("4", Phase.PENDING, reason="Resources", estimated_start="14:05"),
    ]
    assert describe(pool_of(*reports), workers=None, system="slurm") == (
        "4 jobs pending: slurm 4 PENDING (Resources), estimated start 14:05, "
        "slurm 2 PENDING (Priority), slurm 1 PENDING and 1 more"
    )


def test_a_job_without_a_worker_is_shown() -> None:
    """It runs, and nobody came from it yet."""
    text = describe(pool_of(JobReport("5", Phase.RUNNING)), workers=0, system="slurm")
    assert text == "0 workers; 1 job started without a worker yet: slurm 5 RUNNING"


def test_jobs_that_ended_without_a_worker_are_told_with_the_last_ones_cause() -> None:
    """Before there are so many that the pool pauses."""
    pool = pool_of(
        JobReport("5", Phase.ENDED, cause="cancelled"),
        JobReport("6", Phase.ENDED, cause="crashed", reason="tried tls://a:1: refused"),
    )
    text = describe(pool, workers=0, system="slurm")
    assert (
        "; 2 jobs ended without a worker (last: 6 ENDED (crashed: tried tls://a:1: refused)" in text
    )


def test_a_job_whose_workers_are_gone_is_told_apart_from_one_that_has_just_started() -> None:
    """They died, or their node did: the batch system will tell."""
    pool = pool_of(JobReport("5", Phase.RUNNING))
    pool.worker_joined("5", "w", 1.0)
    pool.worker_left("5", "w")
    text = describe(pool, workers=0, system="slurm")
    assert text == "0 workers; 1 job deserted by all workers: slurm 5 RUNNING"


def test_jobs_that_are_wanted_and_not_yet_submitted_are_told() -> None:
    """Submissions are limited, and slower after losses: nobody is left without a word."""
    pool = PoolState()
    pool.scale(2)
    text = describe(pool, workers=0, system="slurm")
    assert text == "0 workers; 2 jobs to be submitted, not too soon after others"
    decide(pool, {}, 0.0)
    assert describe(pool, workers=0, system="slurm") == "0 workers; 2 jobs being submitted"


def test_nothing_wanted_says_what_to_do() -> None:
    """A cluster that was not scaled says so; a closed one says that."""
    pool = PoolState()
    assert "call scale()" in describe(pool, workers=0, system="slurm")
    pool.close()
    assert "closed" in describe(pool, workers=0, system="slurm")


def test_jobs_that_stand_in_are_told_beside_those_in_their_place() -> None:
    """And while they work nobody is turned away, though no other can come."""
    pool = pool_of(JobReport("1", Phase.RUNNING))
    pool.worker_joined("1", "w", 1.0, 61.0)
    decide(pool, {}, 59.0)
    pool.submitted(Submission(error=CommandNotFound("sbatch is not on PATH")), 59.0)
    assert describe(pool, workers=1, system="slurm") == (
        "1 worker; 1 job near the end of the walltime; "
        "paused after 1 failed submission: sbatch is not on PATH"
    )
    assert outage(pool, system="slurm", script="/s") is None
    pool.report(JobReport("1", Phase.ENDED, cause="walltime"), 61.0)
    assert outage(pool, system="slurm", script="/s") is not None


def test_a_pause_with_jobs_still_coming_is_no_outage() -> None:
    """Somebody may yet come, so nobody who waits is turned away; with the last job it ends."""
    reports = [JobReport(str(i), Phase.PENDING) for i in range(4)]
    pool = pool_of(*reports)
    for i in range(3):
        pool.report(JobReport(str(i), Phase.ENDED, cause="crashed", exit_code=1), 1.0)
    assert pool.setbacks.pause is not None
    assert outage(pool, system="slurm", script="/s") is None
    assert "paused after 3 jobs" in describe(pool, workers=0, system="slurm")
    pool.report(JobReport("3", Phase.ENDED, cause="crashed", exit_code=2), 1.0)
    assert outage(pool, system="slurm", script="/s") is not None


def test_a_refused_submission_is_told_in_the_batch_systems_words() -> None:
    """Script, exit status and output are in the error, as text and as fields."""
    pool = PoolState()
    pool.scale(1)
    error = SubmissionRejected(
        "sbatch refused the job", output="invalid partition", returncode=1, script="/state/job.sh"
    )
    for now in (0.0, 100.0, 200.0):
        decide(pool, {}, now)
        pool.submitted(Submission(error=error), now)
    found = outage(pool, system="slurm", script=None)
    assert found is not None
    assert (found.output, found.exit_code, found.script) == (
        "invalid partition",
        1,
        "/state/job.sh",
    )
    assert all(text in str(found) for text in ("3 times", "invalid partition", "/state/job.sh"))


def test_what_a_pool_has_paused_for_is_told_as_long_as_it_pauses() -> None:
    """Also while jobs of it that were accepted before that come and go."""
    pool = pool_of(JobReport("1", Phase.RUNNING))
    pool.scale(2)
    for now in (0.0, 100.0, 200.0):
        decide(pool, {}, now)
        pool.submitted(Submission(error=SubmissionRejected("no such partition")), now)
    pool.worker_joined("1", "w", 201.0)
    assert describe(pool, workers=1, system="slurm") == (
        "1 worker; paused after 3 failed submissions: no such partition"
    )


def test_a_missing_command_is_told_once() -> None:
    """No second try, no script."""
    pool = PoolState()
    pool.scale(1)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(error=CommandNotFound("sbatch is not on PATH")), 0.0)
    found = outage(pool, system="slurm", script=None)
    assert found is not None
    assert "failed once" in str(found)
    assert "script" not in str(found)


def test_nobody_is_turned_away_when_nothing_is_wanted() -> None:
    """After scale(0) a paused pool is no longer the reason why nobody comes."""
    pool = PoolState()
    pool.scale(1)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(error=CommandNotFound("no")), 0.0)
    pool.wanted = 0
    assert outage(pool, system="slurm", script=None) is None


def test_what_limits_hold_back_is_told() -> None:
    """Else it would look as if the batch system were slow."""
    pool = PoolState(limits=Limits(max_jobs=3, max_pending=2))
    pool.scale(10)
    decide(pool, {}, 0.0)
    assert describe(pool, workers=0, system="slurm") == (
        "0 workers; 2 jobs being submitted; 8 jobs held back by max_jobs=3 and max_pending=2"
    )
    pool.scale(1)
    assert "held back" not in describe(pool, workers=0, system="slurm")


def test_a_pool_without_jobs_that_adapts_needs_no_advice() -> None:
    """It will get some when there is something to do."""
    pool = PoolState()
    pool.mode = "adaptive, 0 to 9 jobs"
    assert describe(pool, workers=0, system="slurm") == "0 workers; adaptive, 0 to 9 jobs"
    pool.close()
    assert describe(pool, workers=0, system="slurm") == "0 workers; cluster closed"
