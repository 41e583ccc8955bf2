"""Running a program over the nodes of the job that this task has for itself.

It is imported by workers, and so imports nothing but the standard library. Which nodes there are
stands in the file that ``JOBQUEUE_NODEFILE`` names; how a program is started on them is the
launcher's business, Slurm's `srun` or an MPI's `mpiexec`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final, NamedTuple

from jobqueue.errors import ConfigError, ProgramFailed, TaskCancelled
from jobqueue.protocol.running import cancelled

NODEFILE: Final = "JOBQUEUE_NODEFILE"
"""Variable that names a file with the job's nodes, one a line."""

KEPT: Final = 4 * 1024 * 1024
"""Bytes of each of its outputs that come back: the last ones."""

TAIL: Final = 20
"""Lines of what it wrote that an error shows."""

INTERVAL: Final = 0.1
"""Seconds between two looks whether the task was cancelled."""

PATIENCE: Final = 1.0
"""Seconds that a program gets to end when it is told to, before it is killed. A cancelled task has
two in all."""

OF_A_LAUNCHER: Final = (
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPU_BIND",
    "SLURM_DISTRIBUTION",
    "SLURM_EXPORT_ENV",
    "SLURM_GTIDS",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_LOCALID",
    "SLURM_MEM_BIND",
    "SLURM_NODEID",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_SRUN_COMM",
    "SLURM_STEP",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TASK_PID",
    "SLURM_UMASK",
    "OMPI_",
    "PMIX_",
    "PMI_",
    "PRTE_",
)
"""Beginnings of variables that the launcher of the job's agents has left, and that the next one
would take for its own."""


class ProgramResult(NamedTuple):
    """What came of a program.

    Parameters
    ----------
    returncode
        Its exit status, as its launcher tells it.
    stdout, stderr
        What it wrote; of very long ones the end.
    hosts
        The nodes that it ran on.
    """

    returncode: int
    stdout: str
    stderr: str
    hosts: tuple[str, ...]


class Launch(NamedTuple):
    """How a program is started.

    Parameters
    ----------
    argv
        The command; `{hostfile}` in it stands for a file with the nodes.
    hostfile
        What is written to that file; empty if it needs none.
    """

    argv: tuple[str, ...]
    hostfile: str = ""


