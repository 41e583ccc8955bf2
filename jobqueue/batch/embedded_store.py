"""The embedded batch system's memory: one small file per job, in a folder of mode 0700.

Commands and daemon know of each other only through this folder.  A job's file is replaced as a
whole; ids are given out, and the daemon ends, under one lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from jobqueue.errors import BatchSystemError

REMEMBERED = 600.0
"""Seconds for which an ended job is shown."""

ENDED = frozenset({"COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"})


@dataclasses.dataclass(slots=True)
class StoredJob:
    """One job, or one element of an array.

    Parameters
    ----------
    number
        Its own number.
    array, index
        For an element: the array's number, and which one it is.
    name, partition, comment, cpus, time_limit
        What its directives asked for; the limit in seconds, None for none.
    script
        The text of the job script.
    stdout, stderr
        Paths with all patterns replaced.
    folder, environment
        Where it was submitted, and what the job script gets to see of that.
    state, reason, node, pid, exit_code, signal
        How it is, in Slurm's words.
    submitted, started, ended
        Seconds since 1970; 0 if it has not come to that.
    """

    number: int
    array: int | None
    index: int | None
    name: str
    partition: str
    comment: str
    cpus: int
    time_limit: float | None
    script: str
    stdout: str
    stderr: str
    folder: str
    environment: dict[str, str]
    submitted: float
    state: str = "PENDING"
    reason: str = "None"
    node: str = ""
    pid: int = 0
    exit_code: int = 0
    signal: int = 0
    started: float = 0.0
    ended: float = 0.0

    @property
    def job_id(self) -> str:
        """``5``, or ``5_3`` for an element of an array."""
        return str(self.number) if self.array is None else f"{self.array}_{self.index}"

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED


class Store:
    """The folder.

    Parameters
    ----------
    folder
        By default ``$JOBQUEUE_EMBEDDED_DIRECTORY``, else one in the folder for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = Path(tempfile.gettempdir()) / f"jobqueue-embedded-{os.getuid()}"
        self.folder = folder or Path(os.environ.get("JOBQUEUE_EMBEDDED_DIRECTORY") or default)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.folder.stat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise BatchSystemError(
                f"{self.folder} is open to others; remove it, or set JOBQUEUE_EMBEDDED_DIRECTORY"
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which ids are given out and the daemon ends."""
        with open(self.folder / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def next_numbers(self, count: int) -> int:
        """Return the first of ``count`` numbers that nobody else gets; hold the lock."""
        counter = self.folder / "counter"
        first = int(counter.read_text()) if counter.exists() else 1
        counter.write_text(str(first + count))
        return first

    def jobs(self) -> list[StoredJob]:
        """Return all jobs, oldest first."""
        found = []
        for path in self.folder.glob("job-*.json"):
            with contextlib.suppress(FileNotFoundError):  # forgotten this moment
                found.append(StoredJob(**json.loads(path.read_text())))
        return sorted(found, key=lambda job: job.number)

    def write(self, job: StoredJob) -> None:
        """Write a job's file."""
        path = self._path(job)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(dataclasses.asdict(job)))
        temporary.replace(path)

    def forget(self, job: StoredJob) -> None:
        """Remove a job's files."""
        self._path(job).unlink(missing_ok=True)
        self._cancel_mark(job).unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Remove the files of jobs that ended long ago."""
        for job in self.jobs():
            if job.over and time.time() - job.ended > REMEMBERED:
                self.forget(job)

    def ask_to_cancel(self, job: StoredJob) -> None:
        """Leave word for the daemon."""
        self._cancel_mark(job).touch()

    def cancel_asked(self, job: StoredJob) -> bool:
        """Tell whether somebody wants this job's end."""
        return self._cancel_mark(job).exists()

    def _path(self, job: StoredJob) -> Path:
        return self.folder / f"job-{job.number}.json"

    def _cancel_mark(self, job: StoredJob) -> Path:
        return self.folder / f"cancel-{job.number}"
