"""The life of one job."""

from __future__ import annotations

import pytest

from jobqueue.cluster.jobs import TRANSITIONS, Happening, JobRecord, JobState, by_name


def job() -> JobRecord:
    return JobRecord("12_3", "default", 0.0)


def test_jobs_of_two_batch_systems_may_have_the_same_id() -> None:
    """Neither takes the other's place: they are called by their pools as well."""
    rows = [JobRecord(i, pool, 0.0) for i, pool in (("7", "cpu"), ("7", "gpu"), ("8", "gpu"))]
    assert by_name(rows) == dict(zip(("cpu 7", "gpu 7", "8"), rows, strict=True))


def test_every_state_can_be_reached_and_left_for_ended() -> None:
    """From every state there is a way to ENDED, and every state is reachable from SUBMITTED."""
    reached = {JobState.SUBMITTED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached}
        if more <= reached:
            break
        reached |= more
    assert reached == set(JobState)
    for state in JobState:
        assert TRANSITIONS[state, Happening.GONE] is JobState.ENDED


def test_ended_is_final() -> None:
    """Nothing that happens moves a job out of ENDED."""
    assert {after for (before, _), after in TRANSITIONS.items() if before is JobState.ENDED} == {
        JobState.ENDED
    }


def test_an_impossible_happening_leaves_the_job_as_it_was() -> None:
    """A pair that is not in the table raises, and the state stays."""
    one = job()
    with pytest.raises(KeyError):
        one.advance(Happening.DRAIN)
    assert one.state is JobState.SUBMITTED


def test_a_preempted_and_requeued_job_waits_again() -> None:
    """Its workers leave, the batch system shows it as pending, and it may run once more."""
    one = job()
    for happening, state in [
        (Happening.STARTED, JobState.RUNNING),
        (Happening.JOINED, JobState.CONNECTED),
        (Happening.DESERTED, JobState.RUNNING),
        (Happening.REQUEUED, JobState.PENDING),
        (Happening.STARTED, JobState.RUNNING),
        (Happening.JOINED, JobState.CONNECTED),
    ]:
        one.advance(happening)
        assert one.state is state


def test_a_line_about_a_job_says_why() -> None:
    """The text of a record holds the id, the state, the reason and what is expected."""
    one = job()
    one.advance(Happening.QUEUED)
    one.reason, one.estimated_start = "Resources", "14:05"
    assert str(one) == "12_3 PENDING (Resources), estimated start 14:05"
    one.advance(Happening.GONE)
    one.cause, one.exit_code, one.reason = "crashed", 3, ""
    assert str(one) == "12_3 ENDED (crashed), exit code 3"
    one.reason = "no scheduler within 60 s"
    assert str(one) == "12_3 ENDED (crashed: no scheduler within 60 s), exit code 3"
