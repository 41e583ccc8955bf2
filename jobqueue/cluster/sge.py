"""`SGECluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class SGECluster(BatchCluster):
    """A cluster whose jobs Grid Engine runs.

    What is not given here comes from the section ``sge`` of jobqueue.yaml, and what is not there
    from the defaults. A job gets more than one slot only in a parallel environment, whose name is
    the site's: ``qconf -spl`` lists them.

    Examples
    --------
    >>> from jobqueue import Client, SGECluster
    >>> with SGECluster(
    ...     cores=8, memory="32GB", job_extra_directives=["-pe smp 8", "-l h_vmem=4G"]
    ... ) as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=4)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "sge"
