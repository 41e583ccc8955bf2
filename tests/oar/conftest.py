"""The real OAR of `ci/oar`, for the tests of this folder: `python3 ci/oar test` runs them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobqueue.batch.answers import EndCause
from jobqueue.batch.oar import OARAdapter

Ending = tuple[EndCause | None, int | None, int | None]


@dataclass(frozen=True)
class OAR:
    """A running cluster of one host with 16 cores, and what `tests/real` has to know of it."""

    adapter: OARAdapter = field(default_factory=OARAdapter)
    cluster_class: str = "OARCluster"
    node: str = "node1"
    many: int = 8  # a second each to delete
    two_cores: Mapping[str, Any] = field(default_factory=dict)
    # Words of a refusal, and of why a job cannot start → keywords that provoke them
    refused: Mapping[str, Any] = field(
        default_factory=lambda: {
            "The queue nosuch does not exist": {"queue": "nosuch"},
            "There are not enough resources for your request": {"resource_spec": "/core=999"},
            'column "nosuch" does not exist': {"resource_spec": "/nosuch=1"},
        }
    )
    unstartable: Mapping[str, Any] = field(default_factory=dict)
    # Cause, exit code and signal of jobs that have ended
    cancelled: Ending = (EndCause.CANCELLED, None, None)
    endings: Mapping[str, Ending] = field(
        default_factory=lambda: {
            "completed": (EndCause.COMPLETED, 0, None),
            "failed": (EndCause.CRASHED, 3, None),
            "killed": (EndCause.CRASHED, None, 9),
            "walltime": (EndCause.WALLTIME, None, None),
        }
    )

    def jobs(self) -> dict[str, str]:
        """Give the states of the jobs that have not ended."""
        done = subprocess.run(["oarstat", "-J"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        listed = json.loads(done.stdout or "{}")
        return {number: job["state"] for number, job in listed.items()}

    def delete(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            subprocess.run(["oardel", *jobs], capture_output=True, timeout=60)


@pytest.fixture
def real(wait_until: Any) -> Iterator[OAR]:
    """The real OAR; what the test leaves there is cleared."""
    oar = OAR()
    yield oar
    oar.delete(list(oar.jobs()))
    wait_until(lambda: not oar.jobs(), 60, "what the test left to end")
