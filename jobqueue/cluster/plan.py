"""What distinguishes kinds of clusters; batch_plan.py and local_plan.py fill it in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.launcher import Launcher
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.pool import Limits
from jobqueue.comm.credentials import Credentials


class Plan(Protocol):
    """How a cluster listens, and what its jobs are.

    Attributes
    ----------
    name
        The cluster's name.
    size
        What one job brings.
    limits
        What is asked of whoever starts the jobs at the most.
    most_jobs
        How many jobs there may be of a cluster that adapts, unless its user says.
    credentials
        What peers of the cluster prove themselves with, once `open` was called; None where the
        transport needs none.
    """

    name: str
    size: JobSize
    limits: Limits
    most_jobs: int
    credentials: Credentials | None

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of its jobs, once `open` was called; None where there is no batch system."""

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
