"""`MoabCluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class MoabCluster(BatchCluster):
    """A cluster whose jobs Moab runs, above TORQUE.

    What is not given here comes from the section ``moab`` of jobqueue.yaml, and what is not there
    from the defaults.

    Examples
    --------
    >>> from jobqueue import Client, MoabCluster
    >>> with MoabCluster(cores=24, memory="100GB", processes=6) as cluster:  # doctest: +SKIP
    ...     cluster.scale(10)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "moab"
