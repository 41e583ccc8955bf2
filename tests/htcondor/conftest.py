"""The real HTCondor of `ci/htcondor`, for the tests of this folder.

`python3 ci/htcondor test` runs them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobqueue.batch.answers import EndCause
from jobqueue.batch.htcondor import HTCondorAdapter

Ending = tuple[EndCause | None, int | None, int | None]


@dataclass(frozen=True)
class HTCondor:
    """A running pool of one host with 16 processors, and what `tests/real` has to know of it."""

    adapter: HTCondorAdapter = field(default_factory=HTCondorAdapter)
    cluster_class: str = "HTCondorCluster"
    node: str = "node1"
    many: int = 50
    two_cores: Mapping[str, Any] = field(default_factory=dict)
    # Words of a refusal, and of why a job cannot start → keywords that provoke them
    refused: Mapping[str, Any] = field(
        default_factory=lambda: {
            "Parse error in expression": {"job_extra_directives": {"+bad": "("}},
        }
    )
    unstartable: Mapping[str, Any] = field(
        default_factory=lambda: {
            "unable to establish standard output stream": {
                "job_extra_directives": {"output": "/dev/null/out"}
            },
            "no match found": {"job_extra_directives": {"RequestCpus": "999"}},
        }
    )
    # Cause, exit code and signal of jobs that have ended
    cancelled: Ending = (EndCause.CANCELLED, None, 15)
    endings: Mapping[str, Ending] = field(
        default_factory=lambda: {
            "completed": (EndCause.COMPLETED, 0, None),
            "failed": (EndCause.CRASHED, 3, None),
            "killed": (EndCause.CRASHED, None, 9),
            "walltime": (EndCause.WALLTIME, None, 15),
        }
    )

    def jobs(self) -> dict[str, int]:
        """Give the states of the jobs that have not ended."""
        argv = ["condor_q", "-allusers", "-json", "-attributes", "ClusterId,ProcId,JobStatus"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        listed = json.loads(done.stdout or "[]")
        return {f"{job['ClusterId']}.{job['ProcId']}": job["JobStatus"] for job in listed}

    def delete(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            subprocess.run(["condor_rm", *jobs], capture_output=True, timeout=60)


@pytest.fixture
def real(wait_until: Any) -> Iterator[HTCondor]:
    """The real HTCondor; what the test leaves there is cleared."""
    condor = HTCondor()
    yield condor
    condor.delete(list(condor.jobs()))
    wait_until(lambda: not condor.jobs(), 60, "what the test left to end")
