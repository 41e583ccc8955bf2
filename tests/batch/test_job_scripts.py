"""What the job scripts of all batch systems and dialects have in common.

Each script whole is in tests/templates/golden; here is what must hold for a new one as well.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.job_spec import JobSpec
from jobqueue.config.load import Places, load
from jobqueue.config.resolve import resolve
from jobqueue.errors import ConfigError

ADDRESSES = ("tls://10.1.2.3:4000",)
JOB: dict[str, Any] = {"cores": 8, "memory": "32GB", "walltime": "02:00:00"}


def script_of(system: Any, *, records: str | None = "/r", **keywords: Any) -> tuple[Any, str]:
    """The adapter and the script of a cluster with these keywords."""
    name = system.adapter.name
    places = Places({"USER": "ada", "SCRATCH": "/scratch/ada"}, Path("/home/ada"), Path("/none"),
                    Path("/none"))  # fmt: skip
    if name == "sge":
        keywords["job_extra_directives"] = ["-pe mpi 8"]
    values = resolve(None, {**JOB, **keywords}, system=name, config=load(places)).values
    spec = JobSpec.from_values(system.adapter.job_values(values))
    adapter = system.adapter.with_directives(spec.job_extra_directives).with_keywords(values)
    return adapter, spec.render(adapter, ADDRESSES, credentials="/c", exit_records=records)


@pytest.mark.parametrize(
    ("written", "folder"),
    [
        ("~/logs/$USER", "/home/ada/logs/ada"),
        ("${SCRATCH}/logs", "/scratch/ada/logs"),
        ("$SCRATCH/my logs", "/scratch/ada/my logs"),
    ],
)
def test_variables_in_the_log_directory(system: Any, written: str, folder: str) -> None:
    """The folder is what it is where one submits: no batch system expands variables in it."""
    adapter, script = script_of(system, log_directory=written)
    prefix = adapter.directive_prefix
    directives = "\n".join(line for line in script.splitlines() if line.startswith(prefix))
    told = directives + " ".join(adapter.submit_argv("job.sh", log_directory=folder))
    assert folder in told
    assert not re.search(r"~|\$(USER|SCRATCH|\{)", directives)
    job_id = next(iter(system.logs))
    for path in adapter.log_paths(job_id, job_name="dask-worker", log_directory=folder):
        assert path.startswith(f"{folder}/")


def test_a_variable_that_is_not_set_here(system: Any) -> None:
    """One that only a job has cannot name the folder, and the error says so."""
    with pytest.raises(ConfigError, match=r"log_directory: .*the variable TMPDIR is not set here"):
        script_of(system, log_directory="$TMPDIR/logs")


def test_the_first_act_of_a_script_is_to_note_the_time(system: Any) -> None:
    """The walltime counts from there, and not from when a prologue is done."""
    _, script = script_of(system, job_script_prologue=["module load python"])
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert commands[0] == "export JOBQUEUE_JOB_STARTED=$(date +%s)"
    assert script.count("--walltime 7200 ") == script.count("--walltime-margin 120 ") == 1


WARNINGS = {
    "slurm": ("#SBATCH --signal=B:USR1@300", "--signal=B:USR2@60"),
    "sge": ("#$ -notify", "-notify"),
    "oar": ("#OAR --checkpoint 300", "--checkpoint 60"),
}
"""Batch systems that can warn a job of its end: our directive, and one that a user may have."""


def test_a_warning_ahead_of_the_end(system: Any) -> None:
    """Where a batch system can warn, it is asked to, unless job_directives_skip drops it."""
    _, script = script_of(system, walltime_margin="5 min")
    ours, _ = WARNINGS.get(system.adapter.name, ("", ""))
    assert ours in script.splitlines() or not ours
    assert "--walltime-margin 300 " in script
    if ours:
        _, without = script_of(system, job_directives_skip=[ours.split()[1].partition("=")[0]])
        assert ours.split()[1].partition("=")[0] not in without


@pytest.mark.parametrize("name", WARNINGS)
def test_a_users_own_warning_replaces_ours(name: str, request: pytest.FixtureRequest) -> None:
    """There is one such directive, and it is the user's."""
    ours, own = WARNINGS[name]
    system = request.getfixturevalue("every_system")[name]
    spec = JobSpec(cores=1, memory=2**30, walltime=7200, job_extra_directives=(own,))
    script = spec.render(system.adapter, ADDRESSES, credentials=None)
    option = ours.split()[1].partition("=")[0]
    assert [line for line in script.splitlines() if option in line] == [
        f"{system.adapter.directive_prefix} {own}"
    ]


