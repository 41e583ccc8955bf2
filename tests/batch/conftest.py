"""What the real programs printed, for the conformance suite, and how tests get at it.

`recorded/` holds a file for each batch system and dialect, with what its programs said, to the
letter: exit status (0 if it is left out), stdout, stderr. A new batch system adds a file there, and
its line in `ADAPTERS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobqueue.batch.answers import BatchState, EndCause, JobStatus
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.htcondor import HTCondorAdapter
from jobqueue.batch.lsf import LSFAdapter
from jobqueue.batch.moab import MoabAdapter
from jobqueue.batch.oar import OARAdapter
from jobqueue.batch.pbs import Dialect, PBSAdapter
from jobqueue.batch.sge import SGEAdapter
from jobqueue.batch.slurm import SlurmAdapter

RECORDED = Path(__file__).parent / "recorded"
ADAPTERS: Mapping[str, BatchAdapter] = {
    "slurm": SlurmAdapter(),
    "pbs": PBSAdapter(),
    "pbs-wrappers": PBSAdapter(dialect=Dialect.SLURM_WRAPPERS, json=False, array_limit=1),
    "torque": PBSAdapter(dialect=Dialect.TORQUE, json=False),
    "moab": MoabAdapter(),
    "sge": SGEAdapter(),
    "lsf": LSFAdapter(),
    "openlava": LSFAdapter(json=False),
    "oar": OARAdapter(),
    "htcondor": HTCondorAdapter(),
}

Said = tuple[int, str, str]
Jobs = tuple[JobStatus, ...]


@dataclass(frozen=True)
class System:
    """One batch system: its adapter and what its commands were seen to print."""

    adapter: BatchAdapter
    submitted: Sequence[tuple[str, int, tuple[str, str]]]  # stdout; jobs; first and last id
    rejected: Sequence[tuple[Said, str]]  # ..., and the words in it that a user must see
    statuses: Sequence[tuple[Said, Jobs]]
    nothing: Sequence[Said]  # answers that say: none of these jobs is here
    down: Sequence[Said]  # answers that say nothing about jobs
    unknown_state: Said
    reasons: Sequence[tuple[Said, Mapping[str, str]]]  # why jobs are pending, if asked apart
    ended: Sequence[tuple[int, Said, Jobs]]  # which second look, ...
    cancel_fine: Sequence[Said]
    cancel_failed: Sequence[Said]
    cancelled: tuple[Sequence[str], Sequence[str]]  # ids, and the command
    array: Sequence[str]  # words by which two hundred jobs are asked for at once
    logs: Mapping[str, Sequence[str]]


def _system(name: str) -> System:
    told = yaml.safe_load((RECORDED / f"{name}.yaml").read_text())
    return System(
        ADAPTERS[name],
        submitted=[(t["stdout"], t["count"], (t["first"], t["last"])) for t in told["submitted"]],
        rejected=[(_said(t), t["words"]) for t in told["rejected"]],
        statuses=[(_said(t), _jobs(t)) for t in told["statuses"]],
        nothing=[_said(t) for t in told["nothing"]],
        down=[_said(t) for t in told["down"]],
        unknown_state=_said(told["unknown_state"]),
        reasons=[(_said(t), t["jobs"]) for t in told.get("reasons", ())],
        ended=[(t["look"], _said(t), _jobs(t)) for t in told["ended"]],
        cancel_fine=[_said(t) for t in told["cancel_fine"]],
        cancel_failed=[_said(t) for t in told["cancel_failed"]],
        cancelled=(told["cancelled"]["ids"], tuple(told["cancelled"]["argv"])),
        array=told["array"],
        logs={job_id: tuple(paths) for job_id, paths in told["logs"].items()},
    )


def _said(told: Mapping[str, Any]) -> Said:
    return told.get("status", 0), told.get("stdout", ""), told.get("stderr", "")


def _jobs(told: Mapping[str, Any]) -> Jobs:
    return tuple(_job(**job) for job in told["jobs"])


def _job(*, state: str, cause: str | None = None, **rest: Any) -> JobStatus:
    return JobStatus(state=BatchState(state), cause=EndCause(cause) if cause else None, **rest)


SYSTEMS = {name: _system(name) for name in ADAPTERS}


@pytest.fixture
def every_system() -> Mapping[str, System]:
    """All systems, by the names of their recordings."""
    return SYSTEMS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each system, and each of its recordings of the kind that its marker names.

    `@pytest.mark.recorded("submitted")` on a test with arguments `system` and `recorded`.
    """
    if "recorded" in metafunc.fixturenames:
        (kind,) = next(metafunc.definition.iter_markers("recorded")).args
        cases = [
            pytest.param(system, recorded, id=f"{name}-{number}")
            for name, system in SYSTEMS.items()
            for number, recorded in enumerate(getattr(system, kind))
        ]
        metafunc.parametrize(("system", "recorded"), cases)
    elif "system" in metafunc.fixturenames:
        metafunc.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "recorded(kind): run for each recording of a kind")
