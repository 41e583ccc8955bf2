"""What a job's agents wrote at their end, as the cluster reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobqueue.cluster.causes import LastWords
from jobqueue.cluster.exit_records import read_exit_record, read_exit_records
from jobqueue.worker.exit_record import ExitRecord as Written
from jobqueue.worker.exit_record import write_atomically


def write(path: Path, exit_code: int, cause: str, **fields: object) -> Path:
    text = Written({"job_id": "5"}, started=1.0).to_json(
        cause=cause, exit_code=exit_code, ended=2.0, **fields
    )
    write_atomically(str(path), text)
    return path


def test_what_the_agent_writes_is_understood(tmp_path: Path) -> None:
    """Both ends agree on the file: status, phrase, kind, and where nobody was found."""
    tried = [["tls://a:1", "refused, nobody listens there"], ["tls://b:1", "timed out"]]
    path = write(tmp_path / "5.json", 3, "none", kind="crashed", tried=tried)
    assert read_exit_record(path) == LastWords(3, "none", "crashed", "a:1 refused, b:1 timed out")
    path = write(tmp_path / "5.json", 143, "asked to end by SIGTERM", kind="")
    assert read_exit_record(path) == LastWords(143, "asked to end by SIGTERM", "")


@pytest.mark.parametrize(("status", "kind"), [(0, "completed"), (5, "crashed"), (143, "")])
def test_a_record_without_a_kind_is_judged_by_its_status(
    tmp_path: Path, status: int, kind: str
) -> None:
    """Whatever wrote it; of a signal only the batch system knows whose it was."""
    path = tmp_path / "5.json"
    path.write_text(json.dumps({"exit_code": status, "cause": "why"}))
    assert read_exit_record(path) == LastWords(status, "why", kind)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"exit_code": "x", "cause": ""}'])
def test_a_broken_record_is_no_record(tmp_path: Path, text: str) -> None:
    """Whatever a full disk has left there."""
    path = tmp_path / "5.json"
    path.write_text(text)
    assert read_exit_record(path) is None
    assert read_exit_record(tmp_path / "none.json") is None
    assert read_exit_records(path) == ()


@pytest.mark.parametrize("job", ["5", "5_3", "22[3].server", "23.0"])
def test_each_node_of_a_job_has_its_say(tmp_path: Path, job: str) -> None:
    """In the nodes' order; another job's records are another job's."""
    for name in (f"{job}.10", f"{job}.2", job, "6", f"{job}4", f"{job}.x"):
        write(tmp_path / f"{name}.json", 0, name)
    records = read_exit_records(tmp_path / f"{job}.json")
    assert [record.phrase for record in records] == [job, f"{job}.2", f"{job}.10"]
