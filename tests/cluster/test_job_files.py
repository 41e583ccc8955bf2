"""What a job leaves behind, put together when it has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.jobs import JobReport, Phase


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFiles:
    """Those of a pool whose jobs write into the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return JobFiles(
        render=lambda array: "",
        logs=lambda job_id: (f"~/{job_id}.out", f"$HOME/{job_id}.out"),
        exit_record=lambda job_id: f"~/{job_id}.json",
    )


def test_an_ended_job_is_examined(files: JobFiles, tmp_path: Path) -> None:
    """Cause, exit status and log come together; a log that is named twice is read once."""
    (tmp_path / "5.out").write_text("one\ntwo\n")
    (tmp_path / "5.json").write_text('{"exit_code": 3, "cause": "no scheduler", "kind": "crashed"}')
    told = files.post_mortem(JobReport("5", Phase.ENDED, node="n1", cause="crashed"))
    assert (told.cause, told.reason, told.exit_code) == ("crashed", "no scheduler", 3)
    assert (told.log_tail, told.log_path) == ("one\ntwo", str(tmp_path / "5.out"))
    assert told.node == "n1"


def test_the_batch_systems_exit_status_comes_first(files: JobFiles, tmp_path: Path) -> None:
    """It is the job's; the agent's is that of one process."""
    (tmp_path / "5.json").write_text('{"exit_code": 0, "cause": "done", "kind": "completed"}')
    told = files.post_mortem(JobReport("5", Phase.ENDED, exit_code=1, cause="crashed"))
    assert told.exit_code == 1


def test_a_job_that_was_lost_has_no_exit_status(files: JobFiles) -> None:
    """What Slurm says is 0, for none was seen."""
    told = files.post_mortem(JobReport("5", Phase.ENDED, exit_code=0, cause="node failed"))
    assert told.exit_code is None


def test_a_job_that_left_nothing_is_as_the_batch_system_says(files: JobFiles) -> None:
    """No log, no record: no cause is made up."""
    told = files.post_mortem(JobReport("5", Phase.MISSING))
    assert (told.cause, told.reason, told.exit_code, told.log_tail) == ("", "", None, "")
