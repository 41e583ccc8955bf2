"""`OARCluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class OARCluster(BatchCluster):
    """A cluster whose jobs OAR runs.

    What is not given here comes from the section ``oar`` of jobqueue.yaml, and what is not there
    from the defaults. OAR gives jobs cores, and the memory that belongs to them: sites whose nodes
    differ have a property for it (``memory_per_core_property_name``).

    Examples
    --------
    >>> from jobqueue import Client, OARCluster
    >>> with OARCluster(cores=8, memory="32GB", project="grid") as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=4)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "oar"