NODES: dict[str, Any] = {"nodes": 2, "processes": 4, "resources": {"GPU": 4}}


def test_a_job_of_two_nodes(system: Any, tmp_path: Path) -> None:
    """Each node has half of all, and an agent of its own; or one error says that there are none."""
    if system.adapter.name == "htcondor":
        with pytest.raises(ConfigError, match="nodes=2: a job of HTCondor's runs on one machine"):
            script_of(system, **NODES)
        return
    _, script = script_of(system, **NODES)
    for words in ("--nodes 2 ", "--nworkers 2 ", "--nthreads 2 ", "--resources GPU=1 "):
        assert script.count(f"    {words}") == 1, words
    checked = subprocess.run(
        ["bash", "-n"], input=script, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


NODE_LISTS = {
    "sge": ("PE_HOSTFILE", "n1 4 all.q@n1 UNDEFINED\nn2 4 all.q@n2 UNDEFINED\n", "qrsh"),
    "oar": ("OAR_NODEFILE", "n1\nn1\nn2\nn2\n", "oarsh"),
    "lsf": ("LSB_MCPU_HOSTS", "n1 4 n2 4", "blaunch"),
    "pbs": ("PBS_NODEFILE", "n1\nn2\n", "pbsdsh"),
    "moab": ("PBS_NODEFILE", "n1\nn1\nn2\nn2\n", "pbsdsh"),
    "torque": ("PBS_NODEFILE", "n1\nn1\nn2\nn2\n", "pbsdsh"),
}
"""How a job learns of its nodes, and the command that starts something on them."""

REMOTE = {
    "pbsdsh": '[ "$1" != -u ] || shift\n'
    'for n in 0 1; do /usr/bin/env -i PBS_NODENUM=$n "$@" & done; wait\n',
    "qrsh": 'shift 2; shift; exec /usr/bin/env -i "$@"\n',
    "oarsh": 'shift; exec /usr/bin/env -i "$@"\n',
    "blaunch": 'shift; exec /usr/bin/env -i "$@"\n',
}
"""Stand-ins that start a command without any environment, as the real ones do."""

OLD_BASH = {
    "BASH_FUNC_wait%%": '() { case $1 in -*) echo "wait: invalid option" >&2; return 2;; esac; '
    'builtin wait "$@"; }'
}
"""Bash as it is on older machines (4.2 on RHEL 7): it can only wait for processes by number."""


@pytest.mark.parametrize("name", NODE_LISTS)
def test_each_node_runs_the_command_in_the_jobs_environment(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Run for real, with stand-ins for what starts processes elsewhere."""
    variable, hosts, remote = NODE_LISTS[name]
    agent = tmp_path / "python"
    # In one line, which is written in one piece: both nodes write to the same file.
    said = "\"$JOBQUEUE_NODE_RANK|${SITE//$'\\n'/ }|$PWD|$*\""
    agent.write_text(f'#!/bin/bash\necho {said} >>"$OUT"\n')
    stand_in = tmp_path / remote
    stand_in.write_text(f"#!/bin/bash\n{REMOTE[remote]}")
    for program in (agent, stand_in):
        program.chmod(0o755)
    (tmp_path / "hosts").write_text(hosts)
    _, script = script_of(
        request.getfixturevalue("every_system")[name],
        **NODES,
        records=str(tmp_path),
        python=str(agent),
        job_script_prologue=['export SITE="it\'s\nhere"', 'export OUT="$PWD/out"'],
    )
    environ = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        variable: hosts if name == "lsf" else str(tmp_path / "hosts"),
        **dict.fromkeys(("PBS_JOBID", "JOB_ID", "OAR_JOB_ID", "LSB_JOBID"), "7"),
        "PBS_NODENUM": "0",
        "PBS_ENVIRONMENT": "PBS_BATCH",
        **OLD_BASH,
    }
    (tmp_path / "job.sh").write_text(script)
    done = subprocess.run(
        ["bash", "job.sh"], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    ran = sorted((tmp_path / "out").read_text().replace("it's here", "site").splitlines())
    assert [line.split("|")[:3] for line in ran] == [
        [rank, "site", str(tmp_path)] for rank in ("0", "1")
    ]
    assert all("-m jobqueue.worker tls://10.1.2.3:4000" in line for line in ran)
    assert (tmp_path / "7.sh").stat().st_mode & 0o777 == 0o600


def test_a_job_ends_with_the_first_node_that_fails(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What runs on the other nodes is ended: it could not do the job's work by itself."""
    agent = tmp_path / "python"
    agent.write_text('#!/bin/bash\n[ "$JOBQUEUE_NODE_RANK" = 1 ] && exit 5\nexec sleep 300\n')
    (tmp_path / "blaunch").write_text(f"#!/bin/bash\n{REMOTE['blaunch']}")
    for program in ("python", "blaunch"):
        (tmp_path / program).chmod(0o755)
    _, script = script_of(
        request.getfixturevalue("every_system")["lsf"],
        **NODES,
        records=str(tmp_path),
        python=str(agent),
    )
    environ = {"LSB_MCPU_HOSTS": "n1 4 n2 4", "LSB_JOBID": "7", **OLD_BASH}
    done = subprocess.run(  # its end is that of the node that goes on, too: that holds the pipe
        ["bash", "-c", script], cwd=tmp_path, env=environ | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")


def test_the_number_of_the_submitting_program_is_no_nodes(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """`mpirun -n 1 python program.py` has a rank, and sbatch passes it on: it must not reach srun.

    Else each node would take itself for the first one.
    """
    (tmp_path / "srun").write_text(
        "#!/bin/bash\necho ${PMI_RANK-none} ${OMPI_COMM_WORLD_RANK-none}"
    )
    (tmp_path / "srun").chmod(0o755)
    _, script = script_of(request.getfixturevalue("every_system")["slurm"], **NODES)
    environ = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SLURM_JOB_ID": "7",
        "PMI_RANK": "0",
        "OMPI_COMM_WORLD_RANK": "0",
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environ, timeout=30, check=True, capture_output=True, text=True
    )
    assert done.stdout == "none none\n"


def test_the_first_node_that_fails_ends_the_job(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A job is the unit of life: its other nodes don't stay behind, held and half used."""
    agent = tmp_path / "python"
    agent.write_text('#!/bin/bash\n[ "$JOBQUEUE_NODE_RANK" = 1 ] && exit 5\nexec sleep 60\n')
    (tmp_path / "oarsh").write_text(f"#!/bin/bash\n{REMOTE['oarsh']}")
    for program in (agent, tmp_path / "oarsh"):
        program.chmod(0o755)
    (tmp_path / "hosts").write_text("n1\nn2\n")
    _, script = script_of(
        request.getfixturevalue("every_system")["oar"], **NODES, records=str(tmp_path),
        python=str(agent),
    )  # fmt: skip
    environ = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "OAR_NODEFILE": str(tmp_path / "hosts"),
        "OAR_JOB_ID": "7",
    }
    done = subprocess.run(["bash", "-c", script], env=environ, timeout=30, check=False)
    assert done.returncode == 1


def test_fewer_nodes_than_were_asked_for(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A parallel environment of the wrong kind gives one: the job's log says so, and it ends."""
    (tmp_path / "hosts").write_text("n1 8 all.q@n1 UNDEFINED\n")
    _, script = script_of(
        request.getfixturevalue("every_system")["sge"], **NODES, records=str(tmp_path)
    )
    environ = {"PATH": "/usr/bin:/bin", "PE_HOSTFILE": str(tmp_path / "hosts"), "JOB_ID": "7"}
    done = subprocess.run(
        ["bash", "-c", script], env=environ, timeout=30, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "this job should have 2 nodes, and has 1: n1\n"


def test_a_list_with_blanks_in_a_directive_of_slurms(request: pytest.FixtureRequest) -> None:
    """Of `-L scratch, home` sbatch would refuse `home`: it is written without the blanks."""
    adapter = request.getfixturevalue("every_system")["slurm"].adapter
    values = adapter.job_values({"job_extra_directives": ["-L scratch, home", '--comment="a, b"']})
    assert values["job_extra_directives"] == ["-L scratch,home", '--comment="a, b"']
