"""What goes wrong with jobs in a row: how long a pool waits after it, and when it gives up."""

from __future__ import annotations

import pytest

from jobqueue.cluster.jobs import JobRecord
from jobqueue.cluster.setbacks import DELAYS, FAILURES_IN_A_ROW, QUIET, Setbacks
from jobqueue.errors import CommandNotFound, SubmissionRejected


def test_whatever_goes_wrong_in_a_row_makes_the_pool_wait_longer_each_time():
    """Jobs that worked and were lost are replaced at once first, then later and later."""
    setbacks, now = Setbacks(), 100.0
    waits = []
    for _ in range(len(DELAYS) + 2):
        setbacks.loss(now)
        waits.append(setbacks.not_before - now)
        now = setbacks.not_before + 1.0
    assert waits == [*DELAYS, DELAYS[-1], DELAYS[-1]]
    assert setbacks.pause is None


def test_losses_of_one_moment_are_one():
    """A node that dies takes several jobs with it, and the pool waits no longer for that."""
    setbacks = Setbacks()
    for _ in range(5):
        setbacks.loss(100.0)
    assert (setbacks.losses, setbacks.not_before) == (1, 100.0 + DELAYS[0])


def test_a_loss_after_a_long_time_is_the_first_again():
    """Days of work with a loss now and then do not add up."""
    setbacks = Setbacks()
    for now in (0.0, 1.0, 3.0, 9.0):
        setbacks.loss(now)
    setbacks.loss(9.0 + QUIET + 1)
    assert setbacks.losses == 1


def test_jobs_that_never_had_a_worker_pause_the_pool_and_the_last_one_says_why():
    """It stays as it was then, whatever becomes of the record."""
    setbacks = Setbacks()
    for number in range(FAILURES_IN_A_ROW):
        assert setbacks.pause is None
        job = JobRecord(str(number), "default", 0.0)
        setbacks.failed_start(job, float(number))
    job.node = "elsewhere"
    assert setbacks.pause is not None
    assert setbacks.pause.job is not None
    assert (setbacks.pause.failures, setbacks.pause.job.job_id) == (FAILURES_IN_A_ROW, "2")
    assert setbacks.pause.job.node == ""


def test_one_worker_ends_the_row_of_failed_starts():
    """Where some jobs come up, others may."""
    setbacks = Setbacks()
    for number in range(2 * FAILURES_IN_A_ROW):
        setbacks.failed_start(JobRecord(str(number), "default", 0.0), float(number))
        setbacks.connected()
    assert setbacks.pause is None


def test_what_no_second_try_can_mend_pauses_at_once():
    """There is no such command now, nor will there be in a minute."""
    setbacks = Setbacks()
    setbacks.rejection(CommandNotFound("no sbatch on PATH"), 0.0, outage=False)
    assert setbacks.pause is not None
    assert setbacks.pause.failures == 1


@pytest.mark.parametrize("outage", [False, True])
def test_silence_does_not_pause_while_there_are_jobs(outage: bool):
    """A refusal does, the third time."""
    setbacks = Setbacks()
    for number in range(FAILURES_IN_A_ROW):
        setbacks.rejection(SubmissionRejected("no answer"), float(number), outage=outage)
    assert (setbacks.pause is None) == outage


def test_accepted_jobs_end_a_pause_for_rejections_only():
    """Jobs that end without a worker are accepted each time."""
    refused, failing = Setbacks(), Setbacks()
    refused.rejection(CommandNotFound("no sbatch on PATH"), 0.0, outage=False)
    for number in range(FAILURES_IN_A_ROW):
        failing.failed_start(JobRecord(str(number), "default", 0.0), float(number))
    for setbacks in (refused, failing):
        setbacks.accepted()
    assert (refused.pause, refused.last_error, refused.rejections) == (None, None, 0)
    assert failing.pause is not None


def test_who_begins_anew_submits_at_once():
    """`scale` and `resume` forget what was before."""
    setbacks = Setbacks()
    for number in range(FAILURES_IN_A_ROW):
        setbacks.failed_start(JobRecord(str(number), "default", 0.0), float(number))
    setbacks.forget()
    assert (setbacks.pause, setbacks.not_before) == (None, float("-inf"))
