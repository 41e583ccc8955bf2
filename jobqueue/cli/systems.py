"""Which cluster suits this machine: the batch systems that the command line knows, as a table."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobqueue.config.keywords import keywords_of


class System(NamedTuple):
    """One choice of ``--cluster``.

    Parameters
    ----------
    name
        As it is typed.
    title
        As it is called in sentences.
    command
        The command whose presence tells that it is there; "" if it always is.
    home, kind
        Module and name of its cluster class.
    section
        Its section of jobqueue.yaml, "" if it reads none.
    """

    name: str
    title: str
    command: str
    home: str
    kind: str
    section: str

    def make(self, **keywords: Any) -> Any:
        """Make the cluster; its name is its jobs' name as well."""
        if self.section:
            keywords["job_name"] = keywords.pop("name")
        return getattr(importlib.import_module(self.home), self.kind)(**keywords)

    def introduction(self) -> str:
        """Say through what jobs go."""
        if self.command:
            path = shutil.which(self.command) or f"{self.command}, which is not on PATH"
            return f"Jobs go through {self.title}: {path}"
        if self.name == "local":
            return "No jobs: LocalCluster starts workers as processes of this machine."
        return (
            "Jobs go through the embedded batch system: scripts and commands are Slurm's, and each "
            "job is a process of this machine."
        )


SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (
        System("slurm", "Slurm", "sbatch", "jobqueue.cluster.slurm", "SLURMCluster", "slurm"),
        System("pbs", "PBS", "qsub", "jobqueue.cluster.pbs", "PBSCluster", "pbs"),
        System("sge", "Grid Engine", "qsub", "jobqueue.cluster.sge", "SGECluster", "sge"),
        System("lsf", "LSF", "bsub", "jobqueue.cluster.lsf", "LSFCluster", "lsf"),
        System("oar", "OAR", "oarsub", "jobqueue.cluster.oar", "OARCluster", "oar"),
        System(
            "htcondor",
            "HTCondor",
            "condor_submit",
            "jobqueue.cluster.htcondor",
            "HTCondorCluster",
            "htcondor",
        ),
        System("moab", "Moab", "msub", "jobqueue.cluster.moab", "MoabCluster", "moab"),
        System("local", "LocalCluster", "", "jobqueue.cluster.local", "LocalCluster", ""),
        System(
            "embedded",
            "the embedded batch system",
            "",
            "jobqueue.cluster.embedded",
            "EmbeddedCluster",
            "slurm",
        ),
    )
}

FOUND_BY_ITSELF = ("slurm", "sge", "pbs", "lsf", "oar", "htcondor", "moab")
"""In this order: sites with Slurm often have wrappers named `qsub`, hardly ever the reverse."""


def find(
    choice: str = "auto",
    *,
    which: Callable[[str], str | None] = shutil.which,
    environment: Mapping[str, str] = os.environ,
) -> System:
    """Return the system to use, as far as commands on PATH tell.

    Parameters
    ----------
    choice
        One of `SYSTEMS`, or ``auto``.
    which
        Returns the path of a command, None if there is none.
    environment
        Variables; Grid Engine, whose `qsub` is another, gives itself away by ``SGE_ROOT``, or by
        its command `qconf`.

    Examples
    --------
    >>> find(which={"qsub": "/opt/pbs/bin/qsub"}.get, environment={}).name
    'pbs'
    >>> find(which={}.get).name
    'embedded'
    """
    return candidates(choice, which=which, environment=environment)[0]


def candidates(
    choice: str = "auto",
    *,
    which: Callable[[str], str | None] = shutil.which,
    environment: Mapping[str, str] = os.environ,
) -> list[System]:
    """Return the systems that may be used, best first; there is one at least.

    Parameters
    ----------
    choice, which, environment
        As for `find`.

    Examples
    --------
    >>> [system.name for system in candidates(which={"sbatch": "/usr/bin/sbatch"}.get)]
    ['slurm', 'embedded']
    """
    if choice != "auto":
        return [SYSTEMS[choice]]
    qsub_of = "sge" if "SGE_ROOT" in environment or which("qconf") else "pbs"
    names = [
        name
        for name in FOUND_BY_ITSELF
        if which(SYSTEMS[name].command) and (SYSTEMS[name].command != "qsub" or name == qsub_of)
    ]
    return [SYSTEMS[name] for name in (*names, "embedded")]


def of_section(section: str) -> str:
    """Return the batch system that a section of jobqueue.yaml is for, "" if it does not tell.

    It does by its own name, or by that of a section that it extends.
    """
    from jobqueue.config.keywords import SYSTEMS as SECTIONS
    from jobqueue.config.load import load
    from jobqueue.config.merge import chain
    from jobqueue.config.sections import section_key

    name = section_key(section)
    names = chain(section, name if name in SECTIONS else None, load())
    return next((name for name in names if name in SECTIONS), "")


def keywords(system: System, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cluster is told, from what was typed.

    Parameters
    ----------
    system
        The choice.
    options
        ``cores``, ``memory``, ``queue``, ...; what is None is left to jobqueue.yaml.

    Examples
    --------
    >>> options = {"cores": 1, "memory": "1GB", "queue": None, "walltime": "00:10:00"}
    >>> keywords(SYSTEMS["local"], options)
    {'n_workers': 0, 'threads_per_worker': 1, 'memory_limit': '1GB'}
    >>> keywords(SYSTEMS["slurm"], options)
    {'cores': 1, 'memory': '1GB', 'walltime': '00:10:00'}
    """
    if not system.section:
        return {
            "n_workers": 0,
            "threads_per_worker": options["cores"],
            "memory_limit": options["memory"],
        }
    known = keywords_of(system.section)
    told = {name: options.get(name) for name in ("cores", "memory", "queue", "account", "walltime")}
    if "account" not in known and "project" in known:
        told["project"] = told.pop("account")
    told["config_name"] = options.get("config_name")
    return {name: value for name, value in told.items() if value is not None}
