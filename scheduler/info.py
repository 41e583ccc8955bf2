"""What a scheduler tells its owner (a cluster, a dashboard) and its clients of its workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from jobqueue.errors import ConfigError
from jobqueue.scheduler.worker_record import ASIDE, WorkerRecord

RUNNING: Final = "running"
PAUSED: Final = "paused"
SUSPECT: Final = "suspect"
SET_ASIDE: Final = "set aside"
RETIRING: Final = "retiring"
RESERVED: Final = "reserved"
"""What a worker can be said to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """One worker, as it stands.

    Parameters
    ----------
    name
        Unique in its cluster.
    job_id
        The batch system's id of its job, or None.
    pool
        The pool that this job belongs to, or "".
    ends_at
        When this job ends, in seconds on the clock of the scheduler's event loop; None if that is
        not known.
    host, pid
        Where it runs.
    addresses
        Where other workers get its results.
    nthreads
        Tasks that may run at the same time.
    resources
        Amounts that tasks may ask for, by name.
    status
        ``running``, ``paused`` (short of memory, or about to be restarted), ``suspect`` (not heard
        of for some time), ``set aside`` (for long: its tasks run elsewhere), ``reserved`` (all of
        its job is, for one task), or ``retiring`` (about to end).
    processing
        Tasks it has been given and not finished.
    running
        How many of them run, as far as can be told from here; the others wait.
    stored_bytes
        Bytes of results it holds.
    memory_limit
        Bytes, or None.
    memory, spilled
        Bytes that its process has in memory, and bytes of results that it has put on disk, when it
        was last heard; None before that.
    cpu
        Processor time it uses, in percent of one core; None before it was heard.
    """

    name: str
    job_id: str | None
    pool: str
    ends_at: float | None
    host: str
    pid: int
    addresses: tuple[str, ...]
    nthreads: int
    resources: Mapping[str, float]
    status: str
    processing: int
    running: int
    stored_bytes: int
    memory_limit: int | None
    memory: int | None
    spilled: int | None
    cpu: float | None

    @property
    def idle(self) -> bool:
        """Whether it has no task."""
        return not self.processing

    @property
    def waiting(self) -> int:
        """How many of its tasks have not begun."""
        return self.processing - self.running

    @property
    def retiring(self) -> bool:
        """Whether it is about to end."""
        return self.status == RETIRING

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return the same as it travels to a client: `time_left`, in seconds, for `ends_at`."""
        told = {**asdict(self), "addresses": list(self.addresses), "waiting": self.waiting}
        ends_at = told.pop("ends_at")
        told["time_left"] = None if ends_at is None else max(0.0, ends_at - now)
        return told

    @classmethod
    def of(cls, worker: WorkerRecord) -> WorkerInfo:
        """Describe a worker of the core."""
        facts, measured = worker.facts, worker.measured
        return cls(
            name=worker.name,
            job_id=worker.job_id,
            pool=worker.pool,
            ends_at=worker.ends_at,
            host=facts.host if facts else "",
            pid=facts.pid if facts else 0,
            addresses=worker.addresses,
            nthreads=worker.nthreads,
            resources=dict(worker.resources),
            status=status_of(worker),
            processing=len(worker.assigned) + len(worker.seceded),
            running=len(worker.running()),
            stored_bytes=worker.stored,
            memory_limit=facts.memory_limit if facts else None,
            memory=measured.get("memory"),
            spilled=measured.get("spilled"),
            cpu=measured.get("cpu"),
        )


def status_of(worker: WorkerRecord) -> str:
    """Return what a worker can be said to do, in a word or two; see `WorkerInfo`."""
    if worker.retiring:
        return RETIRING
    if worker.silent is not None:
        return SET_ASIDE if worker.silent is ASIDE else SUSPECT
    if worker.paused is not None:
        return PAUSED
    return RESERVED if worker.reserved else RUNNING


def workers_named(
    workers: Mapping[str, WorkerRecord], names: Iterable[str] | None
) -> list[WorkerRecord]:
    """Return the workers that names, addresses, hosts or job ids mean; None means all.

    Raises
    ------
    ConfigError
        Nobody is known as one of them.
    """
    if names is None:
        return list(workers.values())
    found: dict[WorkerRecord, None] = {}
    for name in names:
        meant = [workers[name]] if name in workers else []
        meant = meant or [worker for worker in workers.values() if name in worker.known_as]
        if not meant:
            connected = ", ".join(list(workers)[:5]) or "none"
            raise ConfigError(f"no worker is known as {name!r}; connected are: {connected}")
        found.update(dict.fromkeys(meant))
    return list(found)


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


@dataclass(frozen=True, slots=True)
class WorkerDrains:
    """A worker hands over what it has, since its job is about to end.

    Parameters
    ----------
    worker
        As it stands; `ends_at` is when the job ends.
    reason
        Why, in its agent's words.
    """

    worker: WorkerInfo
    reason: str


WorkerEvent = WorkerJoined | WorkerDrains | WorkerLeft
