"""Submissions in doubt, without any batch system."""

from __future__ import annotations

from jobqueue.batch.answers import BatchState, JobStatus
from jobqueue.cluster.doubts import SETTLING, WATCHED, Doubts


def job(job_id: str, tag: str) -> dict[str, JobStatus]:
    return {job_id: JobStatus(job_id, BatchState.PENDING, "PENDING", tag=tag)}


def test_a_job_is_known_by_its_mark() -> None:
    """Others' jobs and our own other ones say nothing; all jobs of an array belong to one mark."""
    doubts = Doubts()
    doubts.add(["a", "b"], 0.0)
    assert doubts.take(job("1", "") | job("2", "x"), 1.0) == {}
    assert doubts.take(job("3_0", "a") | job("3_1", "a"), 2.0) == {"a": ("3_0", "3_1")}
    assert doubts.tags() == {"b"}
    assert "b" in doubts


def test_it_takes_two_answers_to_settle_a_doubt() -> None:
    """The clock starts with the first answer, not with the submission."""
    doubts = Doubts()
    doubts.add(["a"], 0.0)
    assert doubts.settled_at() == float("inf")
    doubts.take({}, 100.0)
    doubts.take({}, 103.0)
    assert doubts.settled_at() == 100.0 + SETTLING


def test_after_a_while_nobody_looks_any_more() -> None:
    """Then it is resolved without a job."""
    doubts = Doubts()
    doubts.add(["a"], 0.0)
    doubts.take({}, WATCHED)
    assert doubts
    assert doubts.take({}, WATCHED + 1) == {"a": ()}
    assert not doubts
    assert doubts.settled_at() == float("-inf")
