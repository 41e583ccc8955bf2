"""What one job is: shares of its workers, and the command it starts."""

from __future__ import annotations

import itertools
import shlex
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.command_line import CommandLine
from jobqueue.batch.htcondor import HTCondorAdapter
from jobqueue.batch.pbs import PBSAdapter
from jobqueue.batch.sge import SGEAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.config.resolve import resolve
from jobqueue.errors import ConfigError, JobQueueWarning

ADDRESSES = ("tls://10.0.0.1:4000", "tls://192.168.0.5:4000")


def options(command: CommandLine) -> dict[str, str]:
    words = command.argv({"JOBQUEUE_JOB_ID": "5_3", "TMPDIR": "/tmp/5"})
    return {a: b for a, b in itertools.pairwise(words) if a.startswith("--")}


@given(st.integers(1, 256), st.integers(1, 256), st.integers(10**6, 10**13))
def test_workers_share_a_job(cores: int, processes: int, memory: int) -> None:
    """Each worker has a thread at least, and together they never have more than the job."""
    spec = JobSpec(cores=cores, memory=memory, processes=processes)
    assert spec.threads_per_worker >= 1
    assert spec.threads_per_worker * processes <= max(cores, processes)
    assert 0.94 * memory - processes <= spec.memory_per_worker * processes < memory


def test_command_of_a_job() -> None:
    """The agent is told everything on its command line, and nothing that is secret."""
    spec = JobSpec(
        cores=24,
        memory=100 * 10**9,
        processes=6,
        local_directory="$TMPDIR/x",
        interface="ib0",
        resources={"GPU": 6, "licence": 3},
        pool="gpu",
    )
    command = spec.agent_command(ADDRESSES, credentials="/c", exit_records="/e")
    assert command.argv({})[:4] == [sys.executable, "-m", "jobqueue.worker", ",".join(ADDRESSES)]
    assert options(command) | {"--name": ""} == {
        "--credentials": "/c",
        "--nworkers": "6",
        "--nthreads": "4",
        "--memory-limit": "15883MiB",
        "--name": "",
        "--job-id": "5_3",
        "--pool": "gpu",
        "--walltime": "1800",
        "--walltime-margin": "120",
        "--death-timeout": "60",
        "--local-directory": "/tmp/5/x",
        "--interface": "ib0",
        "--resources": "GPU=1,licence=0.5",
        "--exit-record": "/e/5_3.json",
    }


def test_command_without_a_batch_system() -> None:
    """A job that we start ourselves has a literal id and name, and needs no shell."""
    spec = JobSpec(cores=1, memory=2**30, python=sys.executable)
    command = spec.agent_command(["unix:///r/s"], credentials=None, job_id="local-1", name="w-1")
    assert options(command)["--job-id"] == "local-1"
    assert options(command)["--name"] == "w-1"
    assert "--credentials" not in command.argv({})
    assert shlex.split(" ".join(command.shell_lines())) == command.argv({})


def test_python_may_be_a_path_with_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The running Python is a path; anything else is shell text."""
    monkeypatch.setattr(sys, "executable", "/my envs/bin/python")
    spec = JobSpec(cores=1, memory=2**30, python="/my envs/bin/python")
    command = spec.agent_command(ADDRESSES, credentials=None)
    assert command.shell_lines()[0] == "'/my envs/bin/python' -m jobqueue.worker"
    spec = JobSpec(cores=1, memory=2**30, python="srun -n 1 python")
    command = spec.agent_command(ADDRESSES, credentials=None)
    assert command.argv({})[:4] == ["srun", "-n", "1", "python"]


def test_further_arguments_keep_their_values() -> None:
    """An option and its value stay on one line, and the shell expands variables in them."""
    arguments = ("--lifetime", "18m", "--preload", "$HOME/x.py", "--no-dashboard")
    spec = JobSpec(cores=1, memory=2**30, worker_extra_args=arguments)
    lines = spec.agent_command(ADDRESSES, credentials=None).shell_lines()
    assert lines[-3:] == ("--lifetime 18m", "--preload $HOME/x.py", "--no-dashboard")


def test_worker_names_leave_out_the_server() -> None:
    """`22[3].server.site.edu` is `22[3]` in a worker's name."""
    spec = JobSpec(cores=1, memory=2**30, job_name="grid")
    script = spec.render(PBSAdapter(), ADDRESSES, credentials=None)
    assert '--name "grid-${JOBQUEUE_JOB_ID%%.*}"' in script


def test_from_resolved_keywords() -> None:
    """What configuration and keywords come to is taken over; None stands for the default."""
    keywords = {
        "cores": 24,
        "memory": "100GB",
        "walltime": "12:00:00",
        "queue": "regular",
        "job_extra_directives": ["-C haswell"],
        "local_directory": "$TMPDIR",
    }
    spec = JobSpec.from_values(resolve("slurm", keywords, system="slurm").values)
    script = spec.render(SlurmAdapter(), ADDRESSES, credentials=None)
    for text in ("-p regular", "-t 12:00:00", "-C haswell", '"$TMPDIR"', "--nworkers 6"):
        assert text in script


def test_nanny() -> None:
    """Crashed workers are started again, unless the keyword says no."""
    for nanny in (True, False):
        keywords = {"cores": 1, "memory": "1GB", "nanny": nanny}
        spec = JobSpec.from_values(resolve("slurm", keywords, system="slurm").values)
        script = spec.render(SlurmAdapter(), ADDRESSES, credentials=None)
        assert ("--no-nanny" in script) is not nanny


