"""What remains of an agent and its workers when they have ended."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.answers import EndCause
from jobqueue.worker.exit_codes import Kind
from jobqueue.worker.exit_record import (
    MAX_ENDS,
    TAIL_BYTES,
    TAIL_LINES,
    ExitRecord,
    Tail,
    WorkerEnd,
    describe_status,
    write_atomically,
)


def test_kinds_are_those_of_batch_systems() -> None:
    """A cluster compares them; what only the batch system can know is nothing."""
    words = {cause.value for cause in EndCause}
    assert {kind.value for kind in Kind} - words == {""}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit 0: told to end"),
        (3, "exit 3: no scheduler within 90 s"),
        (4, "exit 4: refused by the scheduler"),
        (143, "exit 143: ended on SIGTERM"),
        (1, "exit 1: crashed"),
        (2, "exit 2: crashed"),
        (-9, "killed by signal 9 (SIGKILL)"),
        (-11, "killed by signal 11 (SIGSEGV)"),
        (-40, "killed by signal 40 (unnamed)"),
        (None, "could not be started"),
    ],
)
def test_causes(status: int | None, words: str) -> None:
    """Each way to end has its phrase."""
    assert describe_status(status, death_timeout=90.0) == words


@given(st.lists(st.binary(max_size=3 * TAIL_BYTES), max_size=5))
def test_a_tail_is_the_end_of_what_was_written_and_bounded(chunks: list[bytes]) -> None:
    """However much is written, in whatever pieces, the last bytes are kept and no more."""
    tail = Tail()
    for chunk in chunks:
        tail.add(chunk)
    kept = b"".join(chunks)[-TAIL_BYTES:].decode(errors="replace").splitlines()
    assert tail.lines() == [line.rstrip() for line in kept if line.strip()][-TAIL_LINES:]


def test_a_tail_leaves_out_what_workers_say_while_all_is_well() -> None:
    """A user looks for their own words, or for what went wrong."""
    at = "2026-01-02 03:04:05,678"
    tail = Tail()
    tail.add(f"{at} INFO jobqueue.worker worker connected name=w-0\n".encode())
    assert tail.lines() == []
    tail.add(f"my words\n{at} ERROR jobqueue.worker worker ends\n{at} INFO mine x\n".encode())
    assert tail.lines() == [
        "my words",
        f"{at} ERROR jobqueue.worker worker ends",
        f"{at} INFO mine x",
    ]


def test_record(tmp_path: Path) -> None:
    """The file holds the agent's end and those of its workers, with their last words."""
    record = ExitRecord({"host": "n1", "job": "17"}, started=100.0)
    assert record.last_words() is None
    record.add(WorkerEnd("a-0", 12, -9, "killed by signal 9 (SIGKILL)", 101.0, 102.0, ["x", "y"]))
    record.add(WorkerEnd("a-1", 13, 0, "exit 0: told to end", 101.0, 102.0, []))
    assert record.last_words() == "y"
    path = tmp_path / "record.json"
    write_atomically(str(path), record.to_json(ended=103.0, exit_code=0, cause="told"))
    content = json.loads(path.read_text())
    assert content["host"] == "n1"
    assert content["exit_code"] == 0
    assert content["ended"] - content["started"] == 3.0
    assert [worker["worker"] for worker in content["workers"]] == ["a-0", "a-1"]
    assert content["workers"][0]["last_lines"] == ["x", "y"]
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_a_record_of_endless_crashes_stays_small() -> None:
    """Only the last ends are kept."""
    record = ExitRecord({}, started=0.0)
    for pid in range(10 * MAX_ENDS):
        record.add(WorkerEnd("a-0", pid, 1, "exit 1: crashed", 0.0, 0.0, []))
    workers = json.loads(record.to_json(ended=1.0))["workers"]
    assert [worker["pid"] for worker in workers] == list(range(9 * MAX_ENDS, 10 * MAX_ENDS))


def test_an_unwritable_record_leaves_no_rubbish(tmp_path: Path) -> None:
    """A target that cannot be replaced raises OSError, and the temporary file is gone."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(str(tmp_path / "taken"), "text")
    with pytest.raises(FileNotFoundError):
        write_atomically(str(tmp_path / "missing" / "record.json"), "text")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]
