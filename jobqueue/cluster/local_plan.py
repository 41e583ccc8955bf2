"""A cluster whose jobs are processes of this machine."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.limits import UNLIMITED
from jobqueue.cluster.local_folder import LocalFolder
from jobqueue.cluster.plan import DEFAULT, check_free
from jobqueue.cluster.process_launcher import ProcessLauncher
from jobqueue.comm.credentials import Credentials
from jobqueue.config.values import pool_name
from jobqueue.errors import ConfigError
from jobqueue.worker.limits import available_cpus

SOCKET = "scheduler"
CREDENTIALS = "credentials"


class LocalPool:
    """The plan of one pool of a LocalCluster: one worker per job.

    Parameters
    ----------
    title
        What the ids of its jobs begin with.
    spec
        One worker.
    """

    limits = UNLIMITED
    margin: float | None = None

    def __init__(self, title: str, spec: JobSpec) -> None:
        self.title = title
        self.spec = spec
        self.name = spec.pool
        self.size = JobSize.of(spec)
        self.most_jobs = max(1, available_cpus() // spec.cores)
        self._folder: Path | None = None
        self._credentials: str | None = None

    def __repr__(self) -> str:
        """``<LocalPool local>``."""
        return f"<LocalPool {self.title}>"

    def settle(self, folder: Path, credentials: Path | None = None) -> None:
        """Take a folder for logs, and for what workers put on disk; and one with credentials."""
        self._folder = folder
        self._credentials = None if credentials is None else str(credentials)
        if self.spec.local_directory is None:
            self.spec = dataclasses.replace(self.spec, local_directory=str(folder))

    def launcher(self, addresses: Sequence[str]) -> ProcessLauncher:
        """Return the launcher that starts workers as processes."""
        assert self._folder is not None, "settle() comes first"
        return ProcessLauncher(
            self.title, lambda job_id: self._argv(addresses, job_id), self._folder
        )

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return the command of a worker."""
        return shlex.join(self._argv(addresses, f"{self.title}-1"))

    def _argv(self, addresses: Sequence[str], job_id: str) -> list[str]:
        return self.spec.agent_command(
            addresses, credentials=self._credentials, job_id=job_id, name=job_id
        ).argv()


class LocalPlan:
    """The plan of a LocalCluster: a Unix socket in a folder of mode 0700, or what its user names.

    Parameters
    ----------
    name
        The cluster's name.
    spec
        One worker of the first pool.
    make
        Returns a worker of another pool, given its keywords.
    address
        Where the scheduler is to listen instead, in a network.
    credentials
        What peers prove themselves with there; by default made anew.
    """

    ledger = None
    """Processes of this machine end with the cluster, and nobody has to look for them."""

    def __init__(
        self,
        name: str,
        spec: JobSpec,
        make: Callable[[Mapping[str, Any]], JobSpec],
        *,
        address: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.name = name
        self.credentials = credentials if address is not None else None
        self._address = address
        self.limits = UNLIMITED
        self.pools = {DEFAULT: LocalPool(name, spec)}
        self._make = make
        self._folder: LocalFolder | None = None

    def make_pool(self, name: str, keywords: Mapping[str, Any]) -> LocalPool:
        """Make another pool; `take` has it count."""
        try:
            pool_name(name)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        check_free(name, self.pools)
        spec = dataclasses.replace(self._make(keywords), pool=name)
        pool = LocalPool(f"{self.name}-{name}", spec)
        if self._folder is not None:
            pool.settle(self._folder.path, self._for_workers)
        return pool

    def take(self, pool: LocalPool) -> None:
        """Count a pool among those there are."""
        check_free(pool.name, self.pools)
        self.pools[pool.name] = pool

    def open(self) -> None:
        """Make the folder of socket and logs, and of what workers put on disk."""
        self._folder = LocalFolder()
        if self._address is not None:
            self.credentials = self.credentials or Credentials.create(self.name)
            self.credentials.others["worker"].save(self._folder.path / CREDENTIALS)
        for pool in self.pools.values():
            pool.settle(self._folder.path, self._for_workers)

    @property
    def _for_workers(self) -> Path | None:
        """The folder with the workers' credentials, if they need any."""
        if self._folder is None or self._address is None:
            return None
        return self._folder.path / CREDENTIALS / "worker"

    def listen(self) -> tuple[str, ...]:
        """Return the socket, or the address that was named."""
        folder = "" if self._folder is None else self._folder.path
        return (self._address or f"unix://{folder}/{SOCKET}",)

    def contact(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Return the scheduler's addresses."""
        return tuple(addresses)

    def close(self, *, keep: str = "") -> None:
        """Remove the folder, or keep it for the logs."""
        if self._folder is not None:
            self._folder.close(keep=bool(keep))
            self._folder = None