def test_no_walltime() -> None:
    """A walltime of None leaves it to the batch system; one that is missing is the default."""
    values = {"cores": 1, "memory": 2**30}
    unset = JobSpec.from_values({**values, "walltime": None})
    assert "#SBATCH -t" not in unset.render(SlurmAdapter(), ADDRESSES, credentials=None)
    default = JobSpec.from_values(values)
    assert "#SBATCH -t 00:30:00" in default.render(SlurmAdapter(), ADDRESSES, credentials=None)


def test_a_directive_may_be_written_with_its_prefix() -> None:
    """Twice in a line it would make a comment of what was asked for."""
    written = ["#SBATCH --gres=gpu:1", "#PBS  -m n", "--exclusive"]
    spec = JobSpec.from_values({"cores": 1, "memory": 2**30, "job_extra_directives": written})
    assert spec.job_extra_directives == ("--gres=gpu:1", "-m n", "--exclusive")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"job_name": "a\nb"}, "job_name: 'a\\\\nb' is more than one line"),
        ({"job_name": "a/b"}, "slash"),
        ({"job_name": "it's"}, "holds ', which a shell"),
        ({"job_name": "a$b"}, r"holds \$, which a shell"),
        ({"shebang": "#!/bin/csh"}, "not for csh"),
        ({"shebang": "#!/usr/bin/env python3"}, "not for python3"),
    ],
)
def test_what_cannot_stand_in_a_script(values: dict[str, str], says: str) -> None:
    """One error with the keyword, its value and what to do."""
    with pytest.raises(ConfigError, match=says):
        JobSpec(cores=1, memory=2**30, **values)  # type: ignore[arg-type]


def test_skip_entry_without_effect() -> None:
    """An entry that is no option drops nothing, and that is said."""
    with pytest.warns(JobQueueWarning, match="'mem=' drops nothing"):
        JobSpec(cores=1, memory=2**30, job_directives_skip=("mem=",))


def test_no_secret_in_a_script() -> None:
    """A script names the folder of the credentials; nothing else of them can get into it."""
    spec = JobSpec(cores=1, memory=2**30)
    script = spec.render(SlurmAdapter(), ADDRESSES, credentials="/home/ada/c")
    assert script.count("/home/ada/c") == 1
    exported = [line for line in script.splitlines() if "export" in line]
    assert exported == ["export JOBQUEUE_JOB_STARTED=$(date +%s)"]


NODES: dict[str, Any] = {
    "cores": 96,
    "memory": 384 * 2**30,
    "processes": 8,
    "nodes": 4,
    "resources": {"GPU": 8},
    "pool": "mpi",
}


def test_a_job_of_several_nodes_shares_everything_among_them() -> None:
    """Totals are the job's; each node's agent is told its part, and that there are others."""
    spec = JobSpec(**NODES)
    said = options(spec.agent_command(ADDRESSES, credentials=None))
    assert (said["--nodes"], said["--nworkers"], said["--nthreads"]) == ("4", "2", "12")
    assert (said["--memory-limit"], said["--resources"]) == ("49120MiB", "GPU=1")
    assert said["--pool"] == "mpi"


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(10**8, 10**13))
def test_nodes_never_give_more_than_the_job_has(
    nodes: int, each: int, threads: int, memory: int
) -> None:
    """What workers of all nodes take together is at most the job's."""
    spec = JobSpec(cores=nodes * each * threads, memory=memory, processes=nodes * each, nodes=nodes)
    assert spec.threads_per_worker == threads
    assert spec.processes_per_node == each
    assert 0.9 * memory - spec.processes <= spec.memory_per_worker * spec.processes < memory


@pytest.mark.parametrize(
    ("walltime", "margin", "said"),
    [(60, None, "10"), (1000, None, "100"), (86400, None, "120"), (60, 30, "30"), (None, 9, "9")],
)
def test_when_a_job_hands_over(walltime: int | None, margin: float | None, said: str) -> None:
    """A tenth of the walltime, within limits, or what the user says."""
    spec = JobSpec(cores=1, memory=2**30, walltime=walltime, walltime_margin=margin)
    command = options(spec.agent_command(ADDRESSES, credentials=None))
    assert command["--walltime-margin"] == said
    assert command.get("--walltime") == (walltime and str(walltime))


def test_without_a_walltime_there_is_no_margin() -> None:
    """The agent asks its environment then."""
    command = options(
        JobSpec(cores=1, memory=2**30, walltime=None).agent_command(ADDRESSES, credentials=None)
    )
    assert not {"--walltime", "--walltime-margin"} & command.keys()


@pytest.mark.parametrize("adapter", [SGEAdapter(), HTCondorAdapter()])
def test_several_nodes_where_there_are_none(adapter: BatchAdapter) -> None:
    """One error says what the batch system wants instead, unless the user has a launcher."""
    with pytest.raises(ConfigError, match="nodes=4"):
        JobSpec(**NODES).render(adapter, ADDRESSES, credentials=None)
    script = JobSpec(**NODES, launcher="mpirun -npernode 1").render(
        adapter, ADDRESSES, credentials=None
    )
    assert "exec mpirun -npernode 1 \\\n" in script


def test_a_launcher_of_the_users_own_is_taken_for_one_node_as_well() -> None:
    """It is a command before the worker's, wherever there is one."""
    spec = JobSpec(cores=1, memory=2**30, launcher="numactl -N 0")
    assert "exec numactl -N 0 \\\n" in spec.render(SlurmAdapter(), ADDRESSES, credentials=None)


def test_python_with_a_launcher_in_a_job_of_several_nodes() -> None:
    """Two launchers would start steps within steps."""
    with pytest.raises(ConfigError, match="'srun -n 1 python' has a launcher of its own"):
        JobSpec(**NODES, python="srun -n 1 python")
