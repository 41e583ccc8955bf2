"""The table of keywords: what a cluster can be told, as data.

One row says a keyword's name, the type its value is brought to, its default, the batch systems it
is for, and its meaning. Constructors, YAML sections and variables are all held to this table, and
the defaults stand nowhere else. A later batch system adds rows, and a line in `SYSTEMS` (rows.py).

A keyword has several rows where batch systems read its value differently (`walltime`,
`job_extra_directives`); their `systems` never overlap.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

from jobqueue.config import values
from jobqueue.config.rows import EVERY, SYSTEMS, Alias, Keyword
from jobqueue.config.units import SECONDS, Clock

__all__ = [
    "ALIASES",
    "ALL_NAMES",
    "CLOCKS",
    "EVERY",
    "KEYWORDS",
    "SYSTEMS",
    "Alias",
    "Keyword",
    "aliases_of",
    "default_of",
    "keywords_of",
]

_PBS_LIKE = ("pbs", "moab")
_QUEUES = ("pbs", "moab", "slurm", "sge", "lsf", "oar")
_ACCOUNTS = ("pbs", "moab", "slurm")

# How the batch systems read "90" and "01:30".
CLOCKS: dict[Clock, tuple[str, ...]] = {
    Clock(bare="seconds", pair="minutes"): ("pbs", "moab", "sge"),
    Clock(bare="minutes", pair="minutes"): ("slurm",),
    Clock(bare="minutes", pair="hours"): ("lsf",),
    Clock(bare="hours", pair="hours"): ("oar",),
}


def _walltime(clock: Clock, systems: tuple[str, ...]) -> Keyword:
    return Keyword(
        "walltime",
        values.walltime(clock),
        "time",
        f"how long a job may run; 90 is 90 {clock.bare}, 01:30 begins with {clock.pair}",
        default=1800,
        systems=systems,
        null="none",
    )


KEYWORDS: tuple[Keyword, ...] = (
    # What one job is.
    Keyword("cores", values.count(1), "number", "cores of one job", required=True),
    Keyword("memory", values.memory, "memory", "memory of one job", required=True),
    Keyword(
        "processes",
        values.count(1),
        "number",
        "workers of one job; each has cores // processes threads",
        default="cores if ≤ 4, else its smallest divisor ≥ √cores",
    ),
    Keyword(
        "nodes",
        values.count(1),
        "number",
        "nodes of one job; each has an equal part of its cores, memory, processes and resources",
        default=1,
    ),
    Keyword(
        "resources",
        values.amounts,
        "mapping",
        "what one job offers to tasks that ask for it (GPU: 2), in equal parts to its processes",
        default={},
    ),
    Keyword("job_name", values.text, "text", "name of the jobs", default="dask-worker"),
    Keyword("queue", values.text, "text", "queue or partition", systems=_QUEUES),
    Keyword(
        "account",
        values.text,
        "text",
        "account to charge; $PBS_ACCOUNT if unset",
        systems=_PBS_LIKE,
        variable="PBS_ACCOUNT",
    ),
    Keyword("account", values.text, "text", "account to charge", systems=("slurm",)),
    Keyword("project", values.text, "text", "project to charge", systems=("sge", "lsf", "oar")),
    *(_walltime(clock, systems) for clock, systems in CLOCKS.items()),
    Keyword(
        "walltime",
        values.walltime(SECONDS),
        "time",
        "how long a job may run; HTCondor itself has no limit",
        systems=("htcondor",),
    ),
    Keyword(
        "walltime_margin",
        values.duration,
        "time",
        "how long before its walltime a job begins to hand over; a tenth of it if unset, but 10 s "
        "to 2 min; a bare number counts seconds",
    ),
    Keyword(
        "resource_spec",
        values.text,
        "text",
        "resources in the batch system's own words, in place of those made from cores and memory",
        systems=(*_PBS_LIKE, "sge", "oar"),
    ),
    Keyword(
        "job_cpu", values.count(1), "number", "cores to ask for; cores if unset", systems=("slurm",)
    ),
    Keyword(
        "job_mem",
        values.text,
        "text",
        "memory to ask for, verbatim; memory if unset",
        systems=("slurm",),
    ),
    Keyword(
        "ncpus", values.count(1), "number", "slots to ask for; cores if unset", systems=("lsf",)
    ),
    Keyword("mem", values.memory, "memory", "memory to ask for; memory if unset", systems=("lsf",)),
    Keyword(
        "lsf_units",
        values.choice("kb", "mb", "gb", "tb", "pb", "eb"),
        "word",
        "unit of LSF's memory limits; read from lsf.conf if unset",
        systems=("lsf",),
    ),
    Keyword(
        "use_stdin", values.switch, "true/false", "hand the script to bsub on stdin", True, ("lsf",)
    ),
    Keyword(
        "memory_per_core_property_name",
        values.text,
        "text",
        "the site's OAR property that holds memory per core",
        systems=("oar",),
    ),
    Keyword("disk", values.memory, "memory", "disk space of one job", systems=("htcondor",)),
    # The job script.
    Keyword("shebang", values.text, "text", "first line of the job script", "#!/usr/bin/env bash"),
    Keyword(
        "job_extra_directives",
        values.directives,
        "lines",
        "further directives, without their prefix",
        default=[],
        systems=tuple(system for system in EVERY if system != "htcondor"),
    ),
    Keyword(
        "job_extra_directives",
        values.attributes,
        "mapping",
        "further submit attributes",
        default={},
        systems=("htcondor",),
    ),
    Keyword(
        "job_directives_skip", values.directives, "lines", "directives to leave out", default=[]
    ),
    Keyword(
        "job_script_prologue",
        values.script_lines,
        "lines",
        "script lines before the worker",
        default=[],
    ),
    Keyword(
        "job_script_epilogue",
        values.script_lines,
        "lines",
        "script lines after the worker",
        default=[],
    ),
    Keyword(
        "template",
        values.text,
        "path",
        "your own Jinja template of the job script; relative to the file that names it",
        path="file",
    ),
    Keyword(
        "log_directory",
        values.text,
        "path",
        "folder for the jobs' output; ~ and variables are expanded where you submit",
        path="folder",
    ),
    Keyword(
        "submit_command_extra",
        values.shell_words,
        "words",
        "arguments of condor_submit; a schedd or pool among them (`-name`, `-remote`, `-pool`, "
        "`-addr`) is named to the other commands as well",
        [],
        ("htcondor",),
    ),
    Keyword(
        "cancel_command_extra",
        values.shell_words,
        "words",
        "arguments of condor_rm",
        [],
        ("htcondor",),
    ),
    # The workers.
    Keyword(
        "python",
        values.text,
        "text",
        "Python of the workers, or a command that ends in one (srun -n 1 python)",
        default="the running Python",
    ),
    Keyword(
        "launcher",
        values.text,
        "text",
        "words before the worker command that start it on each node of a job; the batch system's "
        "own way (srun, pbsdsh, …) if unset and there are several nodes",
    ),
    Keyword(
        "worker_command", values.worker_command, "text", "module to start in place of our worker"
    ),
    Keyword(
        "worker_extra_args",
        values.shell_words,
        "words",
        "further arguments of the worker command; the node's shell expands variables",
        default=[],
    ),
    Keyword("nanny", values.switch, "true/false", "restart workers that crash", default=True),
    Keyword(
        "death_timeout",
        values.duration,
        "time",
        "how long a worker lives without a scheduler; a bare number counts seconds",
        default=60,
    ),
    Keyword(
        "local_directory",
        values.text,
        "text",
        "fast storage of the node, for results that do not fit into memory; verbatim: "
        "the node's shell expands $TMPDIR",
    ),
    # How many jobs.
    Keyword(
        "max_jobs",
        values.count(1),
        "number",
        "jobs of one cluster that exist at the same time, whatever is asked for",
    ),
    Keyword(
        "max_pending",
        values.count(1),
        "number",
        "jobs of one cluster that wait in the queue at the same time; others follow as these start",
    ),
    # How workers and scheduler meet.
    Keyword(
        "interface", values.text, "text", "network interface such as ib0, of workers and scheduler"
    ),
    Keyword(
        "contact_address",
        values.texts,
        "lines",
        "addresses at which workers find the scheduler, where they can't be guessed",
        default=[],
        shared=True,
    ),
    Keyword("protocol", values.protocol, "word", "tls or tcp", default="tls", shared=True),
    Keyword(
        "scheduler_options",
        values.options,
        "mapping",
        "options of the scheduler: host, port, interface, contact_address, …",
        default={},
        typed=True,
        shared=True,
    ),
    Keyword(
        "shared_temp_directory",
        values.text,
        "path",
        "folder seen by all nodes that holds the cluster's credentials",
        path="folder",
        shared=True,
    ),
    # Other kinds of jobs.
    Keyword(
        "pools",
        values.pools,
        "mapping",
        "further kinds of jobs by name, each with keywords that are not as those of the cluster",
        default={},
        shared=True,
    ),
    # Arguments of the constructor that YAML can't hold.
    Keyword("name", values.text, "text", "name of the cluster", place="code"),
    Keyword("n_workers", values.count(0), "number", "workers to start with", 0, place="code"),
    Keyword(
        "asynchronous", values.switch, "true/false", "run in the current event loop", place="code"
    ),
    Keyword("silence_logs", values.anything, "level", "accepted for compatibility", place="code"),
    Keyword("security", values.anything, "object", "credentials to use", place="code"),
    Keyword("scheduler_cls", values.anything, "class", "class of the scheduler", place="code"),
)

ALIASES: tuple[Alias, ...] = (
    Alias("extra", "worker_extra_args"),
    Alias("env_extra", "job_script_prologue"),
    Alias("header_skip", "job_directives_skip"),
    Alias("job_extra", "job_extra_directives"),
    Alias("project", "account", systems=_ACCOUNTS),
    # In YAML `name` has always meant the jobs; as an argument it names the cluster.
    Alias("name", "job_name", deprecated=False, place="yaml"),
)

# Every name that stands for a keyword anywhere: what shows that a mapping is meant as a section.
ALL_NAMES = frozenset(keyword.name for keyword in KEYWORDS) | {alias.old for alias in ALIASES}


@functools.cache
def keywords_of(system: str) -> Mapping[str, Keyword]:
    """The rows that are for one batch system, by name."""
    return {keyword.name: keyword for keyword in KEYWORDS if system in keyword.systems}


@functools.cache
def aliases_of(system: str, *, yaml: bool) -> Mapping[str, Alias]:
    """The other names that one batch system's keywords have, in YAML or as arguments."""
    return {
        alias.old: alias
        for alias in ALIASES
        if system in alias.systems and (yaml or alias.place == "anywhere")
    }


def default_of(keyword: Keyword) -> Any:
    """The canonical value of a keyword that nobody has set; a fresh list or dict each time.

    `processes` depends on `cores` and is None here.
    """
    if keyword.name == "python":
        return sys.executable
    if keyword.name == "processes":
        return None
    return keyword.default.copy() if isinstance(keyword.default, list | dict) else keyword.default
