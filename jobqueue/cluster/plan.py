"""What distinguishes kinds of clusters; batch_plan.py and local_plan.py fill it in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from jobqueue.errors import ConfigError

if TYPE_CHECKING:
    from jobqueue.cluster.amounts import JobSize
    from jobqueue.cluster.launcher import Launcher
    from jobqueue.cluster.ledger import Ledger
    from jobqueue.cluster.limits import Limits
    from jobqueue.comm.credentials import Credentials

DEFAULT = "default"
"""The name of a cluster's first pool."""


class PoolPlan(Protocol):
    """What the jobs of one pool are.

    Attributes
    ----------
    name
        The pool's name.
    size
        What one job brings.
    limits
        What this pool asks of whoever starts the jobs at the most.
    most_jobs
        How many jobs there may be if it adapts, unless its user says.
    margin
        Seconds before their end in which jobs hand over; None for the usual.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> JobSize: ...  # noqa: D102
    @property
    def limits(self) -> Limits: ...  # noqa: D102
    @property
    def most_jobs(self) -> int: ...  # noqa: D102
    @property
    def margin(self) -> float | None: ...  # noqa: D102

    def launcher(self, addresses: Sequence[str]) -> Launcher:
        """Return what starts the jobs, whose workers find the scheduler at these addresses."""

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return what a job runs, for people."""


class Plan(Protocol):
    """How a cluster listens, and which pools it has.

    Attributes
    ----------
    name
        The cluster's name.
    pools
        Its pools by name, `DEFAULT` first.
    limits
        What all pools together ask of whoever starts the jobs at the most.
    credentials
        What peers of the cluster prove themselves with, once `open` was called; None where the
        transport needs none.
    """

    name: str
    limits: Limits
    credentials: Credentials | None

    @property
    def pools(self) -> Mapping[str, PoolPlan]: ...  # noqa: D102

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of its jobs, once `open` was called; None where there is no batch system."""

    def make_pool(self, name: str, keywords: Mapping[str, Any]) -> PoolPlan:
        """Make another pool of jobs, which are like those of the first but for some keywords.

        Blocks, and may be called in any thread; `take` has it count.

        Raises
        ------
        ConfigError
            The name is taken, or a keyword cannot be used.
        """

    def take(self, pool: Any) -> None:
        """Count what `make_pool` has made among the pools; ConfigError if the name is taken."""

    def open(self) -> None:
        """Make the folders and files that the cluster needs; blocks."""

    def listen(self) -> tuple[str, ...]:
        """Return the addresses that the scheduler is to listen on."""

    def contact(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Return the addresses that workers are given, from those the scheduler knows of."""

    def close(self, *, keep: str = "") -> None:
        """Remove what `open` made, unless `keep` says why somebody may want to see it; blocks."""


def check_free(name: str, pools: Collection[str]) -> None:
    """Raise ConfigError if a pool has that name."""
    if name in pools:
        raise ConfigError(f"there is a pool {name!r} already: choose another name")
