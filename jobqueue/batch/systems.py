"""The batch systems we know, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.htcondor import HTCondorAdapter
from jobqueue.batch.lsf import LSFAdapter
from jobqueue.batch.moab import MoabAdapter
from jobqueue.batch.oar import OARAdapter
from jobqueue.batch.pbs import PBSAdapter
from jobqueue.batch.sge import SGEAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.errors import ConfigError

ADAPTERS: Mapping[str, BatchAdapter] = {
    adapter.name: adapter
    for adapter in (
        SlurmAdapter(),
        PBSAdapter(),
        SGEAdapter(),
        LSFAdapter(),
        OARAdapter(),
        HTCondorAdapter(),
        MoabAdapter(),
    )
}


def adapter_for(name: str, directives: Sequence[str] = ()) -> BatchAdapter:
    """Return the adapter of a batch system.

    Parameters
    ----------
    name
        `slurm`, `pbs`, `sge`, ...
    directives
        The job's extra directives, some of which concern more than its submission.

    Raises
    ------
    ConfigError
        There is no such batch system.

    Examples
    --------
    >>> adapter_for("slurm", ["-M galaxy"]).cancel_argv(["7"])
    ('scancel', '--clusters=galaxy', '7')
    """
    try:
        return ADAPTERS[name].with_directives(directives)
    except KeyError:
        known = ", ".join(ADAPTERS)
        raise ConfigError(f"no batch system {name!r}; known are {known}") from None
