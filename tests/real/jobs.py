"""An adapter's commands on the real programs, and what these answer.

One body for all batch systems: `tests/NAME/test_jobs.py` is a link to this file, and `real` in
`tests/NAME/conftest.py` says what is that system's own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch import commands
from jobqueue.batch.answers import Argv, BatchState, Completed, JobStatus
from jobqueue.batch.base import BatchAdapter
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import SubmissionRejected


class Jobs:
    """What a pool does through an adapter, one command at a time.

    In the place of a job's agent a shell tells its arguments, and then does as it is told.
    """

    def __init__(self, adapter: BatchAdapter, folder: Path) -> None:
        self.adapter = adapter
        self.folder = folder

    def run(self, argv: Argv, *, reads: str | None = None) -> Completed:
        return asyncio.run(commands.run(argv, stdin=reads))

    def submit(
        self, count: int = 1, *, then: str = "exec sleep 600", **keywords: Any
    ) -> tuple[str, ...]:
        agent = self.folder / "agent"
        agent.write_text(f'#!/bin/sh\necho "$@"\n{then}\n')
        agent.chmod(0o755)
        told = {"walltime": 600, "log_directory": str(self.folder), **keywords}
        told |= {k: v for k, v in self.adapter.job_values(told).items() if v is not None}
        spec = JobSpec(cores=1, memory=10**8, python=str(agent), **told)
        text = spec.render(self.adapter, ["tls://10.0.0.1:4000"], credentials=None)
        script = self.folder / "job.sh"
        script.write_text(text)
        script.chmod(0o700)
        argv = self.adapter.submit_argv(str(script), count=count)
        reads = self.adapter.submit_input(str(script), text, count=count)
        return self.adapter.submitted(self.run(argv, reads=reads), count)

    def statuses(self, job_ids: Sequence[str] = ()) -> dict[str, JobStatus]:
        """Give the jobs that have not ended."""
        query = self.adapter.status_query(job_ids)
        told = query.parse(self.run(query.argv))
        return {job: status for job, status in told.items() if status.state != BatchState.ENDED}

    def ended(self, job: str) -> JobStatus | None:
        """Ask all there is to ask about one that has."""
        for query in self.adapter.ended_queries([job]):
            status = query.parse(self.run(query.argv)).get(job)
            if status is not None and status.state is BatchState.ENDED:
                return status
        return None

    def cancel(self, job_ids: Sequence[str]) -> str:
        return self.adapter.cancel_problem(self.run(self.adapter.cancel_argv(job_ids)))

    def is_running(self, job: str) -> bool:
        status = self.statuses([job]).get(job)
        return status is not None and status.state is BatchState.RUNNING and status.node != ""

    def log(self, job: str) -> str:
        paths = self.adapter.log_paths(job, job_name="jobqueue", log_directory=str(self.folder))
        return "".join(Path(path).read_text() for path in paths if os.path.isfile(path))


@pytest.fixture
def jobs(real: Any, tmp_path: Path) -> Jobs:
    return Jobs(real.adapter, tmp_path)


def test_job_from_submission_to_cancellation(real: Any, jobs: Jobs, wait_until: Any) -> None:
    """A job is submitted, seen running on its node, knows its id, logs, and is cancelled, twice."""
    (job,) = jobs.submit()
    wait_until(lambda: jobs.is_running(job), 60, "the job to run")
    assert jobs.statuses()[job].node == real.node
    wait_until(lambda: f"--job-id {job} " in jobs.log(job), 30, "the job's id in its log")
    assert jobs.cancel([job]) == ""
    wait_until(lambda: job not in jobs.statuses(), 30, "the job to end")
    assert jobs.cancel([job]) == ""
    status = wait_until(lambda: jobs.ended(job), 30, "the accounting to know")
    assert (status.cause, status.exit_code, status.signal) == real.cancelled


def test_array_of_many(real: Any, jobs: Jobs, wait_until: Any) -> None:
    """Many jobs are one command; each has an id and a log, and some are cancelled."""
    submitted = jobs.submit(real.many)
    assert len(set(submitted)) == real.many
    assert set(jobs.statuses()) == set(submitted)
    fourth = submitted[3]
    wait_until(lambda: f"--job-id {fourth} " in jobs.log(fourth), 60, "the id in its log")
    assert jobs.cancel(submitted[1:]) == ""
    wait_until(lambda: set(jobs.statuses()) == {submitted[0]}, 90, "the cancelled ones to end")


ENDINGS: dict[str, tuple[str, int]] = {
    "completed": ("exit 0", 600),
    "failed": ("exit 3", 600),
    "killed": ("kill -9 $$", 600),
    "walltime": ("exec sleep 600", 2),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_how_a_job_ended(real: Any, jobs: Jobs, wait_until: Any, ending: str) -> None:
    """Cause, exit code and signal come from the accounting; a limit is told as such."""
    then, walltime = ENDINGS[ending]
    (job,) = jobs.submit(then=then, walltime=walltime)
    status = wait_until(lambda: jobs.ended(job), 90, "the accounting to know")
    assert (status.cause, status.exit_code, status.signal) == real.endings[ending]


def test_rejected_submissions(real: Any, jobs: Jobs) -> None:
    """What is refused is told in the batch system's own words."""
    for words, keywords in real.refused.items():
        with pytest.raises(SubmissionRejected) as caught:
            jobs.submit(**keywords)
        assert words in str(caught.value)


def test_why_jobs_are_pending(real: Any, jobs: Jobs, wait_until: Any) -> None:
    """Jobs that are accepted and cannot start say why, at once or when asked for it."""
    expected = {jobs.submit(**told)[0]: words for words, told in real.unstartable.items()}

    def reasons() -> dict[str, str]:
        told = jobs.statuses(list(expected))
        if (query := jobs.adapter.reason_query(list(expected))) is not None:
            told |= query.parse(jobs.run(query.argv))
        return {job: told[job].reason for job in expected if job in told}

    def all_told() -> bool:
        told = reasons()
        return all(words in told.get(job, "") for job, words in expected.items())

    wait_until(all_told, 60, f"the reasons {list(expected.values())}")
