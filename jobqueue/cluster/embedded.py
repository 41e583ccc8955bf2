"""`EmbeddedCluster`: for a machine without a batch system, and yet with job scripts and jobs."""

from __future__ import annotations

from jobqueue.batch.embedded import PREFIX
from jobqueue.cluster.slurm import SLURMCluster


class EmbeddedCluster(SLURMCluster):
    """A `SLURMCluster` whose jobs run on this machine.

    Job script, submission, queries and cancellation are those of Slurm; its commands are answered
    by `jobqueue.batch.embedded`, which runs up to four jobs at a time.

    Examples
    --------
    >>> from jobqueue.cluster.embedded import EmbeddedCluster
    >>> with EmbeddedCluster(cores=1, memory="1GB") as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=2)
    """

    command_prefix = PREFIX
