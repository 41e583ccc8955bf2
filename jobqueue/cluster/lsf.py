"""`LSFCluster`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jobqueue.batch.lsf import units_in
from jobqueue.cluster.batch_cluster import BatchCluster


class LSFCluster(BatchCluster):
    """A cluster whose jobs LSF runs.

    What is not given here comes from the section ``lsf`` of jobqueue.yaml, and what is not there
    from the defaults.

    Examples
    --------
    >>> from jobqueue import Client, LSFCluster
    >>> with LSFCluster(cores=10, memory="165GB", ncpus=11) as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=4)
    ...     print(Client(cluster).submit(sum, [1, 2, 3]).result())
    6
    """

    system = "lsf"

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take the unit of memory limits from the site's lsf.conf, if nobody gives it."""
        return {**values, "lsf_units": values.get("lsf_units") or _site_units()}


def _site_units() -> str:
    folder = os.environ.get("LSF_ENVDIR", "/etc")
    try:
        return units_in((Path(folder) / "lsf.conf").read_text(errors="replace"))
    except OSError:
        return units_in("")
