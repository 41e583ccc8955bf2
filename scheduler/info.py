"""What a scheduler tells its owner (a cluster, a dashboard) of its workers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from jobqueue.scheduler.records import WorkerRecord


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker, as it stands.

    Parameters
    ----------
    name
        Unique in its cluster.
    job_id
        The batch system's id of its job, or None.
    host, pid
        Where it runs.
    addresses
        Where other workers get its results.
    nthreads
        Tasks that may run at the same time.
    memory_limit
        Bytes, or None.
    processing
        Tasks it has been given and not finished.
    stored_bytes
        Bytes of results it holds.
    retiring
        Whether it is about to end.
    """

    name: str
    job_id: str | None
    host: str
    pid: int
    addresses: tuple[str, ...]
    nthreads: int
    memory_limit: int | None
    processing: int
    stored_bytes: int
    retiring: bool

    @property
    def idle(self) -> bool:
        """Whether it has no task."""
        return not self.processing

    def to_dict(self) -> dict[str, Any]:
        """Return the same as it travels to a client."""
        return asdict(self)

    @classmethod
    def of(cls, worker: WorkerRecord) -> WorkerInfo:
        """Describe a worker of the core."""
        facts = worker.facts
        return cls(
            name=worker.name,
            job_id=worker.job_id,
            host=facts.host if facts else "",
            pid=facts.pid if facts else 0,
            addresses=worker.addresses,
            nthreads=worker.nthreads,
            memory_limit=facts.memory_limit if facts else None,
            processing=len(worker.assigned),
            stored_bytes=worker.stored,
            retiring=worker.retiring,
        )


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker has connected."""

    worker: WorkerInfo


@dataclass(frozen=True, slots=True)
class WorkerLeft:
    """A worker is gone.

    Parameters
    ----------
    worker
        As it was last.
    reason
        What is known of why.
    expected
        Whether it was told to end, or said that it would.
    """

    worker: WorkerInfo
    reason: str
    expected: bool


WorkerEvent = WorkerJoined | WorkerLeft
