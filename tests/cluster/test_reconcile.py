"""What a pool decides, case by case; test_reconcile_machine.py lets chance decide."""

from __future__ import annotations

import pytest

from jobqueue.cluster.explain import describe, outage
from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.cluster.limits import UNLIMITED, Limits
from jobqueue.cluster.pool import NOT_YET_VISIBLE, PoolState, Submission
from jobqueue.cluster.reconcile import ATTEMPTS, CANCEL_AGAIN, DRAIN_GRACE, Actions, Load, decide
from jobqueue.cluster.setbacks import DELAYS
from jobqueue.errors import SubmissionRejected


def running_pool(jobs: int, *, connected: int | None = None) -> PoolState:
    """A pool at rest: jobs "0", "1", ..., of which the first ``connected`` have one worker."""
    pool = PoolState()
    pool.scale(jobs)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(tuple(str(i) for i in range(jobs))), 0.0)
    for i in range(jobs if connected is None else connected):
        pool.report(JobReport(str(i), Phase.RUNNING), 0.0)
        pool.worker_joined(str(i), f"w{i}", 0.0)
    return pool


def end(pool: PoolState, job_id: str, now: float, cause: str = "crashed") -> None:
    pool.report(JobReport(job_id, Phase.ENDED, exit_code=1, cause=cause, log_tail="boom"), now)


def test_scaling_up_is_one_submission() -> None:
    """All missing jobs are asked for at once, and only once while that is under way."""
    pool = PoolState()
    pool.scale(200)
    assert decide(pool, {}, 0.0).submit == 200
    assert decide(pool, {}, 1.0) == Actions()
    pool.scale(300)
    assert decide(pool, {}, 1.0).submit == 0
    pool.submitted(Submission(tuple(map(str, range(200)))), 2.0)
    assert decide(pool, {}, 2.0).submit == 100


def test_shrinking_takes_pending_then_unconnected_then_idle_then_drains_the_busy() -> None:
    """The order in which jobs go is the order of what is lost with them."""
    pool = running_pool(5, connected=3)
    pool.report(JobReport("3", Phase.RUNNING), 0.0)
    pool.report(JobReport("4", Phase.PENDING, reason="Resources"), 0.0)
    load = {"0": Load(processing=2), "1": Load(), "2": Load(stored_bytes=10)}
    pool.scale(4)
    assert decide(pool, load, 1.0).cancel == ("4",)
    pool.scale(3)
    assert decide(pool, load, 1.0).cancel == ("3",)
    pool.scale(2)
    actions = decide(pool, load, 1.0)
    assert (actions.cancel, actions.retire) == ((), {"1": ("w1",)})
    pool.scale(0)
    assert decide(pool, load, 1.0).retire == {"2": ("w2",), "0": ("w0",)}
    assert pool.jobs["0"].state is JobState.DRAINING


def test_a_drained_job_that_does_not_end_by_itself_is_cancelled() -> None:
    """After the workers left, the agent has a moment to end; then the batch system ends it."""
    pool = running_pool(1)
    pool.scale(0)
    decide(pool, {}, 1.0)
    pool.worker_left("0", "w0")
    pool.drained("0", 2.0)
    actions = decide(pool, {}, 2.0)
    assert actions.cancel == ()
    assert actions.wait_until == 2.0 + DRAIN_GRACE
    assert decide(pool, {}, 2.0 + DRAIN_GRACE).cancel == ("0",)


def test_a_worker_restarted_on_a_draining_job_is_drained_too() -> None:
    """The job is not drained before the newcomer is."""
    pool = running_pool(1)
    pool.scale(0)
    assert decide(pool, {}, 1.0).retire == {"0": ("w0",)}
    pool.worker_left("0", "w0")
    pool.worker_joined("0", "w0 again", 2.0)
    pool.drained("0", 2.0)
    assert decide(pool, {}, 2.0).retire == {"0": ("w0 again",)}
    assert decide(pool, {}, 2.0 + DRAIN_GRACE).cancel == ()
    pool.drained("0", 20.0)
    assert decide(pool, {}, 20.0 + DRAIN_GRACE).cancel == ("0",)


