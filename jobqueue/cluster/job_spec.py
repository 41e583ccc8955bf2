"""What one job of a pool is: its resources, its script, and the command that it starts."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.command_line import CommandLine, Expanded, Raw, shell_word
from jobqueue.batch.directives import options_of
from jobqueue.batch.units import mebibytes
from jobqueue.config.units import format_walltime
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError
from jobqueue.worker.deadline import default_margin

AGENT = "jobqueue.worker"
"""The module that a job starts."""

AGENT_MEMORY = 64 * 2**20
"""Bytes of a job's memory that are left to the agent itself, and to the shell."""

JOB_ID_VARIABLE = "JOBQUEUE_JOB_ID"
"""The variable of a job script that holds the job's id."""

_DIRECTIVE = re.compile(r"(#([A-Z]+|\$)\s+)?-|#[A-Z]+\s+\w")
_DIRECTIVE_PREFIX = re.compile(r"\s*#([A-Z]+|\$)\s+(?=-)")
_SHELL_SPECIAL = re.compile(r"""["'$`\\]""")
_LAUNCHER = re.compile(r"(?:.*[;&]\s*)?(?:\w+=\S*\s+)*((?:srun|mpirun|mpiexec|jsrun|aprun)\b)")
_OTHER_SHELLS = re.compile(r"#!.*\b(t?csh|fish|python\S*|perl)\b")


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """One job.

    Parameters
    ----------
    cores, memory
        Cores, and bytes of memory, of one job, on all its nodes together.
    processes
        Workers per job, on all its nodes together.
    nodes
        Nodes of one job; each has an equal part of everything, and an agent of its own.
    launcher
        Shell text before the worker command that starts it on each node; None for the batch
        system's own way, where there are several.
    pool
        The pool that the job belongs to.
    job_name
        The job's name, and the beginning of its workers' names.
    walltime
        Seconds that a job may run; None leaves it to the batch system.
    walltime_margin
        Seconds before its end at which a job begins to hand over; None for a tenth of the
        walltime, but 10 s to 2 min.
    queue, account, resource_spec, job_cpu, job_mem
        What the directives ask for; None for what follows from cores and memory, or is left out.
    python, worker_command, worker_extra_args
        Shell text that starts Python, the module it runs, and shell text for further arguments.
    job_extra_directives, job_directives_skip
        Directives to add (without prefix), and options of directives to leave out.
    job_script_prologue, job_script_epilogue
        Lines of shell text before and after the worker command.
    log_directory
        Absolute path of the folder for the job's output; whoever submits has to create it.
    nanny
        Whether a worker that crashes is started again.
    local_directory
        Folder on the node for what workers put on disk; the shell on the node expands variables in
        it.
    interface
        Network interface of the workers.
    death_timeout
        Seconds without a scheduler after which workers end themselves.
    resources
        What one job offers to tasks that ask for it, by name; its workers have equal parts.
    template
        A site's own template; None for that of the batch system.

    Examples
    --------
    >>> spec = JobSpec(cores=24, memory=100 * 10**9, processes=6)
    >>> spec.threads_per_worker, spec.memory_per_worker
    (4, 16655481856)
    """

    cores: int
    memory: int
    processes: int = 1
    nodes: int = 1
    launcher: str | None = None
    pool: str = "default"
    job_name: str = "jobqueue"
    walltime: int | None = 1800
    walltime_margin: float | None = None
    queue: str | None = None
    account: str | None = None
    resource_spec: str | None = None
    job_cpu: int | None = None
    job_mem: str | None = None
    shebang: str = "#!/usr/bin/env bash"
    python: str = sys.executable
    worker_command: str = AGENT
    worker_extra_args: tuple[str, ...] = ()
    job_extra_directives: tuple[str, ...] = ()
    job_directives_skip: tuple[str, ...] = ()
    job_script_prologue: tuple[str, ...] = ()
    job_script_epilogue: tuple[str, ...] = ()
    log_directory: str | None = None
    nanny: bool = True
    local_directory: str | None = None
    interface: str | None = None
    death_timeout: float = 60
    resources: Mapping[str, float] | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no script could hold, and warn about what does nothing in one."""
        for name in ("job_name", "queue", "account", "resource_spec", "job_mem", "shebang"):
            value = getattr(self, name)
            if value is not None and "\n" in value:
                raise ConfigError(f"{name}: {value!r} is more than one line")
        if "/" in self.job_name:
            raise ConfigError(
                f"job_name: {self.job_name!r} holds a slash, and log files are named after it"
            )
        if special := _SHELL_SPECIAL.search(self.job_name):
            raise ConfigError(
                f"job_name: {self.job_name!r} holds {special[0]}, which a shell takes for "
                "something else, and workers are named after it in the job script"
            )
        for entry in self.job_directives_skip:
            if not _DIRECTIVE.match(entry):
                warn(
                    f"job_directives_skip: {entry!r} drops nothing: write the directive's whole "
                    "option, '--mem' for instance"
                )
        if self.nodes > 1 and self.launcher is None and (found := _LAUNCHER.match(self.python)):
            raise ConfigError(
                f"python: {self.python!r} has a launcher of its own, and nodes={self.nodes} brings "
                f"one; write {found[1]} as launcher, or leave it to the batch system"
            )
        if self.template is None and (shell := _OTHER_SHELLS.match(self.shebang)):
            raise ConfigError(
                f"shebang: {self.shebang!r}: job scripts are written for bash and its relatives, "
                f"not for {shell[1]}; leave shebang out, or give a template of your own"
            )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the job that resolved keywords describe.

        Parameters
        ----------
        values
            Keyword -> value, as `jobqueue.config.resolve` leaves them; those that do not concern a
            job are passed over, and None stands for the default.

        Raises
        ------
        ConfigError
            A value cannot stand in a job script.
        """
        own = {field.name for field in dataclasses.fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name in own and value is not None
        }
        if "walltime" in values:
            given["walltime"] = values["walltime"]  # None: the batch system's own limit
        # Written as in a script, with the prefix that the template adds: a line with two of them
        # would be a comment, passed over without a word.
        given["job_extra_directives"] = tuple(
            _DIRECTIVE_PREFIX.sub("", directive)
            for directive in given.get("job_extra_directives", ())
        )
        return cls(**given)

    @property
    def threads_per_worker(self) -> int:
        """Threads of one worker."""
        return max(1, self.cores // self.processes)

    @property
    def memory_per_worker(self) -> int:
        """Bytes of memory of one worker: its share of what its node's agent leaves."""
        own = self.memory // self.nodes
        return (own - min(AGENT_MEMORY, own // 20)) // self.processes_per_node

    @property
    def processes_per_node(self) -> int:
        """Workers on one node."""
        return max(1, self.processes // self.nodes)

    @property
    def worker_resources(self) -> dict[str, float]:
        """What each worker offers to tasks, by name."""
        return {name: total / self.processes for name, total in (self.resources or {}).items()}

    @property
    def margin(self) -> float | None:
        """Seconds before its walltime at which a job begins to hand over, if it has one."""
        if self.walltime_margin is not None or self.walltime is None:
            return self.walltime_margin
        return default_margin(self.walltime)

    @property
    def _python(self) -> Raw:
        """Shell text; the running Python is a path, which may hold blanks."""
        return Raw(shlex.quote(self.python) if self.python == sys.executable else self.python)

    def agent_command(
        self,
        addresses: Sequence[str],
        *,
        credentials: str | None,
        job_id: str = Expanded(f"${JOB_ID_VARIABLE}"),
        name: str = "",
        exit_records: str | None = None,
    ) -> CommandLine:
        """Return the command that a job starts: the job agent.

        This is the only place that makes it.

        Parameters
        ----------
        addresses
            Contact addresses of the scheduler, best first.
        credentials
            Folder with the cluster's credentials; None where the transport needs none.
        job_id
            The job's id; by default what the job script has found out.
        name
            What the workers' names begin with; by default the job's name and its id.
        exit_records
            Folder in which the agent leaves `ID.json` when it ends.
        """
        name = name or Expanded(f"{self.job_name}-${JOB_ID_VARIABLE}")
        options: dict[str, str | None] = {
            "--credentials": credentials,
            "--nworkers": str(self.processes_per_node),
            "--nthreads": str(self.threads_per_worker),
            "--memory-limit": mebibytes(self.memory_per_worker),
            "--name": name,
            "--job-id": job_id,
            "--pool": self.pool,
            "--nodes": str(self.nodes) if self.nodes > 1 else None,
            "--walltime": str(self.walltime) if self.walltime else None,
            "--walltime-margin": f"{self.margin:g}" if self.margin else None,
            "--death-timeout": f"{self.death_timeout:g}",
            "--local-directory": self.local_directory and Expanded(self.local_directory),
            "--interface": self.interface,
            "--resources": _resources(self.worker_resources),
            "--exit-record": exit_records and _record(exit_records, job_id),
        }
        return CommandLine(
            (
                (self._python, "-m", self.worker_command),
                (",".join(addresses),),
                *((option, value) for option, value in options.items() if value),
                *(() if self.nanny else (("--no-nanny",),)),
                *_grouped(self.worker_extra_args),
            )
        )

    def render(
        self,
        adapter: BatchAdapter,
        addresses: Sequence[str],
        *,
        credentials: str | None,
        array: bool = False,
        exit_records: str | None = None,
    ) -> str:
        """Return the job script.

        Parameters
        ----------
        adapter
            The batch system.
        addresses, credentials, exit_records
            As for `agent_command`.
        array
            Whether the script is submitted as an array.

        Raises
        ------
        ConfigError
            The template is missing or has a mistake.
        """
        carried = credentials and adapter.credentials_expression
        command = self.agent_command(
            addresses,
            credentials=Expanded(carried) if carried else credentials,
            name=Expanded(f"{self.job_name}-{adapter.job_label_expression}"),
            exit_records=exit_records,
        )
        own_launcher = self.launcher or (
            adapter.launcher(self.nodes, self.cores // self.nodes) if self.nodes > 1 else ""
        )
        by_script = self.nodes > 1 and adapter.node_script and not self.launcher
        variables = {
            **adapter.variables(),
            "shebang": self.shebang,
            "job_name": self.job_name,
            "queue": self.queue,
            "account": self.account,
            "resource_spec": self.resource_spec,
            "cores": self.cores,
            "memory": self.memory,
            "processes": self.processes,
            "job_cpu": self.job_cpu,
            "job_mem": self.job_mem,
            "walltime": self.walltime and format_walltime(self.walltime),
            "walltime_seconds": self.walltime,
            "margin_seconds": self.margin and round(self.margin),
            "nodes": self.nodes,
            "cores_per_node": self.cores // self.nodes,
            "memory_per_node": self.memory // self.nodes,
            "pool": self.pool,
            "log_directory": self.log_directory,
            "log_pattern": adapter.log_pattern(array=array),
            "array": array,
            "directive_prefix": adapter.directive_prefix,
            "option_aliases": adapter.option_aliases,
            "directives_skip": self.job_directives_skip,
            "extra_directives": self.job_extra_directives,
            "extra_options": options_of(self.job_extra_directives, adapter.option_aliases),
            "prologue": self.job_script_prologue,
            "epilogue": self.job_script_epilogue,
            "job_id_expression": adapter.job_id_expression,
            "credentials": credentials,
            "node_lines": command.shell_lines(execute=True) if by_script else (),
            "node_script": shell_word(Expanded(f"{exit_records or '$HOME'}/${JOB_ID_VARIABLE}.sh")),
            "worker_lines": (f"exec {own_launcher}",)
            if by_script
            else command.shell_lines(execute=True, launcher=own_launcher),
        }
        # Imported late: Jinja takes longer than anything else that a cluster needs.
        from jobqueue.batch.render import render

        return render(self.template or adapter.template, variables)


def _grouped(words: Sequence[str]) -> tuple[tuple[Raw, ...], ...]:
    """Put each option and the values after it together.

    Examples
    --------
    >>> _grouped(["--lifetime", "18m", "--no-dashboard"])
    (('--lifetime', '18m'), ('--no-dashboard',))
    """
    groups: list[tuple[Raw, ...]] = []
    for word in map(Raw, words):
        if groups and not word.startswith("-"):
            groups[-1] += (word,)
        else:
            groups.append((word,))
    return tuple(groups)


def _record(folder: str, job_id: str) -> str:
    path = f"{folder}/{job_id}.json"
    return Expanded(path) if isinstance(job_id, Expanded) else path


def _resources(resources: Mapping[str, float]) -> str:
    return ",".join(f"{name}={amount:g}" for name, amount in resources.items())