class Program:
    """A program to be run over the nodes of a job: the function that is submitted.

    Each is one of its own, so that what its runs take is learned apart from those of others.

    Parameters
    ----------
    path
        The program.
    nodes
        How many nodes; None for all that the job has.
    processes_per_node
        How many processes are started on each.
    """

    def __init__(self, path: str, nodes: int | None = None, processes_per_node: int = 1) -> None:
        self.path = path
        self.nodes = nodes
        self.processes_per_node = processes_per_node
        self.__name__ = os.path.basename(path)  # of which keys of its tasks are made

    def __call__(
        self,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> ProgramResult:
        """Run it and return what came of it; see `Client.submit_mpi`.

        Raises
        ------
        ConfigError
            There is no launcher here.
        ProgramFailed
            It could not be started, ended with an error, or not in time.
        TaskCancelled
            Nobody wants it any more; it was ended.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OF_A_LAUNCHER)}
        environ = {**kept, **(env or {})}
        hosts = job_nodes(environ)
        if self.nodes is not None and self.nodes > len(hosts):
            raise ProgramFailed(
                f"{self.path} wants {self.nodes} nodes, but the job has {len(hosts)}: "
                f"{', '.join(hosts)}",
                hosts=hosts,
            )
        few = self.nodes is not None and self.nodes < len(hosts)
        hosts = hosts[: self.nodes]
        argv = (self.path, *arguments)
        launch = launch_of(argv, hosts, self.processes_per_node, env or {}, environ, named=few)
        with _hostfile(launch) as command:
            return _run(command, hosts, environ, cwd, timeout, check)


def job_nodes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the nodes of this job, the one that this runs on if nothing tells.

    Parameters
    ----------
    environ
        The environment.
    """
    path = environ.get(NODEFILE)
    if path:
        with open(path, encoding="utf-8") as file:
            return tuple(dict.fromkeys(file.read().split()))
    short = environ.get("SLURM_JOB_NODELIST")
    if short and shutil.which("scontrol"):
        argv = ["scontrol", "show", "hostnames", short]
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        if said.returncode == 0 and said.stdout.split():
            return tuple(said.stdout.split())
    return (socket.gethostname(),)


# -- launchers -------------------------------------------------------------------------------------


def launch_of(
    argv: Sequence[str],
    hosts: Sequence[str],
    processes_per_node: int,
    env: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    named: bool = False,
) -> Launch:
    """Return how a program is started here.

    Parameters
    ----------
    argv
        The program.
    hosts
        The nodes it is to run on.
    processes_per_node
        How many processes are started on each.
    env
        Variables that it needs, beside those that are here.
    environ
        The environment.
    named
        Whether those are not all nodes of the job.

    Raises
    ------
    ConfigError
        There is no launcher.
    """
    path = environ.get("PATH")
    if environ.get("SLURM_JOB_ID") and shutil.which("srun", path=path):
        return _srun(argv, hosts, processes_per_node, environ, named)
    mpiexec = shutil.which("mpiexec", path=path) or shutil.which("mpirun", path=path)
    if mpiexec is None:
        raise ConfigError(
            f"no launcher on {socket.gethostname()}: neither srun inside of a Slurm job, nor "
            "mpiexec on PATH; load your site's MPI module in job_script_prologue"
        )
    asked = subprocess.run(
        [mpiexec, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    if any(name in asked.stdout + asked.stderr for name in ("Open MPI", "OpenRTE", "PRTE")):
        return _open_mpi(mpiexec, argv, hosts, processes_per_node, env)
    return _hydra(mpiexec, argv, hosts, processes_per_node, env)


def _srun(
    argv: Sequence[str],
    hosts: Sequence[str],
    processes_per_node: int,
    environ: Mapping[str, str],
    named: bool,
) -> Launch:
    # The agents' own step holds all of the job's processors: --overlap shares them.
    words = ["srun", "--overlap", "--export=ALL", f"--nodes={len(hosts)}"]
    words += [f"--ntasks={len(hosts) * processes_per_node}"]
    words += [f"--ntasks-per-node={processes_per_node}"]
    cores = environ.get("SLURM_CPUS_ON_NODE", "")
    if cores.isdigit():
        words.append(f"--cpus-per-task={max(1, int(cores) // processes_per_node)}")
        if processes_per_node > int(cores):
            words.append("--overcommit")
    if named:
        words.append(f"--nodelist={','.join(hosts)}")
    return Launch((*words, *argv))


def _open_mpi(
    mpiexec: str,
    argv: Sequence[str],
    hosts: Sequence[str],
    processes_per_node: int,
    env: Mapping[str, str],
) -> Launch:
    words = [mpiexec, "--hostfile", "{hostfile}", "-n", str(len(hosts) * processes_per_node)]
    for name in env:
        words += ["-x", name]
    lines = "".join(f"{host} slots={processes_per_node}\n" for host in hosts)
    return Launch((*words, *argv), lines)


def _hydra(
    mpiexec: str,
    argv: Sequence[str],
    hosts: Sequence[str],
    processes_per_node: int,
    env: Mapping[str, str],
) -> Launch:
    """MPICH, MVAPICH and Intel MPI."""
    words = [mpiexec, "-f", "{hostfile}", "-n", str(len(hosts) * processes_per_node)]
    if env:
        words += ["-genvlist", ",".join(env)]
    lines = "".join(f"{host}:{processes_per_node}\n" for host in hosts)
    return Launch((*words, *argv), lines)


@contextlib.contextmanager
def _hostfile(launch: Launch) -> Iterator[tuple[str, ...]]:
    """Write the launcher's file of nodes, if it needs one; yield the command."""
    if not launch.hostfile:
        yield launch.argv
        return
    with tempfile.NamedTemporaryFile("w", prefix="jobqueue-hosts-", encoding="utf-8") as file:
        file.write(launch.hostfile)
        file.flush()
        yield tuple(file.name if word == "{hostfile}" else word for word in launch.argv)


# -- running ---------------------------------------------------------------------------------------


def _run(
    command: tuple[str, ...],
    hosts: tuple[str, ...],
    environ: Mapping[str, str],
    cwd: str | None,
    timeout: float | None,
    check: bool,
) -> ProgramResult:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environ,
                cwd=cwd,
            )
        except OSError as error:
            raise ProgramFailed(
                f"{command[0]} cannot be started in {cwd or os.getcwd()}: {error}",
                argv=command,
                hosts=hosts,
            ) from None
        try:
            in_time = _wait(process, timeout)
        finally:
            _end(process)
        result = ProgramResult(process.returncode, _text_of(stdout), _text_of(stderr), hosts)
    if in_time and (result.returncode == 0 or not check):
        return result
    ended = f"ended with status {result.returncode}" if in_time else f"took more than {timeout:g} s"
    raise ProgramFailed(
        f"{' '.join(command)} {ended} on {', '.join(hosts)}{_end_of(result)}",
        argv=command,
        returncode=result.returncode if in_time else None,
        stdout=result.stdout,
        stderr=result.stderr,
        hosts=hosts,
    )


def _wait(process: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """Wait for the end of a process; return whether that came in time.

    Raises
    ------
    TaskCancelled
        Nobody wants it any more.
    """
    over = None if timeout is None else time.monotonic() + timeout
    while process.poll() is None:
        if cancelled():
            raise TaskCancelled("cancelled, while its program ran")
        if over is not None and time.monotonic() >= over:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERVAL)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """See to it that a process has ended, also while this is being interrupted again and again."""
    over = time.monotonic() + PATIENCE
    while process.poll() is None:
        with contextlib.suppress(TaskCancelled, subprocess.TimeoutExpired):
            if time.monotonic() < over:
                process.terminate()
            else:
                process.kill()
            process.wait(INTERVAL)


def _text_of(file: IO[bytes]) -> str:
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - KEPT))
    text = file.read().decode("utf-8", "replace")
    return text if length <= KEPT else f"[{length - KEPT} bytes before this]\n{text}"


def _end_of(result: ProgramResult) -> str:
    """Return the end of what a program wrote, for an error."""
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()[-TAIL:]
    return ":\n" + "\n".join(lines) if lines else ", and wrote nothing"
