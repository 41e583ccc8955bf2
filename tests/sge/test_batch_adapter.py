"""The adapter's commands on the real programs, and what these answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch import commands
from jobqueue.batch.base import Argv, BatchState, Completed, EndCause, JobStatus
from jobqueue.batch.sge import SGEAdapter
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import BatchSystemError, SubmissionRejected

ADAPTER = SGEAdapter()


def run(argv: Argv) -> Completed:
    return asyncio.run(commands.run(argv))


def statuses(job_ids: Sequence[str] = ()) -> dict[str, JobStatus]:
    query = ADAPTER.status_query(job_ids)
    return query.parse(run(query.argv))


def script(tmp_path: Path, *, then: str = "exec sleep 600", **keywords: Any) -> str:
    """Write a job script in whose agent's place a shell tells its arguments, and then does this."""
    agent = tmp_path / "agent"
    agent.write_text(f'#!/bin/sh\necho "$@"\n{then}\n')
    agent.chmod(0o755)
    told = {"walltime": 600, "log_directory": str(tmp_path), **keywords}
    spec = JobSpec(cores=1, memory=10**8, python=str(agent), **told)
    path = tmp_path / "job.sh"
    path.write_text(spec.render(ADAPTER, ["tls://10.0.0.1:4000"], credentials=None))
    return str(path)


def submit(path: str, count: int = 1) -> tuple[str, ...]:
    return ADAPTER.submitted(run(ADAPTER.submit_argv(path, count=count)), count)


def ended(job: str) -> JobStatus | None:
    (query,) = ADAPTER.ended_queries([job])
    return query.parse(run(query.argv)).get(job)


def is_running(job: str) -> bool:
    found = statuses()
    return job in found and found[job].state is BatchState.RUNNING and found[job].node != ""


def told_its_id(tmp_path: Path, job: str) -> bool:
    (log,) = ADAPTER.log_paths(job, job_name="jobqueue", log_directory=str(tmp_path))
    return Path(log).is_file() and f"--job-id {job} " in Path(log).read_text()


def test_job_from_submission_to_cancellation(sge: Any, tmp_path: Path, wait_until: Any) -> None:
    """A job is submitted, seen running on its node, knows its id, logs, and is cancelled."""
    (job,) = submit(script(tmp_path))
    wait_until(lambda: is_running(job), 30, "the job to run")
    assert statuses()[job].node == "localhost"
    wait_until(lambda: told_its_id(tmp_path, job), 30, "the job's id in its log")
    assert ADAPTER.cancel_problem(run(ADAPTER.cancel_argv([job]))) == ""
    wait_until(lambda: job not in statuses(), 30, "the job to end")
    assert ADAPTER.cancel_problem(run(ADAPTER.cancel_argv([job]))) == ""
    status = wait_until(lambda: ended(job), 30, "the accounting to know")
    assert (status.state, status.signal) == (BatchState.ENDED, 9)


def test_array_of_many(sge: Any, tmp_path: Path, wait_until: Any) -> None:
    """Fifty jobs are one command; each has an id and a log, and some are cancelled."""
    jobs = submit(script(tmp_path), 50)
    assert len(set(jobs)) == 50
    assert set(statuses()) == set(jobs)
    wait_until(lambda: told_its_id(tmp_path, jobs[3]), 30, "the id in its log")
    assert ADAPTER.cancel_problem(run(ADAPTER.cancel_argv(jobs[1:]))) == ""
    wait_until(lambda: set(statuses()) == {jobs[0]}, 60, "the cancelled ones to end")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"queue": "nosuch.q"}, 'requests unknown queue "nosuch.q"'),
        ({"job_name": "1abc"}, "cannot start with a digit"),
        ({"resource_spec": "nosuch=1"}, 'unknown resource "nosuch"'),
        ({"job_extra_directives": ("-pe nosuch 4",)}, "nosuch"),
    ],
)
def test_rejected_submission(sge: Any, tmp_path: Path, keywords: Any, words: str) -> None:
    """What is refused is told in Grid Engine's own words."""
    with pytest.raises(SubmissionRejected) as caught:
        submit(script(tmp_path, **keywords))
    assert words in str(caught.value)


def test_why_jobs_are_pending(sge: Any, tmp_path: Path, wait_until: Any) -> None:
    """One question tells: too many slots, and a log that cannot be opened."""
    (large,) = submit(script(tmp_path, job_extra_directives=("-pe smp 999",)))
    (broken,) = submit(script(tmp_path, log_directory="/nonexistent/logs"))
    wait_until(lambda: statuses()[broken].raw_state == "Eqw", 30, "the error")
    query = ADAPTER.reason_query([large, broken])
    assert query is not None

    def reasons() -> dict[str, str]:
        return {job: status.reason for job, status in query.parse(run(query.argv)).items()}

    told = wait_until(lambda: len(reasons()) == 2 and reasons(), 30, "both reasons")
    assert "only offers" in told[large]
    assert "/nonexistent/logs" in told[broken]


@pytest.mark.parametrize(
    ("then", "walltime", "expected"),
    [
        ("exit 0", 600, (EndCause.COMPLETED, 0, None)),
        ("exit 3", 600, (EndCause.CRASHED, 3, None)),
        ("kill -9 $$", 600, (None, None, 9)),
        ("exec sleep 600", 2, (EndCause.WALLTIME, None, 9)),
    ],
)
def test_how_a_job_ended(
    sge: Any, tmp_path: Path, wait_until: Any, then: str, walltime: int, expected: object
) -> None:
    """Cause, exit code and signal come from the accounting; a limit is told as such."""
    (job,) = submit(script(tmp_path, then=then, walltime=walltime))
    status = wait_until(lambda: ended(job), 60, "the accounting to know")
    assert (status.cause, status.exit_code, status.signal) == expected


def test_no_master_says_nothing_about_jobs(sge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that nobody answers is an error, never "no jobs"."""
    with monkeypatch.context() as nowhere:
        nowhere.setenv("SGE_QMASTER_PORT", "1")
        with pytest.raises(BatchSystemError, match="unable to send message to qmaster"):
            statuses()
        assert "unable to send message" in ADAPTER.cancel_problem(run(("qdel", "1")))