def test_a_cancel_that_had_no_effect_is_repeated() -> None:
    """A job that is still there long after it was cancelled is cancelled again."""
    pool = running_pool(1, connected=0)
    pool.scale(0)
    assert decide(pool, {}, 1.0).cancel == ("0",)
    assert decide(pool, {}, 2.0).cancel == ()
    assert decide(pool, {}, 1.0 + CANCEL_AGAIN).cancel == ("0",)


def test_a_lost_job_is_replaced_once() -> None:
    """Its workers' leaving changes nothing; the batch system's word does, once."""
    pool = running_pool(2)
    pool.worker_joined("0", "w0b", 0.0)
    pool.worker_left("0", "w0")
    pool.worker_left("0", "w0b")
    assert pool.jobs["0"].state is JobState.RUNNING
    assert decide(pool, {}, 1.0).submit == 0
    end(pool, "0", 2.0)
    end(pool, "0", 2.0)
    assert decide(pool, {}, 2.0).submit == 1
    assert decide(pool, {}, 2.0).submit == 0


def test_losses_in_a_row_slow_the_replacement_down() -> None:
    """The first loss is replaced at once, later ones after longer and longer delays."""
    pool = running_pool(1)
    now = 0.0
    for step, delay in enumerate(DELAYS):
        end(pool, pool.live()[0].job_id, now)
        if delay:
            actions = decide(pool, {}, now)
            assert (actions.submit, actions.wait_until) == (0, now + delay)
            now += delay
        assert decide(pool, {}, now).submit == 1
        pool.submitted(Submission((f"next{step}",)), now)
        pool.worker_joined(f"next{step}", "w", now)
        now += 0.1
    assert pool.setbacks.pause is None


def test_losses_of_one_moment_are_one_setback() -> None:
    """A preempted array of many jobs is replaced as quickly as a single job."""
    pool = running_pool(50)
    for i in range(50):
        end(pool, str(i), 5.0, cause="preempted")
    assert decide(pool, {}, 5.0).submit == 50


@pytest.mark.parametrize("cause", ["walltime", "preempted", "completed"])
def test_an_end_that_is_nobodys_fault_is_no_setback(cause: str) -> None:
    """Used up their time, had to make room, at the end of their lifetime: replaced at once."""
    pool = running_pool(1)
    for step in range(1, 6):
        now = 60.0 * step
        end(pool, pool.live()[0].job_id, now, cause=cause)
        assert decide(pool, {}, now).submit == 1
        pool.submitted(Submission((f"n{step}",)), now)
        pool.worker_joined(f"n{step}", "w", now)


def test_jobs_that_end_as_soon_as_they_have_come_are_a_setback_all_the_same() -> None:
    """A walltime shorter than the margin is not answered by one submission after the other."""
    pool = running_pool(1)
    end(pool, "0", 2.0, cause="walltime")
    assert decide(pool, {}, 2.0).submit == 1
    pool.submitted(Submission(("1",)), 2.0)
    pool.worker_joined("1", "w", 3.0)
    end(pool, "1", 4.0, cause="walltime")
    assert decide(pool, {}, 4.0) == Actions(wait_until=4.0 + DELAYS[1])


def test_a_job_preempted_on_its_way_is_no_failed_start() -> None:
    """Nothing is wrong with jobs of which the nodes are wanted by others, or have failed."""
    pool = running_pool(4, connected=0)
    for job_id, cause in enumerate(["preempted", "node failed", "preempted", "node failed"]):
        end(pool, str(job_id), float(job_id), cause=cause)
    assert pool.setbacks.failed_starts == 0
    assert pool.setbacks.pause is None


def test_three_starts_that_never_connected_pause_the_pool() -> None:
    """The pause keeps the last job with its exit code and log, and lasts until resume()."""
    pool = running_pool(1, connected=0)
    now = 0.0
    for step in range(3):
        assert pool.setbacks.pause is None
        end(pool, pool.live()[0].job_id, now)
        now += 1000.0
        if step < 2:
            assert decide(pool, {}, now).submit == 1
            pool.submitted(Submission((f"n{step}",)), now)
    assert pool.setbacks.pause is not None
    assert pool.setbacks.pause.job is not None
    assert (pool.setbacks.pause.job.exit_code, pool.setbacks.pause.job.log_tail) == (1, "boom")
    assert decide(pool, {}, now) == Actions()
    pool.setbacks.forget()
    assert decide(pool, {}, now).submit == 1


