"""The adapters' commands on the real programs, and what these answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch import commands
from jobqueue.batch.answers import Argv, BatchState, Completed, EndCause, JobStatus
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.pbs import Dialect, PBSAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import SubmissionRejected


def run(argv: Argv) -> Completed:
    return asyncio.run(commands.run(argv))


def statuses(adapter: BatchAdapter, job_ids: Sequence[str]) -> dict[str, JobStatus]:
    query = adapter.status_query(job_ids)
    found = query.parse(run(query.argv))
    return {job_id: found[job_id] for job_id in job_ids if job_id in found}


def script(
    tmp_path: Path, adapter: BatchAdapter, *, array: bool = False, then: str = "exec sleep 600"
) -> str:
    """Write a job script in whose agent's place a shell tells its arguments, and then does this."""
    agent = tmp_path / "agent"
    agent.write_text(f'#!/bin/sh\necho "$@"\n{then}\n')
    agent.chmod(0o755)
    spec = JobSpec(
        cores=1, memory=10**8, walltime=600, python=str(agent), log_directory=str(tmp_path)
    )
    path = tmp_path / "job.sh"
    path.write_text(spec.render(adapter, ["tls://10.0.0.1:4000"], credentials=None, array=array))
    return str(path)


def told_its_id(tmp_path: Path, adapter: BatchAdapter, job: str) -> bool:
    out, _ = adapter.log_paths(job, job_name="jobqueue", log_directory=str(tmp_path))
    return Path(out).is_file() and f"--job-id {job} " in Path(out).read_text()


def running(adapter: BatchAdapter, job: str) -> bool:
    return statuses(adapter, [job])[job].state is BatchState.RUNNING


def ended(adapter: BatchAdapter, job: str) -> bool:
    found = statuses(adapter, [job])
    return job not in found or found[job].state is BatchState.ENDED


def submit(adapter: BatchAdapter, path: str, count: int = 1, tag: str = "") -> tuple[str, ...]:
    folder = str(Path(path).parent)
    argv = adapter.submit_argv(path, count=count, tag=tag, log_directory=folder)
    return adapter.submitted(run(argv), count)


@pytest.fixture(params=["slurm", "qsub"])
def adapter(request: pytest.FixtureRequest) -> BatchAdapter:
    """Slurm by its own commands, and by its PBS wrappers, which have to be recognised."""
    if request.param == "slurm":
        request.getfixturevalue("slurm")
        return SlurmAdapter()
    request.getfixturevalue("pbs_over_slurm")
    pbs = PBSAdapter()
    wrappers = pbs.fallback(run(pbs.probe_argv))
    assert wrappers is not None
    assert wrappers.dialect is Dialect.SLURM_WRAPPERS
    return wrappers


def test_job_from_submission_to_cancellation(
    adapter: BatchAdapter, tmp_path: Path, wait_until: Any
) -> None:
    """A job is submitted, seen running on its node, knows its id, logs, and is cancelled."""
    (job,) = submit(adapter, script(tmp_path, adapter))
    wait_until(lambda: running(adapter, job), 30, "the job to run")
    assert statuses(adapter, [job])[job].node.startswith("node")
    wait_until(lambda: told_its_id(tmp_path, adapter, job), 30, "the job's id in its log")
    assert adapter.cancel_problem(run(adapter.cancel_argv([job]))) == ""
    wait_until(lambda: ended(adapter, job), 30, "the job to end")
    assert adapter.cancel_problem(run(adapter.cancel_argv([job]))) == ""


def test_rejected_submission(adapter: BatchAdapter, tmp_path: Path) -> None:
    """A queue that does not exist is refused in the batch system's own words."""
    path = script(tmp_path, adapter)
    queue = ("-p", "nosuch") if adapter.name == "slurm" else ("-q", "nosuch")
    argv = adapter.submit_argv(path)
    with pytest.raises(SubmissionRejected, match="invalid partition specified: nosuch"):
        adapter.submitted(run((argv[0], *queue, *argv[1:])))


def test_array_of_many(slurm: Any, tmp_path: Path, wait_until: Any) -> None:
    """Two hundred jobs are one command; each has an id, a log and a tag, and some are cancelled."""
    adapter = SlurmAdapter()
    path = script(tmp_path, adapter, array=True)
    jobs = submit(adapter, path, 200, tag="tag-of-this-test")
    assert len(set(jobs)) == 200
    found = statuses(adapter, jobs)
    assert set(found) == set(jobs)
    assert {status.tag for status in found.values()} == {"tag-of-this-test"}
    wait_until(lambda: running(adapter, jobs[3]), 60, "element 3 to run")
    wait_until(lambda: told_its_id(tmp_path, adapter, jobs[3]), 30, "the id in its log")
    run(adapter.cancel_argv(jobs[1:]))
    wait_until(lambda: all(ended(adapter, job) for job in jobs[1:6]), 60, "cancelled ones to end")
    assert running(adapter, jobs[0])
    run(adapter.cancel_argv(jobs))


def test_how_a_job_ended(slurm: Any, tmp_path: Path, wait_until: Any) -> None:
    """Cause and exit code come from squeue, the accounting, or the controller."""
    adapter = SlurmAdapter()
    (job,) = submit(adapter, script(tmp_path, adapter, then="exit 3"))
    wait_until(lambda: ended(adapter, job), 30, "the job to end")
    assert statuses(adapter, [job])[job].cause is EndCause.CRASHED
    for query in adapter.ended_queries([job]):
        status = wait_until(lambda query=query: query.parse(run(query.argv)).get(job), 30)
        wait_until(lambda query=query: query.parse(run(query.argv))[job].exit_code == 3, 30)
        assert status.job_id == job


def test_golden_scripts_are_understood(slurm: Any) -> None:
    """sbatch accepts what our directives say, as far as this cluster has it."""
    golden = Path(__file__).parents[1] / "templates" / "golden"
    for name in ("slurm-smallest", "slurm-epilogue", "slurm-awkward"):
        done = run(("sbatch", "--test-only", str(golden / f"{name}.sh")))
        assert "to start at" in done.stderr, done.stderr
    refused = run(("sbatch", "--test-only", str(golden / "slurm-full.sh")))
    assert "invalid partition specified: regular" in refused.stderr
