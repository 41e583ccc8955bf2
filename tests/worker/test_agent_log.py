"""The lines a job agent writes."""

import os
import shlex
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jobqueue.worker.agent_log import Log, log_line


def test_a_line() -> None:
    """A fact and its fields; what is None is left out."""
    line = log_line("worker ended", worker="a-0", pid=7, cause="exit 1: crashed", said=None)
    assert line == 'jobqueue agent: worker ended worker=a-0 pid=7 cause="exit 1: crashed"'


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=30))
def test_values_can_be_read_back(value: str) -> None:
    """Quotes, spaces and equals signs in a value don't get mixed up with the next field."""
    words = shlex.split(log_line("fact", first=value, second=2))
    assert words[-2:] == [f"first={value}", "second=2"]


def test_one_fact_is_one_line(tmp_path: Path) -> None:
    """Line breaks within a value don't break the line; each line begins with the time in UTC."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        Log(file.fileno()).line("fact", said="one\ntwo")
    (line,) = path.read_text().splitlines()
    assert line.endswith('Z jobqueue agent: fact said="one two"')


def test_a_reader_that_is_gone_and_a_full_disk_are_borne() -> None:
    """Whatever happens to the log, the agent goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    Log(writing).line("fact")
    os.close(writing)
    with open("/dev/full", "wb", buffering=0) as full:
        Log(full.fileno()).line("fact")
