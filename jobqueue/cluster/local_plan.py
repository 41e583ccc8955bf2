"""A cluster whose jobs are processes of this machine."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.pool import Limits
from jobqueue.cluster.process_launcher import ProcessLauncher
from jobqueue.comm.credentials import Credentials
from jobqueue.worker.limits import available_cpus

SOCKET = "scheduler"


class LocalPlan:
    """The plan of a LocalCluster: a Unix socket in a folder of mode 0700, one worker per job.

    Parameters
    ----------
    name
        The cluster's name.
    spec
        One worker.
    """

    credentials: Credentials | None = None
    ledger = None
    """Processes of this machine end with the cluster, and nobody has to look for them."""

    def __init__(self, name: str, spec: JobSpec) -> None:
        self.name = name
        self.spec = spec
        self.size = JobSize.of(spec)
        self.limits = Limits()
        self.most_jobs = max(1, available_cpus() // spec.cores)
        self._folder: Path | None = None

    def open(self) -> None:
        """Make the folder of socket and logs, and of what workers put on disk.

        In the folder for temporary files, because the path of a socket has to be short.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="jobqueue-"))
        if self.spec.local_directory is None:
            self.spec = dataclasses.replace(self.spec, local_directory=str(self._folder))

    def listen(self) -> tuple[str, ...]:
        """Return the socket."""
        return (f"unix://{self._folder or ''}/{SOCKET}",)

    def contact(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Return the scheduler's addresses."""
        return tuple(addresses)

    def launcher(self, addresses: Sequence[str]) -> ProcessLauncher:
        """Return the launcher that starts workers as processes."""
        assert self._folder is not None, "open() comes first"
        return ProcessLauncher(
            self.name, lambda job_id: self._argv(addresses, job_id), self._folder
        )

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return the command of a worker."""
        return shlex.join(self._argv(addresses, f"{self.name}-1"))

    def _argv(self, addresses: Sequence[str], job_id: str) -> list[str]:
        return self.spec.agent_command(
            addresses, credentials=None, job_id=job_id, name=job_id
        ).argv()

    def close(self, *, orderly: bool) -> None:
        """Remove the folder; keep it for the logs after a disorderly end."""
        if orderly and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