def test_a_connection_ends_the_row_of_failed_starts() -> None:
    """Only failures in a row count."""
    pool = running_pool(6, connected=0)
    end(pool, "0", 1.0)
    end(pool, "1", 1.0)
    pool.worker_joined("2", "w", 1.0)
    end(pool, "3", 1.0)
    end(pool, "4", 1.0)
    assert pool.setbacks.pause is None
    end(pool, "5", 1.0)
    assert pool.setbacks.pause is not None


def test_three_rejections_pause_the_pool() -> None:
    """The batch system's own words are kept; scale() tries again."""
    pool = PoolState()
    pool.scale(1)
    error = SubmissionRejected("no", output="invalid partition")
    now = 0.0
    for _ in range(3):
        assert decide(pool, {}, now).submit == 1
        pool.submitted(Submission(error=error), now)
        assert decide(pool, {}, now).submit == 0
        now += 1000.0
    assert pool.setbacks.pause is not None
    assert pool.setbacks.pause.error is error
    assert decide(pool, {}, now) == Actions()
    pool.scale(1)
    assert decide(pool, {}, now).submit == 1


def test_silence_pauses_no_pool_that_has_jobs() -> None:
    """The controller is restarted for some minutes: the jobs that are there will be replaced."""
    pool = running_pool(1)
    pool.scale(2)
    now = 0.0
    for _ in range(5):
        assert decide(pool, {}, now).submit == 1
        pool.submitted(Submission(error=SubmissionRejected("timed out"), in_doubt=True), now)
        assert decide(pool, {}, now).submit == 0
        now += 1000.0
    assert pool.setbacks.pause is None
    end(pool, "0", now)
    pool.submitted(Submission(error=SubmissionRejected("timed out"), in_doubt=True), now)
    assert pool.setbacks.pause is not None  # nobody is there any more: whoever waits is told


def test_a_job_that_was_accepted_after_all_ends_the_pause() -> None:
    """The controller gave no answer three times, and has the job in its queue all the same."""
    pool = PoolState()
    pool.scale(2)
    now = 0.0
    for _ in range(3):
        decide(pool, {}, now)
        pool.submitted(Submission(error=SubmissionRejected("timed out"), in_doubt=True), now)
        now += 1000.0
    assert pool.setbacks.pause is not None
    pool.adopt(["7"], now)
    assert pool.setbacks.pause is None
    assert decide(pool, {}, now).submit == 1


def test_a_connected_job_has_no_reason_to_wait() -> None:
    """What the batch system said while it waited is over when its workers are there."""
    pool = running_pool(1, connected=0)
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime", estimated_start="14:05"), 0.0)
    assert str(pool.jobs["0"]) == "0 PENDING (BeginTime), estimated start 14:05"
    pool.worker_joined("0", "w", 1.0)
    assert str(pool.jobs["0"]) == "0 CONNECTED"


def test_a_partial_submission_counts_what_exists() -> None:
    """Three accepted and then a rejection: the rest is asked for again, later."""
    pool = PoolState()
    pool.scale(5)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(("a", "b", "c"), SubmissionRejected("limit")), 0.0)
    assert decide(pool, {}, 0.0).submit == 0
    assert decide(pool, {}, DELAYS[1]).submit == 2


def test_a_job_the_batch_system_does_not_show_yet_is_not_lost() -> None:
    """Right after submission a missing job proves nothing; later, twice missing, it does."""
    pool = running_pool(1, connected=0)
    for now in (1.0, 2.0, 3.0):
        pool.report(JobReport("0", Phase.MISSING), now)
    assert pool.jobs["0"].live
    pool.report(JobReport("0", Phase.MISSING), NOT_YET_VISIBLE)
    assert pool.jobs["0"].live
    pool.report(JobReport("0", Phase.MISSING), NOT_YET_VISIBLE + 1)
    assert pool.jobs["0"].state is JobState.ENDED


