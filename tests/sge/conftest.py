"""The real Grid Engine that `ci/check` brings up, for the tests of this folder.

By hand: ``python3 ci/sge up; eval "$(python3 ci/sge env)"``, then pytest.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jobqueue.batch.answers import EndCause
from jobqueue.batch.sge import SGEAdapter

CHOICE = "JOBQUEUE_TEST_SGE"  # the number of the cluster to use (tests/conftest.py)
WORK = Path("/tmp/jobqueue-ci")
Ending = tuple[EndCause | None, int | None, int | None]


@dataclass(frozen=True)
class GridEngine:
    """A running cluster of one host with 16 slots, and what `tests/real` has to know of it."""

    adapter: SGEAdapter = field(default_factory=SGEAdapter)
    cluster_class: str = "SGECluster"
    node: str = "localhost"
    many: int = 50
    two_cores: Mapping[str, Any] = field(
        default_factory=lambda: {"job_extra_directives": ["-pe smp 2"]}
    )
    # Words of a refusal, and of why a job cannot start → keywords that provoke them
    refused: Mapping[str, Any] = field(
        default_factory=lambda: {
            'requests unknown queue "nosuch.q"': {"queue": "nosuch.q"},
            "cannot start with a digit": {"job_name": "1abc"},
            'unknown resource "nosuch"': {"resource_spec": "nosuch=1"},
            "nosuch": {"job_extra_directives": ("-pe nosuch 4",)},
        }
    )
    unstartable: Mapping[str, Any] = field(
        default_factory=lambda: {
            "only offers": {"job_extra_directives": ("-pe smp 999",)},
            "/dev/null/logs": {"job_extra_directives": ("-o /dev/null/logs",)},
        }
    )
    # Cause, exit code and signal of jobs that have ended. The script asks for a notice ahead, which
    # is SIGUSR2: a plain shell dies of it.
    cancelled: Ending = (None, None, 12)
    endings: Mapping[str, Ending] = field(
        default_factory=lambda: {
            "completed": (EndCause.COMPLETED, 0, None),
            "failed": (EndCause.CRASHED, 3, None),
            "killed": (None, None, 9),
            "walltime": (EndCause.WALLTIME, None, 12),
        }
    )

    def jobs(self) -> dict[str, str]:
        """Give the states of the jobs that have not ended, each task of an array by itself."""
        argv = ["qstat", "-xml", "-g", "d", "-u", "*"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return {
            ".".join(filter(None, (job.findtext("JB_job_number"), job.findtext("tasks")))): (
                job.findtext("state") or ""
            )
            for job in ElementTree.fromstring(done.stdout).iter("job_list")
        }

    def delete(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            subprocess.run(["qdel", *jobs], capture_output=True)  # fails on ended ones


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, wait_until: Any) -> Iterator[GridEngine]:
    """The real Grid Engine, with its commands on PATH; what the test leaves there is cleared."""
    number = os.environ[CHOICE]
    folder = WORK / f"sge-{number}"
    port = 16_440 + 10 * int(number)
    monkeypatch.setenv("SGE_ROOT", str(folder))
    monkeypatch.setenv("SGE_CELL", "default")
    monkeypatch.setenv("SGE_QMASTER_PORT", str(port))
    monkeypatch.setenv("SGE_EXECD_PORT", str(port + 1))
    monkeypatch.setenv("PATH", f"{folder / 'commands'}:{os.environ['PATH']}")
    engine = GridEngine()
    yield engine
    engine.delete(list(engine.jobs()))
    wait_until(lambda: not engine.jobs(), 60, "what the test left to end")
