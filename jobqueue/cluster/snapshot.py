"""How a cluster's jobs stand, on disk: what `jobqueue jobs` and `jobqueue logs` read.

Rules:

* ``jobs.json`` lies beside the ledger, of mode 0600, and is replaced as a whole. A cluster writes
  it when something has changed, at most once each ``INTERVAL``, and beside its event loop.
* No cluster needs it to run: one that cannot write it says so once in its log, and goes on.
* An orderly end removes the folder. Of jobs whose logs outlive it, for they lie in a folder of the
  user's, the last snapshot stays in ``closed/``; of ``CLOSED`` clusters, the older go.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobqueue.cluster.jobs import JobKey, JobRecord, JobState
from jobqueue.cluster.ledger import Entry, Owner, write_private
from jobqueue.cluster.threads import off_loop
from jobqueue.comm.scheduler_file import state_directory

logger = logging.getLogger("jobqueue.cluster")

FILE = "jobs.json"
VERSION = 1

INTERVAL = 2.0
"""Seconds between two writes."""

ENDED = 200
"""Ended jobs in a snapshot; those that ended before them are left out."""

CLOSED = 20
"""Closed clusters whose jobs' logs can still be found by the jobs' ids."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobRow:
    """One job. Times are in seconds since 1970, None where they are not known.

    Parameters
    ----------
    job_id, pool
        The batch system's name of the job, and the pool it belongs to.
    state
        Where it is on its way.
    reason, estimated_start
        Why it is there, and when it is to start, in the batch system's words; once it has ended,
        more about the cause.
    node
        Where it runs, or ran.
    workers
        Names of its connected workers.
    cause, exit_code
        Why it ended.
    logs
        The files its output goes to.
    submitted, started, expires, ended
        When it was submitted, when it was first seen to run, when its time is over, and when its
        end was noticed.
    restarts
        How often it was requeued.
    """

    job_id: str
    pool: str
    state: JobState = JobState.SUBMITTED
    reason: str = ""
    estimated_start: str = ""
    node: str = ""
    workers: tuple[str, ...] = ()
    cause: str = ""
    exit_code: int | None = None
    logs: tuple[str, ...] = ()
    submitted: float | None = None
    started: float | None = None
    expires: float | None = None
    ended: float | None = None
    restarts: int = 0

    @property
    def key(self) -> JobKey:
        """What tells it from the cluster's other jobs."""
        return self.pool, self.job_id

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state is JobState.ENDED

    def to_dict(self) -> dict[str, Any]:
        """Return its fields by name; `dataclasses.asdict`, which copies, takes 20 times as long."""
        return {name: getattr(self, name) for name in _ROW_FIELDS}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> JobRow:
        """Return what `to_dict` has taken apart; fields of later versions are left out."""
        values = {name: value for name, value in fields.items() if name in _ROW_FIELDS}
        values["state"] = JobState(values["state"])
        return cls(**values | {name: tuple(values.get(name, ())) for name in ("workers", "logs")})


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The jobs of one cluster at one moment.

    Parameters
    ----------
    cluster, system
        The cluster's name, and the batch system its jobs are in.
    owner
        The process it belongs to.
    created, written
        When the cluster was made, and when this was written, in seconds since 1970.
    jobs
        Its jobs, oldest first.
    situation
        Why it has as many workers as it has, in a line (`Cluster.describe`).
    closed
        Whether the cluster had ended.
    """

    cluster: str
    system: str
    owner: Owner
    created: float
    written: float
    jobs: tuple[JobRow, ...] = ()
    situation: str = ""
    closed: bool = False

    @classmethod
    def of(
        cls,
        entry: Entry,
        jobs: Iterable[JobRow] = (),
        *,
        situation: str = "",
        closed: bool = False,
    ) -> Snapshot:
        """Return the snapshot of a cluster with this ledger."""
        return cls(
            cluster=entry.cluster,
            system=entry.system,
            owner=entry.owner,
            created=entry.created,
            written=time.time(),
            jobs=tuple(jobs),
            situation=situation,
            closed=closed,
        )

    def to_json(self) -> str:
        """Return it as text."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        fields["owner"] = dataclasses.asdict(self.owner)
        fields["jobs"] = [row.to_dict() for row in self.jobs]
        return json.dumps({"version": VERSION, **fields})

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Read what `to_json` wrote; ValueError for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("version")
            if version != VERSION:
                raise ValueError(f"a snapshot of version {version}; this program reads {VERSION}")
            fields["owner"] = Owner(**fields["owner"])
            fields["jobs"] = tuple(JobRow.from_dict(row) for row in fields["jobs"])
            return cls(**fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a snapshot: {error!r}") from error


_ROW_FIELDS = tuple(field.name for field in dataclasses.fields(JobRow))
_FIELDS = tuple(field.name for field in dataclasses.fields(Snapshot))


def read_snapshot(path: Path) -> Snapshot | None:
    """Return what a file says; None if there is none, or nothing sensible in it."""
    try:
        return Snapshot.from_json(path.read_text())
    except (OSError, ValueError):
        return None


def closed_snapshots(parent: Path | None = None) -> list[Snapshot]:
    """Return the last snapshots of clusters that ended in order, oldest first."""
    folder = (parent or state_directory()) / "closed"
    found = [read_snapshot(path) for path in folder.glob("*.json")]
    return sorted((each for each in found if each is not None), key=lambda each: each.created)


Picture = tuple[list[JobRecord], str]
"""A cluster's jobs at one moment, and a line about them."""


class SnapshotWriter:
    """Writes the snapshots of one cluster.

    Parameters
    ----------
    folder
        The cluster's own folder.
    entry
        Its ledger's entry.
    jobs, situation
        Return its jobs, and a line about them; called in the event loop.
    logs
        Returns the log files of a job; called in helper threads.
    """

    def __init__(
        self,
        folder: Path,
        entry: Entry,
        jobs: Callable[[], Iterable[JobRecord]],
        situation: Callable[[], str],
        logs: Callable[[JobRecord], Sequence[Path]],
    ) -> None:
        self._folder = folder
        self._entry = entry
        self._jobs = jobs
        self._situation = situation
        self._logs = logs
        self._lock = threading.Lock()
        self._seen: Picture | None = None  # how it was when something was written last
        self._rows: tuple[JobRow, ...] = ()  # what was written
        self._paths: dict[JobKey, tuple[str, ...]] = {}  # of the log files
        self._ended: dict[JobKey, float] = {}  # when that was noticed
        self._since_epoch = time.time() - time.monotonic()  # of the clock that records go by
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._complained = False

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def changed(self) -> None:
        """Have the jobs as they are now written soon; to be called in the event loop."""
        self._changed.set()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await off_loop(self._write, self._picture())
            await asyncio.sleep(INTERVAL)

    async def finish(self) -> None:
        """Write how things stand at the end, and nothing after that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await off_loop(self.finish_now)

    def finish_now(self) -> None:
        """Do the same without an event loop."""
        self._write(self._picture(), closed=True)

    def keep(self) -> None:
        """Keep what is known of jobs whose logs are still there, now that the folder is gone."""
        rows = [row for row in self._rows if any(os.path.exists(log) for log in row.logs)]
        if not rows:
            return
        folder = self._folder.parent / "closed"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            text = Snapshot.of(self._entry, rows, closed=True).to_json()
            write_private(folder / f"{self._folder.name}.json", text)
            _keep_newest(folder)
        except OSError as error:
            self._complain(error)

    # --- in helper threads ---------------------------------------------------------------

    def _write(self, picture: Picture, *, closed: bool = False) -> None:
        with self._lock:  # one after another: a write outlasts the task that asked for it
            if picture == self._seen and not closed:
                return
            jobs, situation = self._seen = picture
            self._rows = self._newest(jobs)
            told = Snapshot.of(self._entry, self._rows, situation=situation, closed=closed)
            text = told.to_json()
            try:
                write_private(self._folder / FILE, text)
            except OSError as error:
                self._complain(error)

    def _newest(self, jobs: Sequence[JobRecord]) -> tuple[JobRow, ...]:
        now = round(time.time(), 1)
        over = [job.key for job in jobs if job.state is JobState.ENDED]
        self._ended = {key: self._ended.get(key, now) for key in over}
        left_out = set(over[:-ENDED])
        self._paths = {job.key: self._paths_of(job) for job in jobs}
        return tuple(self._row(job) for job in jobs if job.key not in left_out)

    def _row(self, job: JobRecord) -> JobRow:
        return JobRow(
            job_id=job.job_id,
            pool=job.pool,
            state=job.state,
            reason=_reason(job),
            estimated_start=job.estimated_start,
            node=job.node,
            workers=tuple(sorted(job.workers)),
            cause=job.cause,
            exit_code=job.exit_code,
            logs=self._paths[job.key],
            submitted=self._date(job.submitted_at),
            started=self._date(job.started_at),
            expires=self._date(job.expires_at),
            ended=self._ended.get(job.key),
            restarts=job.restarts,
        )

    def _paths_of(self, job: JobRecord) -> tuple[str, ...]:
        known = self._paths.get(job.key)
        return known or tuple(str(path) for path in self._logs(job))

    def _date(self, clock: float | None) -> float | None:
        return None if clock is None else round(clock + self._since_epoch, 1)

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            logger.warning("`jobqueue jobs` will not be up to date: %s", error)
        self._complained = True

    def _picture(self) -> Picture:
        return [job.copy() for job in self._jobs()], self._situation()


def _reason(job: JobRecord) -> str:
    """Return why a job is where it is: of one that works, why it will not go on doing so."""
    if job.state not in (JobState.CONNECTED, JobState.DRAINING):
        return job.reason
    expires = "its time is nearly over" if job.expiring else ""
    return job.leaves or expires or ("no longer wanted" if job.unwanted else "")


def _keep_newest(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in files[:-CLOSED]:
        with contextlib.suppress(OSError):
            path.unlink()