def test_a_job_given_up_since_nothing_shows_it_is_cancelled_to_be_sure() -> None:
    """It may wait where no query looks: it is asked for its end until that was accepted."""
    pool = running_pool(1, connected=0)
    for now in (NOT_YET_VISIBLE, NOT_YET_VISIBLE + 1):
        pool.report(JobReport("0", Phase.MISSING), now)
    assert [job.job_id for job in pool.uncertain()] == ["0"]
    assert decide(pool, {}, 40.0).cancel == ("0",)
    assert decide(pool, {}, 41.0).cancel == (), "under way"
    assert decide(pool, {}, 40.0 + CANCEL_AGAIN).cancel == ("0",), "it was refused"
    assert pool.made_sure(["0", "another's"]) == ["0"]
    assert decide(pool, {}, 41.0 + 2 * CANCEL_AGAIN).cancel == ()
    assert pool.uncertain() == []


def test_what_is_refused_again_and_again_is_left_to_the_ledger() -> None:
    """Nobody's batch system is asked for the same each minute, for ever."""
    pool = running_pool(1, connected=0)
    for now in (NOT_YET_VISIBLE, NOT_YET_VISIBLE + 1):
        pool.report(JobReport("0", Phase.MISSING), now)
    asked = [decide(pool, {}, 40.0 + i * CANCEL_AGAIN).cancel for i in range(2 * ATTEMPTS)]
    assert asked == [("0",)] * ATTEMPTS + [()] * ATTEMPTS
    assert [job.job_id for job in pool.uncertain()] == ["0"]


def test_a_missing_job_with_a_living_worker_is_not_lost() -> None:
    """A connection outweighs a batch system's silence."""
    pool = running_pool(1)
    for now in range(10):
        pool.report(JobReport("0", Phase.MISSING), 100.0 + now)
    assert pool.jobs["0"].state is JobState.CONNECTED


def test_a_worker_from_a_job_given_up_gets_that_job_cancelled() -> None:
    """A job that ended by all accounts and then connects is not left running."""
    pool = running_pool(1, connected=0)
    pool.report(JobReport("0", Phase.MISSING, cause="node failed"), 1.0)
    pool.worker_joined("0", "late", 2.0)
    assert decide(pool, {}, 2.0).cancel == ("0",)
    assert decide(pool, {}, 3.0).cancel == ()
    pool.worker_left("0", "late")
    assert decide(pool, {}, 3.0 + CANCEL_AGAIN).cancel == ()


def test_closing_cancels_everything_without_draining() -> None:
    """On close pending, running, connected and draining jobs go at once, and none comes."""
    pool = running_pool(3, connected=2)
    pool.scale(2)
    decide(pool, {}, 0.0)
    pool.scale(1)
    decide(pool, {}, 0.0)
    pool.close()
    assert set(decide(pool, {}, 1.0).cancel) == {"0", "1"}
    assert pool.jobs["2"].cancelled_at == 0.0
    assert decide(pool, {}, 1.0).submit == 0


def test_a_shrink_during_a_submission_is_made_up_for_when_it_ends() -> None:
    """Jobs that arrive after they stopped being wanted are cancelled on arrival."""
    pool = PoolState()
    pool.scale(4)
    decide(pool, {}, 0.0)
    pool.scale(1)
    assert decide(pool, {}, 0.0) == Actions()
    pool.submitted(Submission(("a", "b", "c", "d")), 1.0)
    assert set(decide(pool, {}, 1.0).cancel) == {"b", "c", "d"}


def test_jobs_cancelled_at_the_end_of_a_pool_are_over() -> None:
    """Connected or not, by our own wish: neither lost nor replaced; those that ended stay so."""
    pool = running_pool(3, connected=1)
    end(pool, "2", 1.0)
    pool.close()
    pool.cancelled(["0", "1", "2"], 2.0)
    assert [str(job) for job in pool.jobs.values()] == [
        "0 ENDED (cancelled)",
        "1 ENDED (cancelled)",
        "2 ENDED (crashed), exit code 1",
    ]
    assert (pool.setbacks.failed_starts, pool.setbacks.losses, pool.setbacks.pause) == (1, 0, None)
    pool.validate()


