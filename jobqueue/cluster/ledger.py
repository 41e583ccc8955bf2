"""The ledger: which jobs a cluster has submitted, on disk, so that none outlives a crash unnoticed.

One folder per cluster, of mode 0700, below the state folder (``$JOBQUEUE_STATE_DIRECTORY``, else
``$XDG_STATE_HOME/jobqueue``, else ``~/.local/state/jobqueue``).  It also holds what the cluster's
jobs read and write: job scripts, credentials, logs; if nodes do not see it, that lies in another
folder, of which the ledger tells.  ``ledger.json`` in it is replaced as a whole,
so that a reader never meets half of it, and is written *before* each submission (a mark by which
the jobs can be found) and after it (their ids).  An orderly end removes the folder.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jobqueue.comm.scheduler_file import state_directory
from jobqueue.errors import ConfigError

FILE = "ledger.json"
VERSION = 1

KEPT = 7 * 86400.0
"""Seconds for which a folder without jobs is kept after its owner's end: somebody may read logs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that no later process is taken for it.

    Parameters
    ----------
    host
        Its machine.
    boot_id
        That machine's current boot.
    pid, started
        The process, and when it started in clock ticks after the boot.
    """

    host: str
    boot_id: str
    pid: int
    started: int

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        return cls(socket.gethostname(), _boot_id(), os.getpid(), _started(os.getpid()) or 0)

    def alive(self) -> bool | None:
        """Tell whether the process still runs; None if that cannot be seen from this machine."""
        if self.host != socket.gethostname():
            return None
        return self.boot_id == _boot_id() and _started(self.pid) == self.started


@dataclasses.dataclass(slots=True)
class Entry:
    """What one ledger says.

    Parameters
    ----------
    cluster
        The cluster's name.
    system
        The batch system its jobs are in.
    directives
        Directives of its jobs, of which some concern cancelling as well (`-M galaxy`).
    prefix
        Words before each of the batch system's commands.
    owner
        The process that submitted them.
    created
        When, in seconds since 1970.
    jobs
        Ids of jobs that may exist.
    doubts
        Marks of submissions whose outcome is not known.
    keywords
        Keywords of this batch system alone, of which some concern cancelling as well.
    pools
        The pool of each job.
    shared
        The folder that nodes see, with what jobs read and write; "" if that is the ledger's own.
    closed
        Whether the cluster ended in order, and its folder is there for its logs alone.
    """

    cluster: str
    system: str
    directives: tuple[str, ...]
    prefix: tuple[str, ...]
    owner: Owner
    created: float
    jobs: list[str] = dataclasses.field(default_factory=list)
    doubts: list[str] = dataclasses.field(default_factory=list)
    keywords: dict[str, Any] = dataclasses.field(default_factory=dict)
    pools: dict[str, str] = dataclasses.field(default_factory=dict)
    shared: str = ""
    closed: bool = False

    @property
    def settled(self) -> bool:
        """Whether no job of it may exist."""
        return not self.jobs and not self.doubts

    def to_json(self) -> str:
        """Return the entry as text."""
        return json.dumps({"version": VERSION, **dataclasses.asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Read what `to_json` wrote; ValueError for anything else."""
        try:
            fields: dict[str, Any] = json.loads(text)
            version = fields.pop("version")
            if version != VERSION:
                raise ValueError(f"a ledger of version {version}; this program reads {VERSION}")
            fields["owner"] = Owner(**fields["owner"])
            fields["directives"] = tuple(fields["directives"])
            fields["prefix"] = tuple(fields["prefix"])
            return cls(**fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a ledger: {error!r}") from error


class Ledger:
    """The ledger of one cluster.

    Parameters
    ----------
    folder
        The cluster's own folder; `Ledger.create` makes one.
    entry
        What it says.
    """

    def __init__(self, folder: Path, entry: Entry) -> None:
        self.folder = folder
        self.entry = entry
        self._lock = threading.Lock()  # written by helper threads of one event loop

    def __repr__(self) -> str:
        """``<Ledger /home/u/.local/state/jobqueue/dask-worker-3f2a91: 4 jobs>``."""
        return f"<Ledger {self.folder}: {len(self.entry.jobs)} jobs>"

    @classmethod
    def create(
        cls,
        *,
        cluster: str,
        system: str,
        directives: Iterable[str] = (),
        keywords: Mapping[str, Any] | None = None,
        prefix: Iterable[str] = (),
        parent: Path | None = None,
    ) -> Ledger:
        """Make a cluster's folder, and its empty ledger.

        Raises
        ------
        ConfigError
            The folder cannot be made.
        """
        parent = parent or state_directory()
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in cluster).lstrip(".")
        folder = parent / f"{safe or 'cluster'}-{secrets.token_hex(4)}"
        entry = Entry(
            cluster,
            system,
            tuple(directives),
            tuple(prefix),
            Owner.me(),
            created=time.time(),
            keywords=dict(keywords or {}),
        )
        ledger = cls(folder, entry)
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            ledger._write()
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise ConfigError(
                f"the state folder {parent} cannot be used: {error.strerror}; set "
                "JOBQUEUE_STATE_DIRECTORY to a folder that all nodes see, with some space left"
            ) from error
        _sweep(parent)
        return ledger

    @classmethod
    def load(cls, folder: Path) -> Ledger:
        """Read the ledger of another process; OSError or ValueError if there is none."""
        return cls(folder, Entry.from_json((folder / FILE).read_text()))

    @property
    def shared(self) -> Path:
        """The folder with what jobs read and write."""
        return Path(self.entry.shared) if self.entry.shared else self.folder

    def share(self, folder: Path) -> None:
        """Note that what jobs read and write lies in a folder of its own; it goes with this one."""
        with self._lock:
            self.entry.shared = str(folder)
            self._write()

    def submitting(self, tag: str) -> None:
        """Note, before a submission, the mark by which its jobs can be found."""
        with self._lock:
            self.entry.doubts.append(tag)
            self._write()

    def submitted(self, tag: str, job_ids: Iterable[str], *, pool: str = "default") -> None:
        """Note what came of it: the jobs of this pool that exist now."""
        with self._lock:
            accepted = list(job_ids)
            self.entry.jobs += accepted
            self.entry.pools |= dict.fromkeys(accepted, pool)
            if tag in self.entry.doubts:
                self.entry.doubts.remove(tag)
            self._write()

    def ended(self, job_ids: Iterable[str]) -> None:
        """Strike out jobs that are over."""
        over = set(job_ids)
        with self._lock:
            if over.intersection(self.entry.jobs):
                self.entry.jobs = [job_id for job_id in self.entry.jobs if job_id not in over]
                self.entry.pools = {
                    i: pool for i, pool in self.entry.pools.items() if i not in over
                }
                self._write()

    def keep(self) -> None:
        """Note an orderly end, after which scripts and logs stay for whoever wants to read them."""
        with self._lock:
            self.entry.closed = True
            self._write()
            shutil.rmtree(self.shared / "credentials", ignore_errors=True)

    def cleaned(self) -> None:
        """Note that no job is left."""
        with self._lock:
            self.entry.jobs, self.entry.doubts, self.entry.pools = [], [], {}
            self._write()

    def remove(self) -> None:
        """Remove the folders with everything in them."""
        with self._lock:
            # The ledger goes last: it tells of the other one.
            shutil.rmtree(self.shared, ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        if not self.folder.is_dir():
            return  # removed: the cluster is closed
        write_private(self.folder / FILE, self.entry.to_json(), lasting=True)


def write_private(path: Path, text: str, *, lasting: bool = False) -> None:
    """Replace a file of mode 0600 as a whole, so that a reader never meets half of it.

    Parameters
    ----------
    path, text
        The file, and what is to be in it.
    lasting
        Whether it has to survive a crash of the machine from here on.
    """
    temporary = path.with_name(f"{path.name}.new")
    with open(temporary, "w", opener=_private) as file:
        file.write(text)
        file.flush()
        if lasting:
            os.fsync(file.fileno())
    temporary.replace(path)


def list_ledgers(parent: Path | None = None) -> list[Ledger]:
    """Return all ledgers below the state folder, oldest first; what cannot be read is left out."""
    found = []
    parent = parent or state_directory()
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        try:
            found.append(Ledger.load(folder))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda ledger: ledger.entry.created)


def orphaned(parent: Path | None = None) -> list[Ledger]:
    """Return the ledgers whose owner is known to be gone."""
    return [ledger for ledger in list_ledgers(parent) if ledger.entry.owner.alive() is False]


def _sweep(parent: Path) -> None:
    """Remove what clusters that failed have left for their users to read, when it is old."""
    for ledger in orphaned(parent):
        entry = ledger.entry
        if entry.settled and time.time() - entry.created > KEPT:
            ledger.remove()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Return a process's start time in clock ticks after the boot; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # its name may hold blanks and brackets
    return None if state in "ZX" else int(fields[18])
