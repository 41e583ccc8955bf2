"""What a job's agent wrote at its end, as the cluster reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.cluster.exit_records import ExitRecord, read_exit_record
from jobqueue.worker.exit_record import ExitRecord as Written
from jobqueue.worker.exit_record import write_atomically


def test_what_the_agent_writes_is_understood(tmp_path: Path) -> None:
    """Both ends agree on the file."""
    path = tmp_path / "5.json"
    text = Written({"job_id": "5"}, started=1.0).to_json(cause="why", exit_code=3, ended=2.0)
    write_atomically(str(path), text)
    assert read_exit_record(path) == ExitRecord(3, "why")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"exit_code": "x", "cause": ""}'])
def test_a_broken_record_is_no_record(tmp_path: Path, text: str) -> None:
    """Whatever a full disk has left there."""
    path = tmp_path / "5.json"
    path.write_text(text)
    assert read_exit_record(path) is None
    assert read_exit_record(tmp_path / "none.json") is None


def test_who_is_believed() -> None:
    """The batch system about walltime and nodes, the agent about everything it saw itself."""
    record = ExitRecord(143, "asked to end by SIGTERM")
    assert record.judge("walltime") == "walltime"
    assert record.judge("crashed") == record.judge("") == "asked to end by SIGTERM"
    assert ExitRecord(0, "told to end").judge("completed") == "completed"
