"""`SLURMCluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class SLURMCluster(BatchCluster):
    """A cluster whose jobs Slurm runs.

    What is not given here comes from the section ``slurm`` of jobqueue.yaml, and what is not there
    from the defaults.

    Examples
    --------
    >>> from jobqueue import Client, SLURMCluster
    >>> with SLURMCluster(cores=24, memory="100GB", queue="regular") as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=4)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "slurm"
