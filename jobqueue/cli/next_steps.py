"""What `jobqueue demo` says at its end: how to go on with this machine, or what to try instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobqueue.cli.systems import System

CONFIG = "~/.config/jobqueue/jobqueue.yaml"


def next_steps(system: System, keywords: Mapping[str, Any], jobs: int) -> str:
    """Return three lines of Python for this machine, and where jobqueue.yaml goes.

    Parameters
    ----------
    system
        What the demonstration ran on.
    keywords
        What its cluster was told.
    jobs
        How many jobs it had.

    Examples
    --------
    >>> from jobqueue.cli.systems import SYSTEMS
    >>> print(next_steps(SYSTEMS["pbs"], {"cores": 1, "memory": "1GB"}, 4))
    Now yours, in Python:
    <BLANKLINE>
        from jobqueue import Client, PBSCluster
        cluster = PBSCluster(cores=1, memory="1GB"); cluster.scale(jobs=4)
        print(Client(cluster).submit(sum, [1, 2, 3]).result())
    <BLANKLINE>
    What each of your clusters is told goes into ~/.config/jobqueue/jobqueue.yaml:
    <BLANKLINE>
        jobqueue:
          pbs:
            cores: 1
            memory: 1GB
    <BLANKLINE>
    `jobqueue config pbs` shows what is read, and from where.
    """
    lines = ["Now yours, in Python:", "", *_python(system, keywords, jobs)]
    if system.name == "embedded":
        lines += [
            "",
            "Where there is a batch system, the same with SLURMCluster or PBSCluster; what each of "
            f"your clusters is told goes into {CONFIG} there.",
        ]
    elif system.section:
        section = keywords.get("config_name") or system.section
        told = {name: value for name, value in keywords.items() if name != "config_name"}
        lines += ["", f"What each of your clusters is told goes into {CONFIG}:", ""]
        lines += ["    jobqueue:", f"      {section}:"]
        lines += [f"        {name}: {value}" for name, value in told.items()]
        lines += ["", f"`jobqueue config {section}` shows what is read, and from where."]
    return "\n".join(lines)


def _python(system: System, keywords: Mapping[str, Any], jobs: int) -> list[str]:
    kind = system.kind
    arguments = ", ".join(f"{name}={_literal(value)}" for name, value in keywords.items())
    scale = f"; cluster.scale(jobs={jobs})"
    if system.name in ("embedded", "local"):
        kind, arguments, scale = "LocalCluster", f"n_workers={jobs}", ""
    return [
        f"    from jobqueue import Client, {kind}",
        f"    cluster = {kind}({arguments}){scale}",
        "    print(Client(cluster).submit(sum, [1, 2, 3]).result())",
    ]


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def way_out(system: System) -> str:
    """Say what else can be tried when no job of this system comes up.

    Examples
    --------
    >>> from jobqueue.cli.systems import SYSTEMS
    >>> way_out(SYSTEMS["slurm"])
    'Without Slurm: jobqueue demo --cluster embedded. In another partition: --queue NAME.'
    """
    if not system.command:
        return "With another cluster: jobqueue demo --cluster local."
    queue = "partition" if system.name == "slurm" else "queue"
    return (
        f"Without {system.title}: jobqueue demo --cluster embedded. "
        f"In another {queue}: --queue NAME."
    )
