"""What every adapter has to do, on what the real programs printed (conftest.py)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from jobqueue.batch.answers import BatchState, Completed, JobStatus, Query
from jobqueue.errors import BatchSystemError, SubmissionRejected

Said = tuple[int, str, str]
BANNER = "*** Stampede2: 2 maintenance windows in 2026 ***\nWelcome, job 7!\r\n"


def answered(query: Query, said: Said) -> dict[str, JobStatus]:
    return query.parse(Completed(query.argv, *said))


def by_id(statuses: tuple[JobStatus, ...]) -> dict[str, JobStatus]:
    return {status.job_id: status for status in statuses}


def submission(system: Any, said: Said, count: int = 1) -> Completed:
    return Completed(system.adapter.submit_argv("/tmp/job.sh", count=count), *said)


@pytest.mark.recorded("submitted")
@pytest.mark.parametrize("around", ["", BANNER])
def test_ids_of_submitted_jobs(system: Any, recorded: Any, around: str) -> None:
    """The id is found on its line, one for each element of an array; banners do no harm."""
    stdout, count, (first, last) = recorded
    completed = submission(system, (0, f"{around}{stdout}", around), count)
    ids = system.adapter.submitted(completed, count)
    assert (ids[0], ids[-1], len(set(ids))) == (first, last, count)


def test_a_banner_is_no_id(system: Any) -> None:
    """An answer without an id is a rejection, whatever numbers are in it."""
    for text in ("", BANNER, "Stampede2\n", "job 5 was submitted\n", "-5\n", "5.\n", "5 6\n"):
        assert system.adapter.parse_job_ids(text) == ()
        with pytest.raises(SubmissionRejected):
            system.adapter.submitted(submission(system, (0, text, "")))


@pytest.mark.recorded("rejected")
def test_rejection_is_told_in_the_batch_systems_words(system: Any, recorded: Any) -> None:
    """A refused job is one error with the command, its status, its words and the script."""
    said, words = recorded
    with pytest.raises(SubmissionRejected) as caught:
        system.adapter.submitted(submission(system, said), script="/tmp/job.sh")
    assert words in str(caught.value)
    assert caught.value.returncode == said[0]
    assert caught.value.script == "/tmp/job.sh"
    assert words.partition(";")[0] in caught.value.output


def test_id_of_a_failed_submission_is_no_id(system: Any) -> None:
    """A command that failed has submitted nothing, even if a number stands on a line."""
    stdout = system.submitted[0][0]
    with pytest.raises(SubmissionRejected):
        system.adapter.submitted(submission(system, (1, stdout, "failed\n")))


@pytest.mark.recorded("statuses")
def test_status_of_many_jobs(system: Any, recorded: Any) -> None:
    """One answer tells of all jobs: state, reason, node, and nothing of arrays as such."""
    said, expected = recorded
    ids = [status.job_id for status in expected]
    assert answered(system.adapter.status_query(ids), said) == by_id(expected)


def test_one_query_for_many_jobs(system: Any) -> None:
    """A thousand jobs are one command, which names each job at most once, and an array as one."""
    ids = {f"{number}.server": "" for number in range(500)}
    for text, count, _ in system.submitted:
        ids |= dict.fromkeys(system.adapter.parse_job_ids(text, count))
    argv = system.adapter.status_query(list(ids)).argv
    assert len(argv) < 520


@pytest.mark.recorded("reasons")
def test_reasons_that_are_asked_for_apart(system: Any, recorded: Any) -> None:
    """Where the list of jobs does not tell why they are pending, one more question does."""
    said, expected = recorded
    query = system.adapter.reason_query(["3", "4"])
    told = {job_id: status.reason for job_id, status in answered(query, said).items()}
    assert told == expected


@pytest.mark.recorded("nothing")
def test_jobs_that_are_gone(system: Any, recorded: Any) -> None:
    """A job the batch system does not know is absent, and that is no error."""
    assert answered(system.adapter.status_query(["0.server"]), recorded) == {}


@pytest.mark.recorded("down")
def test_no_answer_says_nothing_about_jobs(system: Any, recorded: Any) -> None:
    """A query that failed raises with the command's words: it never looks like "no jobs"."""
    with pytest.raises(BatchSystemError) as caught:
        answered(system.adapter.status_query(["0.server"]), recorded)
    assert recorded[2].strip() in str(caught.value)


