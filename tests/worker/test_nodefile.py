"""The file with the names of a job's nodes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.nodefile import remove_nodefile, write_nodefile

OPTIONS = AgentOptions(("tcp://a:1",), "jq", job_id="17", nodes=2, hosts=("n1", "n2"))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An agent's log, in the file `log`."""
    with (tmp_path / "log").open("wb") as file:
        yield Log(file.fileno())


def test_the_first_node_names_all_of_them(tmp_path: Path, log: Log) -> None:
    """One a line, for nobody else to read or to have put there; afterwards it is gone."""
    there = tmp_path / f"jobqueue-nodes-17-{os.getpid()}"
    there.symlink_to(tmp_path / "somebody's")
    path = write_nodefile(OPTIONS, str(tmp_path), log)
    assert path == str(there)
    assert there.read_text() == "n1\nn2\n"
    assert not there.is_symlink()
    assert stat.S_IMODE(there.stat().st_mode) == 0o600
    remove_nodefile(path)
    remove_nodefile(path)
    assert not there.exists()


@pytest.mark.parametrize("options", [OPTIONS._replace(rank=1), OPTIONS._replace(hosts=())])
def test_other_nodes_and_other_jobs_have_none(
    tmp_path: Path, log: Log, options: AgentOptions
) -> None:
    """And nothing to remove."""
    path = write_nodefile(options, str(tmp_path), log)
    assert path is None
    remove_nodefile(path)
    assert [file.name for file in tmp_path.iterdir()] == ["log"]


def test_a_job_goes_on_without_it(tmp_path: Path, log: Log) -> None:
    """Its log says why it is not there."""
    assert write_nodefile(OPTIONS, str(tmp_path / "missing"), log) is None
    assert "list of nodes not written" in (tmp_path / "log").read_text()