def test_no_more_jobs_exist_than_may() -> None:
    """Those that are about to end count, as the batch system's own limits have it."""
    pool = PoolState(limits=Limits(max_jobs=2))
    pool.scale(5)
    assert decide(pool, {}, 0.0).submit == 2
    pool.submitted(Submission(("0", "1")), 0.0)
    pool.worker_joined("0", "w0", 0.0)
    pool.worker_joined("1", "w1", 0.0)
    pool.scale(1)
    assert decide(pool, {}, 1.0).retire == {"1": ("w1",)}
    pool.scale(5)
    assert decide(pool, {}, 1.0).submit == 0
    end(pool, "1", 2.0)
    assert decide(pool, {}, 2.0).submit == 1


def test_jobs_are_submitted_as_others_start() -> None:
    """Not more of them wait in the queue than may."""
    pool = PoolState(limits=Limits(max_pending=2))
    pool.scale(5)
    assert decide(pool, {}, 0.0).submit == 2
    pool.submitted(Submission(("0", "1")), 0.0)
    assert decide(pool, {}, 0.0) == Actions()
    pool.report(JobReport("0", Phase.RUNNING), 1.0)
    assert decide(pool, {}, 1.0).submit == 1


def test_many_submissions_in_a_row_become_fewer_and_larger() -> None:
    """What is wanted meanwhile goes together with the next one."""
    pool = PoolState(limits=Limits(burst=2, pace=10.0))
    for n in range(2):
        pool.scale(n + 1)
        assert decide(pool, {}, 0.0).submit == 1
        pool.submitted(Submission((str(n),)), 0.0)
    pool.scale(3)
    assert decide(pool, {}, 0.0) == Actions(wait_until=10.0)
    pool.scale(9)
    assert decide(pool, {}, 9.0) == Actions(wait_until=10.0)
    assert decide(pool, {}, 10.0).submit == 7


def test_a_job_with_an_actor_goes_after_idle_ones() -> None:
    """It would be lost, however little it holds."""
    pool = running_pool(2)
    pool.scale(1)
    load = {"0": Load(stored_bytes=100), "1": Load(busy=True)}
    assert decide(pool, load, 1.0).retire == {"0": ("w0",)}


# --- walltime ---


def short_lived(jobs: int, *, limits: Limits = UNLIMITED) -> PoolState:
    """A pool at rest, of jobs that took 3 s to come and end at 60 s."""
    pool = PoolState(limits=limits)
    pool.scale(jobs)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(tuple(map(str, range(jobs)))), 0.0)
    for i in map(str, range(jobs)):
        pool.report(JobReport(i, Phase.RUNNING), 1.0)
        pool.worker_joined(i, f"w{i}", 3.0, 60.0)
    return pool


DUE = 60.0 - 10.0 - 3.0  # the end, the margin, and what jobs take to come


def test_a_job_near_its_end_is_replaced_in_time() -> None:
    """So long before its end as jobs take to come, and as it hands over; once."""
    pool = short_lived(1)
    assert decide(pool, {}, 4.0) == Actions(wait_until=DUE)
    assert decide(pool, {}, DUE - 0.1).submit == 0
    assert decide(pool, {}, DUE).submit == 1
    pool.submitted(Submission(("next",)), DUE)
    for now in (DUE, DUE + 2.0, 61.0):
        assert decide(pool, {}, now) == Actions()
    end(pool, "0", 62.0, cause="walltime")
    assert decide(pool, {}, 62.0) == Actions()
    assert len(pool.live()) == 1


def test_a_job_stands_in_until_the_one_in_its_place_has_come() -> None:
    """It is drained then, the idlest first, so that no more work than are wanted."""
    pool = short_lived(3)
    assert decide(pool, {}, DUE).submit == 3
    pool.submitted(Submission(("a", "b", "c")), DUE)
    assert decide(pool, {}, DUE) == Actions()
    pool.worker_joined("a", "wa", DUE + 1, 120.0)
    load = {"0": Load(processing=2, busy=True), "2": Load(processing=1, busy=True)}
    assert decide(pool, load, DUE + 1).retire == {"1": ("w1",)}
    end(pool, "1", DUE + 2, cause="completed")
    assert pool.jobs["1"].cause == "walltime"
    assert decide(pool, load, DUE + 2).submit == 0


