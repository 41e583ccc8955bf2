"""`HTCondorCluster`."""

from __future__ import annotations

from jobqueue.cluster.batch_cluster import BatchCluster


class HTCondorCluster(BatchCluster):
    """A cluster whose jobs HTCondor runs.

    What is not given here comes from the section ``htcondor`` of jobqueue.yaml, and what is not
    there from the defaults. The nodes have to have Python, of the version here, and jobqueue: by
    the same path, or by that which ``python`` names. Where they share no file system with this
    machine, HTCondor takes the cluster's credentials there and brings the logs back while jobs run;
    your own files travel as ``job_extra_directives={"transfer_input_files": ...}`` says. HTCondor
    does not let root submit.

    Examples
    --------
    >>> from jobqueue import Client, HTCondorCluster
    >>> with HTCondorCluster(cores=4, memory="16GB", disk="10GB") as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=4)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "htcondor"
