"""What a task does that runs a program over the nodes of its job: with launchers that just tell."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobqueue.client import program
from jobqueue.client.program import Program, ProgramResult, job_nodes, launch_of
from jobqueue.errors import ConfigError, ProgramFailed, TaskCancelled
from jobqueue.protocol.running import running
from jobqueue.protocol.serialize import dumps

QUIET = 'if [ "$1" = --version ]; then exit; fi\n'
"""The beginning of a launcher that says nothing of itself."""

TELLS = 'echo "$0 $*"; echo "${PMI_RANK-none} ${MINE-none}" >&2'
"""A launcher that says how it was called, and what it has of some variables."""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put commands, as lines for the shell, on an otherwise nearly empty PATH; no job is around."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "JOBQUEUE_NODE"))]:
        monkeypatch.delenv(name)

    def add(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return add


@pytest.fixture
def two_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job on two nodes, as its agent tells it."""
    path = tmp_path / "nodes"
    path.write_text("n1\nn2\n")
    monkeypatch.setenv("JOBQUEUE_NODEFILE", str(path))


@pytest.fixture
def no_task() -> Iterator[None]:
    """Whatever a test does to this thread's task is undone."""
    yield
    running.unwanted = None


def test_inside_of_slurm_srun_starts_it(commands, two_nodes, monkeypatch):
    """On all nodes of the job, in a step that shares them with the agents', with their cores."""
    commands("srun", TELLS)
    for name, value in (("JOB_ID", "7"), ("CPUS_ON_NODE", "8"), ("NTASKS", "9")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PMI_RANK", "0")
    result = Program("prog", None, 4)(["-v"], env={"MINE": "1"})
    told = result.stdout.split()
    assert Path(told[0]).name == "srun"
    assert told[1:] == [
        "--overlap",
        "--export=ALL",
        "--nodes=2",
        "--ntasks=8",
        "--ntasks-per-node=4",
        "--cpus-per-task=2",
        "prog",
        "-v",
    ]
    assert result.stderr == "none 1\n", "what the agents' launcher left is gone"
    assert (result.returncode, result.hosts) == (0, ("n1", "n2"))


def test_on_some_nodes_of_the_job_those_are_named(commands, two_nodes, monkeypatch):
    """The first ones; the lead is among them."""
    commands("srun", TELLS)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    result = Program("prog", 1)()
    assert "--nodes=1 --ntasks=1 --ntasks-per-node=1 --nodelist=n1 prog" in result.stdout
    assert result.hosts == ("n1",)


def test_more_nodes_than_there_are_is_an_error(commands, two_nodes):
    """With the nodes that there are."""
    with pytest.raises(ProgramFailed, match="wants 3 nodes, but the job has 2: n1, n2"):
        Program("prog", 3)()


@pytest.mark.parametrize(
    ("version", "arguments", "hostfile"),
    [
        ("mpiexec (Open MPI) 4.1.4", "-n 4 -x MINE prog", "n1 slots=2\nn2 slots=2\n"),
        ("HYDRA build details:", "-n 4 -genvlist MINE prog", "n1:2\nn2:2\n"),
    ],
)
def test_elsewhere_the_mpi_at_hand_starts_it(commands, two_nodes, version, arguments, hostfile):
    """Each in its own words."""
    tells_version = f'if [ "$1" = --version ]; then echo "{version}"; exit; fi'
    commands("mpiexec", f'{tells_version}; cat "$2" >&2; {TELLS}')
    result = Program("prog", None, 2)(env={"MINE": "1"})
    assert arguments in result.stdout
    assert result.stderr == f"{hostfile}none 1\n"


def test_without_a_launcher_there_is_one_error(commands, two_nodes, monkeypatch, tmp_path):
    """Which says what to do about it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="nor mpiexec on PATH; load your site's MPI module"):
        launch_of(["prog"], ["n1"], 1, {}, os.environ)


def test_nodes_are_found_without_their_list(commands, monkeypatch):
    """Slurm is asked; where nothing tells, it is this node alone."""
    assert job_nodes({}) == (os.uname().nodename,)
    commands("scontrol", 'echo "$3" | tr , "\\n"')
    assert job_nodes({"SLURM_JOB_NODELIST": "n1,n2"}) == ("n1", "n2")


def test_a_failed_program_is_an_error_with_the_end_of_what_it_wrote(commands, two_nodes):
    """Unless the caller wants to look at its exit status."""
    commands("mpiexec", "echo out; seq 30 >&2; exit 3")
    with pytest.raises(ProgramFailed, match="ended with status 3 on n1, n2:\n11\n") as failed:
        Program("prog")()
    assert (failed.value.returncode, failed.value.stdout) == (3, "out\n")
    assert failed.value.stderr.startswith("1\n")
    assert Program("prog")(check=False).returncode == 3


def test_what_cannot_be_started_is_an_error(commands, two_nodes, tmp_path):
    """Since its folder is not there, for one."""
    commands("mpiexec", TELLS)
    with pytest.raises(ProgramFailed, match=r"cannot be started in .*absent"):
        Program("prog")(cwd=str(tmp_path / "absent"))


def test_it_runs_in_its_folder(commands, two_nodes, tmp_path):
    """Which is the worker's if none is given."""
    commands("mpiexec", "pwd")
    assert Program("prog")(cwd=str(tmp_path)).stdout.strip() == str(tmp_path)


def test_one_that_takes_too_long_is_ended(commands, two_nodes):
    """Also if it does not want to."""
    commands("mpiexec", f'{QUIET} trap "" TERM; while true; do sleep 0.1; done')
    with pytest.raises(ProgramFailed, match=r"took more than 0\.2 s") as failed:
        Program("prog")(timeout=0.2)
    assert failed.value.returncode is None


def test_a_cancelled_one_is_ended(commands, two_nodes, no_task, tmp_path):
    """Though nothing interrupts its thread."""
    commands(
        "mpiexec",
        f"{QUIET} echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 60",
    )
    running.unwanted = lambda: (tmp_path / "pid").exists()
    with pytest.raises(TaskCancelled):
        Program("prog")()
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_of_very_long_outputs_the_end_is_kept(commands, two_nodes, monkeypatch):
    """And it says how much is missing."""
    monkeypatch.setattr(program, "KEPT", 10)
    commands("mpiexec", f"{QUIET} printf 0123456789abcdef")
    assert Program("prog")().stdout == "[6 bytes before this]\n6789abcdef"


def test_each_program_is_a_function_of_its_own():
    """With its name, and known for how long it takes."""
    one, same, other = (dumps(Program(path, 2)) for path in ("/opt/one", "/opt/one", "/opt/other"))
    assert one == same != other
    assert Program("/opt/one").__name__ == "one"


def test_a_result_is_plain(commands):
    """It travels by its module's name, which workers import."""
    assert ProgramResult(0, "", "", ()).__class__.__module__ == "jobqueue.client.program"