def test_where_no_more_jobs_may_be_a_replacement_follows_the_end() -> None:
    """A limit holds, whatever ends."""
    pool = short_lived(2, limits=Limits(max_jobs=3))
    assert decide(pool, {}, DUE).submit == 1
    pool.submitted(Submission(("a",)), DUE)
    assert decide(pool, {}, DUE + 5).submit == 0
    end(pool, "0", 58.0, cause="walltime")
    assert decide(pool, {}, 58.0).submit == 1


def test_scaling_down_ends_those_who_stand_in() -> None:
    """Whoever wants nothing keeps nothing, though the end were near anyway."""
    pool = short_lived(2)
    assert decide(pool, {}, DUE).submit == 2
    pool.submitted(Submission(("a", "b")), DUE)
    pool.scale(1)
    actions = decide(pool, {}, DUE)
    assert (actions.cancel, actions.retire) == (("b",), {"1": ("w1",)})
    assert pool.jobs["0"].stands_in
    pool.scale(0)
    actions = decide(pool, {}, DUE)
    assert (actions.cancel, actions.retire) == (("a",), {"0": ("w0",)})


def test_a_job_that_hands_over_by_itself_is_left_to_it() -> None:
    """Its agent knows the end best: the replacement is due, and nobody drains it once more."""
    pool = short_lived(1)
    assert pool.worker_drains("0", "its walltime is nearly over: the job ends in 40 s", 20.0)
    assert not pool.worker_drains("77", "its walltime is nearly over", 20.0)
    assert decide(pool, {}, 20.0) == Actions(submit=1)
    assert len(pool.standing_in()) == 1
    [job] = pool.snapshot(20.0)
    assert str(job) == "0 DRAINING (walltime in 40 s)"
    pool.submitted(Submission(("next",)), 20.0)
    pool.worker_joined("next", "n", 21.0, 100.0)
    assert decide(pool, {}, 21.0).retire == {}
    pool.worker_left("0", "w0")
    end(pool, "0", 30.0, cause="walltime")
    assert (pool.setbacks.losses, pool.setbacks.failed_starts) == (0, 0)
    pool.validate()


def test_a_job_that_hands_over_for_another_reason_is_not_replaced_before_it_has_ended() -> None:
    """It may have to make room for another job, and come back."""
    pool = running_pool(1)
    pool.worker_joined("0", "w0", 3.0, 3600.0)
    pool.worker_drains("0", "asked to end by SIGTERM", 20.0)
    assert decide(pool, {}, 20.0).submit == 0
    assert str(pool.snapshot(20.0)[0]) == "0 CONNECTED (asked to end by SIGTERM)"


def test_a_warning_of_the_batch_system_near_the_end_is_of_the_end() -> None:
    """It may come a minute earlier than it was asked for."""
    pool = running_pool(1)
    pool.worker_joined("0", "w0", 3.0, 3600.0)
    pool.worker_drains("0", "warned of the job's end by SIGUSR1", 3430.0)
    assert decide(pool, {}, 3430.0).submit == 1
    assert str(pool.snapshot(3430.0)[0]) == "0 DRAINING (walltime in 3 min)"


def test_a_slow_queue_does_not_make_jobs_be_replaced_as_soon_as_they_come() -> None:
    """Half of their time they are left in peace, however long the next will wait."""
    pool = PoolState(margin=5.0)
    pool.scale(1)
    decide(pool, {}, 0.0)
    pool.submitted(Submission(("0",)), 0.0)
    pool.report(JobReport("0", Phase.RUNNING), 5000.0)
    pool.worker_joined("0", "w", 5000.0, 5060.0)
    assert decide(pool, {}, 5000.0) == Actions(wait_until=5060.0 - 30.0 - 5.0)


# --- requeued jobs ---


