"""`Pool`: what users hold of one pool of a cluster; all it does, the cluster does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobqueue.cluster.cluster import Cluster
    from jobqueue.cluster.jobs import JobRecord


class Pool:
    """Identical jobs inside a cluster, scaled by themselves.

    `Cluster.pools` holds them by name.

    Parameters
    ----------
    cluster
        The cluster.
    name
        The pool's name.

    Examples
    --------
    >>> gpus = cluster.add_pool("gpu", cores=8, resources={"GPU": 2})  # doctest: +SKIP
    >>> gpus.scale(jobs=2)  # doctest: +SKIP
    >>> client.submit(train, pool="gpu")  # doctest: +SKIP
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self.name = name

    def __repr__(self) -> str:
        """``<Pool gpu: 2 workers; 1 job pending: slurm 77 PENDING (Resources)>``."""
        return f"<Pool {self.name}: {self.describe()}>"

    @property
    def jobs(self) -> list[JobRecord]:
        """Its jobs, oldest first, those that ended included: a snapshot."""
        return [job for job in self._cluster.jobs if job.pool == self.name]

    def scale(self, n: int | None = None, **amounts: Any) -> None:
        """Set how much is wanted of this pool: as `Cluster.scale`."""
        self._cluster.scale(n, pool=self.name, **amounts)

    def adapt(self, **keywords: Any) -> None:
        """Let this pool follow the load: as `Cluster.adapt`."""
        self._cluster.adapt(pool=self.name, **keywords)

    def resume(self) -> None:
        """Submit again after a pause."""
        self._cluster.resume(pool=self.name)

    def describe(self) -> str:
        """Return one line about why it has as many workers as it has."""
        return self._cluster.describe(pool=self.name)

    def job_script(self) -> str:
        """Return the script that is submitted for each of its jobs."""
        return self._cluster.job_script(pool=self.name)