def test_unknown_state_is_an_error_in_the_log(
    system: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A state nobody has heard of is UNKNOWN and logged, and never taken for an end."""
    with caplog.at_level(logging.ERROR, "jobqueue"):
        statuses = answered(system.adapter.status_query([]), system.unknown_state)
    assert [status.state for status in statuses.values()] == [BatchState.UNKNOWN]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.recorded("ended")
def test_second_look_at_ended_jobs(system: Any, recorded: Any) -> None:
    """What is remembered of ended jobs: cause, exit code and signal; or nothing."""
    which, said, expected = recorded
    ids = [status.job_id for status in expected] or ["0.server"]
    assert answered(system.adapter.ended_queries(ids)[which], said) == by_id(expected)


def test_cancel_many_at_once(system: Any) -> None:
    """Many jobs are cancelled by one command, elements of an array in short."""
    ids, argv = system.cancelled
    assert system.adapter.cancel_argv(ids) == argv


@pytest.mark.recorded("cancel_fine")
def test_cancelling_an_ended_job_is_fine(system: Any, recorded: Any) -> None:
    """That a job is unknown or has ended is what cancelling wants."""
    completed = Completed(system.adapter.cancel_argv(["0.server"]), *recorded)
    assert system.adapter.cancel_problem(completed) == ""


@pytest.mark.recorded("cancel_failed")
def test_cancelling_may_fail(system: Any, recorded: Any) -> None:
    """Any other failure is told in the batch system's words."""
    completed = Completed(system.adapter.cancel_argv(["0.server"]), *recorded)
    said = f"{recorded[1]}{recorded[2]}".strip()
    assert system.adapter.cancel_problem(completed).removeprefix("error: ") in said
    assert system.adapter.cancel_problem(completed)


def test_submission_ends_with_the_script(system: Any) -> None:
    """The script is the last word, or what the command reads; a count of one asks for no array."""
    adapter = system.adapter
    one, tagged = adapter.submit_argv("/a b/job.sh"), adapter.submit_argv("/a b/job.sh", tag="t")
    assert one[0] == tagged[0]
    if (read := adapter.submit_input("/a b/job.sh", "#!/bin/sh\necho 1\n")) is None:
        assert one[-1] == tagged[-1] == "/a b/job.sh"
    else:
        assert "/a b/job.sh" in read or "echo 1" in read
    assert not set(system.array) & set(one)
    assert bool(system.array) == (adapter.array_limit > 1)
    if system.array:
        many = adapter.submit_argv("/a b/job.sh", count=200)
        script = adapter.submit_input("/a b/job.sh", "#!/bin/sh\n", count=200) or ""
        assert set(system.array) <= {*many, *script.splitlines()}


def test_log_files(system: Any) -> None:
    """Each job has its own log files in the log directory."""
    for job_id, paths in system.logs.items():
        found = system.adapter.log_paths(job_id, job_name="x", log_directory="/logs")
        assert found == paths


def test_log_files_by_default(system: Any) -> None:
    """Without a log directory each job still has files of its own, beside where it came from."""
    adapter = system.adapter
    ids = ["5", "6"] if adapter.array_limit == 1 else list(adapter.parse_job_ids(_array(system), 2))
    paths = {
        path
        for job_id in ids
        for path in adapter.log_paths(job_id, job_name="x", log_directory=None)
    }
    assert len(paths) >= len(ids)
    assert not any(path.startswith("/") for path in paths)


def _array(system: Any) -> str:
    return next(str(out) for out, count, _ in system.submitted if count > 1)


def test_fallback_is_for_other_dialects_only(system: Any) -> None:
    """Ordinary answers, refusals and failures change nothing about an adapter."""
    adapter = system.adapter
    query = adapter.status_query(["0.server"])
    for said, _ in system.statuses:
        assert adapter.fallback(Completed(query.argv, *said)) is None
    for said in (*system.nothing, *system.down):
        assert adapter.fallback(Completed(query.argv, *said)) is None
    for said, _ in system.rejected:
        assert adapter.fallback(submission(system, said)) is None