def test_a_requeued_job_is_the_same_job_and_not_replaced() -> None:
    """It waits where one in its place would wait, too; then it works for its whole time."""
    pool = short_lived(1)
    pool.worker_drains("0", "SIGTERM", 9.0)
    pool.worker_left("0", "w0")
    assert pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), 10.0)
    assert decide(pool, {}, 10.0) == Actions()
    [job] = pool.snapshot(10.0)
    assert str(job) == "0 PENDING (BeginTime, requeued)"
    assert (job.reason, job.restarts) == ("BeginTime, requeued", 1)
    pool.report(JobReport("0", Phase.RUNNING), 130.0)
    pool.worker_joined("0", "w0", 133.0, 190.0)
    assert decide(pool, {}, 133.0) == Actions(wait_until=190.0 - 13.0)
    assert (len(pool.jobs), pool.setbacks.losses) == (1, 0)


def test_what_a_requeued_job_left_in_its_first_run_does_not_end_it() -> None:
    """A silence of the batch system does not make its first agent's last word true."""
    pool = short_lived(1)
    pool.worker_drains("0", "SIGTERM", 9.0)
    pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), 10.0)
    stale = JobReport("0", Phase.MISSING, cause="cancelled", reason="asked to end by SIGTERM")
    pool.report(stale, 12.0)
    assert pool.jobs["0"].live
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), 14.0)
    assert pool.jobs["0"].missed == 0


def losing_its_node() -> PoolState:
    """A pool of one job that has broken off and waits again, and another submitted for it."""
    pool = short_lived(1)
    pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), 10.0)
    assert decide(pool, {}, 10.0).submit == 1
    pool.submitted(Submission(("next",)), 10.0)
    assert decide(pool, {}, 10.0) == Actions()
    pool.validate()
    return pool


def test_a_job_that_is_requeued_since_its_node_failed_is_replaced() -> None:
    """Nobody asked it to end: other nodes may be free, and it would wait for two minutes."""
    pool = losing_its_node()
    assert pool.setbacks.losses == 1
    assert describe(pool, workers=0, system="slurm") == (
        "0 workers; 1 job pending: slurm next SUBMITTED; "
        "1 job requeued after a loss: slurm 0 PENDING (BeginTime, requeued)"
    )
    pool.worker_joined("next", "w", 12.0, 72.0)
    assert decide(pool, {}, 12.0).cancel == ("0",)


def test_a_node_that_says_goodbye_and_fails_is_replaced_as_well() -> None:
    """An administrator set it down: its agent was told to end, as it is for another's sake."""
    pool = short_lived(1)
    pool.worker_drains("0", "asked to end by SIGTERM", 9.0)
    pool.worker_left("0", "w0")
    report = JobReport("0", Phase.PENDING, reason="BeginTime", cause="node failed")
    pool.report(report, 10.0)
    assert decide(pool, {}, 10.0).submit == 1
    [job] = pool.snapshot(10.0)
    assert str(job) == "0 PENDING (BeginTime, requeued, node failed)"
    pool.validate()


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_job_that_ran_and_is_held_is_replaced(goodbye: bool) -> None:
    """Nobody knows who will release it: another comes at once, and then the held one goes."""
    pool = short_lived(1)
    if goodbye:
        pool.worker_drains("0", "asked to end by SIGTERM", 9.0)
    pool.worker_left("0", "w0")
    held = JobReport("0", Phase.PENDING, reason="JobHeldUser", held=True)
    for now in (10.0, 11.0):
        pool.report(held, now)
    assert decide(pool, {}, 11.0).submit == 1
    assert pool.setbacks.losses == 1
    pool.submitted(Submission(("next",)), 11.0)
    words = describe(pool, workers=0, system="slurm")
    assert "1 job held and replaced: slurm 0 PENDING (JobHeldUser, requeued)" in words
    assert "`scontrol release` lets it go" in words
    pool.worker_joined("next", "w", 12.0, 72.0)
    assert decide(pool, {}, 12.0).cancel == ("0",)
    pool.validate()


