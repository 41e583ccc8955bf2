"""`PBSCluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class PBSCluster(BatchCluster):
    """A cluster whose jobs PBS runs: OpenPBS, PBS Professional, TORQUE.

    What is not given here comes from the section ``pbs`` of jobqueue.yaml, and what is not there
    from the defaults. Whether it is TORQUE, which wants resources and arrays written otherwise, is
    found out before the first submission; ``job_script()`` shows it from then on.

    Examples
    --------
    >>> from jobqueue import Client, PBSCluster
    >>> with PBSCluster(cores=24, memory="100GB", processes=6) as cluster:  # doctest: +SKIP
    ...     cluster.scale(10)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "pbs"
