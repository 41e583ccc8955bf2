"""One pool of a cluster on a batch system: its job script, and where its jobs write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobqueue.batch.base import BatchAdapter
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.batch_launcher import BatchLauncher
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.limits import UNLIMITED, Limits
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError

MOST_JOBS = 100
"""Jobs of a pool that adapts to any load: more than that somebody should have asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """What a pool has of its cluster, once that was opened.

    Parameters
    ----------
    source
        The batch system, shared by all pools that ask the same of it. Its ids tell their jobs
        apart, and no others.
    ledger
        Where their submissions are noted; it knows the folder for what the jobs read and write.
    """

    source: BatchSystem
    ledger: Ledger

    @property
    def shared(self) -> Path:
        """The folder that the nodes see."""
        return self.ledger.shared


class BatchPool:
    """The plan of one pool.

    Parameters
    ----------
    name
        The pool's name.
    values
        Keyword -> value, as `jobqueue.config.resolve` leaves them.
    adapter
        The batch system.
    limits
        What this pool asks of it by itself at the most.

    Raises
    ------
    ConfigError
        Something that cannot stand in a job script, or a template with a mistake.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        adapter: BatchAdapter,
        *,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.name = name
        self.spec = JobSpec.from_values({**adapter.job_values(values), "pool": name})
        adapter = adapter.with_directives(self.spec.job_extra_directives)
        self._adapter = adapter.with_keywords(values)
        if advice := self._adapter.advice(values):
            warn(advice)
        self.size = JobSize.of(self.spec)
        self.limits = limits
        self.most_jobs: int = values.get("max_jobs") or MOST_JOBS
        self.margin: float | None = self.spec.walltime_margin
        self._home: Home | None = None
        self._launcher: BatchLauncher | None = None

    def __repr__(self) -> str:
        """``<BatchPool gpu: slurm>``."""
        return f"<BatchPool {self.name}: {self._adapter.name}>"

    @property
    def adapter(self) -> BatchAdapter:
        """The batch system, in the dialect that has turned out to be spoken here."""
        return self._adapter if self._launcher is None else self._launcher.adapter

    def settle(self, home: Home) -> None:
        """Take over what the cluster has made for its jobs; make the folder for logs.

        Raises
        ------
        ConfigError
            The folder cannot be made.
        """
        self._home = home
        if self.spec.log_directory is None:
            self.spec = dataclasses.replace(self.spec, log_directory=str(home.shared / "logs"))
        make_folder("log_directory", str(self.spec.log_directory))

    def launcher(self, addresses: Sequence[str]) -> BatchLauncher:
        """Return the launcher that submits this pool's job script."""
        assert self._home is not None, "settle() comes first"
        home = self._home
        files = JobFiles(
            render=lambda array: self._render(addresses, array=array),
            logs=lambda job_id: self.adapter.log_paths(
                job_id, job_name=self.spec.job_name, log_directory=self.spec.log_directory
            ),
            exit_record=lambda job_id: str(home.shared / "exit" / f"{job_id}.json"),
            log_directory=self.spec.log_directory,
        )
        self._launcher = BatchLauncher(
            self._adapter, files, home.ledger, home.source, pool=self.name
        )
        return self._launcher

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return the script of a single job."""
        return self._render(addresses, array=False)

    def _render(self, addresses: Sequence[str], *, array: bool) -> str:
        shared = Path("FOLDER") if self._home is None else self._home.shared
        return self.spec.render(
            self.adapter,
            addresses,
            credentials=str(shared / "credentials" / "worker"),
            array=array,
            exit_records=str(shared / "exit"),
        )


def make_folder(keyword: str, folder: str) -> None:
    """Make a folder that a keyword names, of mode 0700; ConfigError if that fails."""
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{keyword}: {folder} cannot be made: {error.strerror}") from error