@pytest.mark.parametrize("limits", [Limits(max_jobs=1), Limits(max_pending=1)])
def test_a_held_job_makes_room_where_limits_leave_none(limits: Limits) -> None:
    """Otherwise it would wait for the one in its place to come, and that one for it to go."""
    pool = PoolState(limits=limits)
    pool.scale(1)
    assert decide(pool, {}, 0.0).submit == 1
    pool.submitted(Submission(("0",)), 0.0)
    pool.worker_joined("0", "w0", 1.0)
    pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="JobHeldUser", held=True), 10.0)
    assert decide(pool, {}, 10.0).cancel == ("0",)
    assert decide(pool, {}, 11.0).cancel == ()
    pool.report(JobReport("0", Phase.ENDED, cause="cancelled"), 12.0)
    assert decide(pool, {}, 12.0).submit == 1


def test_a_requeued_job_that_is_held_later_is_replaced_then() -> None:
    """And counts again once it is released and runs."""
    pool = short_lived(1)
    pool.worker_drains("0", "asked to end by SIGTERM", 9.0)
    pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), 10.0)
    assert decide(pool, {}, 10.0).submit == 0
    pool.report(JobReport("0", Phase.PENDING, reason="JobHeldUser", held=True), 20.0)
    assert decide(pool, {}, 20.0).submit == 1
    pool.report(JobReport("0", Phase.RUNNING), 30.0)
    assert pool.jobs["0"].live


def test_a_job_that_is_held_before_it_ran_waits() -> None:
    """Somebody may well release it, and another would be held like it."""
    pool = running_pool(1, connected=0)
    pool.report(JobReport("0", Phase.PENDING, reason="JobHeldUser", held=True), 1.0)
    assert decide(pool, {}, 1.0) == Actions()


def test_jobs_that_start_and_are_held_before_a_worker_comes_pause_the_pool() -> None:
    """Each would be held like the one before it."""
    pool = PoolState()
    pool.scale(1)
    now = 0.0
    for i in range(3):
        now += max(DELAYS)
        assert decide(pool, {}, now).submit == 1
        pool.submitted(Submission((str(i),)), now)
        pool.report(JobReport(str(i), Phase.RUNNING), now)
        pool.report(JobReport(str(i), Phase.PENDING, reason="HELD: no file", held=True), now)
    assert pool.setbacks.pause is not None
    error = outage(pool, system="htcondor", script=None)
    assert "HELD: no file" in str(error), "who waits is told, though three jobs are there"


@pytest.mark.parametrize(("came", "counts"), [(False, (1, 0)), (True, (0, 1))])
def test_a_held_job_that_somebody_removes_is_no_second_loss(
    came: bool, counts: tuple[int, int]
) -> None:
    """Its run was counted when it was held; that a person clears it away is no new setback."""
    pool = PoolState()
    pool.scale(1)
    assert decide(pool, {}, 0.0).submit == 1
    pool.submitted(Submission(("0",)), 0.0)
    pool.report(JobReport("0", Phase.RUNNING), 1.0)
    if came:
        pool.worker_joined("0", "w0", 2.0)
        pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="HELD: no file", held=True), 100.0)
    waits_until = pool.next_submission
    pool.report(JobReport("0", Phase.ENDED, cause="cancelled"), 160.0)
    assert (pool.setbacks.failed_starts, pool.setbacks.losses) == counts
    assert pool.next_submission == waits_until
    assert decide(pool, {}, 160.0).submit == 1


def test_a_job_that_is_back_before_the_one_in_its_place_counts_again() -> None:
    """Two are there where one is wanted: the one that waits goes."""
    pool = losing_its_node()
    pool.report(JobReport("0", Phase.RUNNING), 130.0)
    assert decide(pool, {}, 130.0).cancel == ("next",)
    assert pool.jobs["0"].live


def test_a_job_requeued_after_it_was_replaced_is_given_up() -> None:
    """Two wait now where one is wanted: the one that came last goes."""
    pool = short_lived(1)
    decide(pool, {}, DUE)
    pool.submitted(Submission(("next",)), DUE)
    pool.worker_left("0", "w0")
    pool.report(JobReport("0", Phase.PENDING, reason="BeginTime"), DUE + 1)
    assert decide(pool, {}, DUE + 1).cancel == ("next",)
