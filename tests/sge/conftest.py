"""The real Grid Engine that `ci/check` brings up, as the `sge` fixture.

By hand: ``python3 ci/sge up; eval "$(python3 ci/sge env)"``, then pytest.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

CHOICE = "JOBQUEUE_TEST_SGE"  # the number of the cluster to use (tests/conftest.py)
WORK = Path("/tmp/jobqueue-ci")


@dataclass
class GridEngine:
    """A running cluster of one host with 16 slots; its commands are on PATH."""

    number: str

    def run(self, *argv: str, timeout: float = 30.0) -> str:
        """Run a command that must succeed; give what it prints."""
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{argv}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def qstat(self) -> dict[str, str]:
        """Give the states of the jobs that have not ended, each task of an array by itself."""
        listed = ElementTree.fromstring(self.run("qstat", "-xml", "-g", "d", "-u", "*"))
        return {
            ".".join(filter(None, (job.findtext("JB_job_number"), job.findtext("tasks")))): (
                job.findtext("state") or ""
            )
            for job in listed.iter("job_list")
        }

    def qdel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            subprocess.run(["qdel", *jobs], capture_output=True)  # fails on ended ones


@pytest.fixture
def sge(monkeypatch: pytest.MonkeyPatch, wait_until: Any) -> Iterator[GridEngine]:
    """The real Grid Engine, with its commands on PATH; what the test leaves there is cleared."""
    number = os.environ[CHOICE]
    folder = WORK / f"sge-{number}"
    port = 16_440 + 10 * int(number)
    monkeypatch.setenv("SGE_ROOT", str(folder))
    monkeypatch.setenv("SGE_CELL", "default")
    monkeypatch.setenv("SGE_QMASTER_PORT", str(port))
    monkeypatch.setenv("SGE_EXECD_PORT", str(port + 1))
    monkeypatch.setenv("PATH", f"{folder / 'commands'}:{os.environ['PATH']}")
    engine = GridEngine(number)
    yield engine
    engine.qdel(list(engine.qstat()))
    wait_until(lambda: not engine.qstat(), 60, "what the test left to end")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster writes is in the test's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path
