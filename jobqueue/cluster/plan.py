"""What distinguishes kinds of clusters; batch_plan.py and local_plan.py fill it in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jobqueue.cluster.launcher import Launcher
from jobqueue.comm.credentials import Credentials


class Plan(Protocol):
    """How a cluster listens, and what its jobs are.

    Attributes
    ----------
    name
        The cluster's name.
    workers_per_job, cores_per_job, memory_per_job
        What one job brings; memory in bytes.
    credentials
        What peers of the cluster prove themselves with, once `open` was called; None where the
        transport needs none.
    """

    name: str
    workers_per_job: int
    cores_per_job: int
    memory_per_job: int
    credentials: Credentials | None

    def open(self) -> None:
        """Make the folders and files that the cluster needs; blocks."""

    def listen(self) -> tuple[str, ...]:
        """Return the addresses that the scheduler is to listen on."""

    def contact(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Return the addresses that workers are given, from those the scheduler knows of."""

    def launcher(self, addresses: Sequence[str]) -> Launcher:
        """Return what starts the jobs, whose workers find the scheduler at these addresses."""

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return what a job runs, for people."""

    def close(self, *, orderly: bool) -> None:
        """Remove what `open` made; after a disorderly end, keep what may be needed; blocks."""
