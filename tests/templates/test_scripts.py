"""Job scripts compared whole with the files in golden/.

After a wanted change, write them anew and read the difference before committing it:

    JOBQUEUE_WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/templates
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.htcondor import HTCondorAdapter
from jobqueue.batch.lsf import LSFAdapter
from jobqueue.batch.moab import MoabAdapter
from jobqueue.batch.oar import OARAdapter
from jobqueue.batch.pbs import Dialect, PBSAdapter
from jobqueue.batch.sge import SGEAdapter
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster.job_spec import JobSpec

HERE = Path(__file__).parent
ADDRESSES = ("tls://10.1.2.3:40123", "tls://192.168.0.5:40123")
CREDENTIALS = "/home/ada/.jobqueue/ada-1/credentials"

SMALLEST: Mapping[str, Any] = {"cores": 4, "memory": 16 * 2**30, "python": "/opt/python/bin/python"}
FULL: Mapping[str, Any] = {
    "cores": 24,
    "memory": 100 * 10**9,
    "processes": 6,
    "job_name": "dask-worker",
    "walltime": 43200,
    "queue": "regular",
    "account": "P123",
    "python": "srun -n 1 -c 20 python",
    "worker_extra_args": ["--preload", "site_setup.py"],
    "job_script_prologue": ["module load python", 'echo "on $(hostname)"'],
    "log_directory": "/home/ada/logs",
    "local_directory": "$TMPDIR/$USER",
    "interface": "ib0",
    "death_timeout": 90,
    "resources": {"GPU": 6},
}
NODES: Mapping[str, Any] = {
    **SMALLEST,
    "cores": 96,
    "memory": 384 * 2**30,
    "processes": 8,
    "nodes": 4,
    "resources": {"GPU": 8},
    "pool": "mpi",
    "walltime": 7200,
    "walltime_margin": 300,
    "log_directory": "/home/ada/logs",
}
RECORDS = {"exit_records": "/home/ada/.jobqueue/ada-1/exit"}
EPILOGUE = {**SMALLEST, "job_script_epilogue": ["rm -rf /scratch/$USER/jobqueue", "echo done"]}
SITE = str(HERE / "site" / "slurm.sh.j2")

CASES: dict[str, tuple[BatchAdapter, Mapping[str, Any], dict[str, Any]]] = {
    "slurm-smallest": (SlurmAdapter(), SMALLEST, {}),
    "slurm-full": (
        SlurmAdapter(),
        {
            **FULL,
            "job_cpu": 12,
            "job_mem": "36gb",
            "job_extra_directives": ["-C haswell", "--exclusive"],
            "job_directives_skip": ["-n", "--nodes"],
        },
        {"exit_records": "/home/ada/.jobqueue/ada-1/exits"},
    ),
    "slurm-array": (SlurmAdapter(), {**FULL, "job_script_prologue": []}, {"array": True}),
    "slurm-epilogue": (SlurmAdapter(), EPILOGUE, {}),
    "slurm-awkward": (
        SlurmAdapter(),
        {
            **SMALLEST,
            "job_name": "my job",
            "log_directory": "/home/ada lovelace/100%u/logs",
            "local_directory": "~/scratch dir/$USER",
            "python": "cd /x && OMP_NUM_THREADS=1 apptainer exec image.sif python",
            "walltime": None,
        },
        {},
    ),
    "slurm-site": (SlurmAdapter(), {**FULL, "template": SITE}, {}),
    "pbs-smallest": (PBSAdapter(), SMALLEST, {}),
    "pbs-full": (
        PBSAdapter(),
        {
            **FULL,
            "resource_spec": "select=1:ncpus=24:mem=100GB",
            "job_extra_directives": ["-l place=excl", "-r n"],
            "job_directives_skip": ["-l walltime"],
        },
        {"array": True},
    ),
    "pbs-epilogue": (PBSAdapter(), EPILOGUE, {}),
    "sge-smallest": (SGEAdapter(), SMALLEST, {}),
    "sge-full": (
        SGEAdapter(),
        {
            **FULL,
            "project": "P123",
            "resource_spec": "h_vmem=4G",
            "job_extra_directives": ["-pe smp 24", "#$ -notify"],
            "job_directives_skip": ["-q", "#$ -e"],
        },
        {"array": True},
    ),
    "sge-epilogue": (SGEAdapter(), EPILOGUE, {}),
    "torque-smallest": (PBSAdapter(dialect=Dialect.TORQUE), SMALLEST, {}),
    "moab-smallest": (MoabAdapter(), SMALLEST, {}),
    "moab-full": (
        MoabAdapter(),
        {**FULL, "resource_spec": "nodes=1:ppn=24,mem=100gb", "job_extra_directives": ["-r n"]},
        {},
    ),
    "lsf-smallest": (LSFAdapter(), SMALLEST, {}),
    "lsf-full": (
        LSFAdapter(),
        {
            **FULL,
            "project": "P123",
            "ncpus": 25,
            "mem": 120 * 10**9,
            "lsf_units": "mb",
            "job_extra_directives": ["-x", '-R "rusage[mem=4GB]"'],
            "job_directives_skip": ["-R", "#BSUB -e"],
        },
        {"array": True},
    ),
    "oar-smallest": (OARAdapter(), SMALLEST, {}),
    "oar-full": (
        OARAdapter(),
        {
            **FULL,
            "project": "P123",
            "memory_per_core_property_name": "memcore",
            "resource_spec": "/nodes=1/core=24",
            "job_extra_directives": ["-t besteffort", "-p cluster='big'"],
            "job_directives_skip": ["-q"],
        },
        {"array": True},
    ),
    "htcondor-smallest": (HTCondorAdapter(), SMALLEST, {}),
    "htcondor-full": (
        HTCondorAdapter(),
        {
            **FULL,
            "disk": 10 * 10**9,
            "job_extra_directives": {"+Project": '"physics"', "Requirements": "(OpSys == LINUX)"},
            "job_directives_skip": ["stream_error", "request_cpus"],
        },
        {"array": True},
    ),
    "htcondor-epilogue": (HTCondorAdapter(), EPILOGUE, {}),
    "slurm-nodes": (SlurmAdapter(), NODES, {"array": True, **RECORDS}),
    "slurm-launcher": (
        SlurmAdapter(),
        {
            **NODES,
            "launcher": "mpiexec -ppn 1",
            "python": "OMP_NUM_THREADS=1 python",
            "job_extra_directives": ["--signal=B:USR2@600"],
        },
        RECORDS,
    ),
    "pbs-nodes": (PBSAdapter(), NODES, RECORDS),
    "torque-nodes": (PBSAdapter(dialect=Dialect.TORQUE), NODES, RECORDS),
    "wrappers-nodes": (PBSAdapter(dialect=Dialect.SLURM_WRAPPERS), NODES, RECORDS),
    "sge-nodes": (
        SGEAdapter(),
        {**NODES, "job_extra_directives": ["-pe mpi24 96"], "job_script_epilogue": ["echo done"]},
        RECORDS,
    ),
    "lsf-nodes": (LSFAdapter(), NODES, RECORDS),
    "oar-nodes": (OARAdapter(), NODES, RECORDS),
}


def rendered(name: str) -> tuple[JobSpec, str]:
    """Return a case's job and its script, made as a cluster makes it."""
    adapter, values, options = CASES[name]
    spec = JobSpec.from_values(adapter.job_values(values))
    adapter = adapter.with_directives(spec.job_extra_directives).with_keywords(values)
    return spec, spec.render(adapter, ADDRESSES, credentials=CREDENTIALS, **options)


@pytest.mark.parametrize("name", CASES)
def test_script_is_exactly_the_golden_one(name: str) -> None:
    """A job script is, character by character, what its golden file holds."""
    _, script = rendered(name)
    golden = HERE / "golden" / f"{name}.sh"
    if os.environ.get("JOBQUEUE_WRITE_GOLDEN"):
        golden.write_text(script)
    assert script == golden.read_text()


@pytest.mark.parametrize("golden", sorted((HERE / "golden").glob("*.sh")), ids=lambda p: p.stem)
def test_script_is_valid_shell(golden: Path) -> None:
    """Bash finds no syntax error in any script, and each golden file belongs to a case."""
    assert golden.stem in CASES
    checked = subprocess.run(["bash", "-n", golden], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", CASES)
def test_order_of_a_script(name: str) -> None:
    """Shebang, directives, extra directives, prologue, worker command, epilogue: in that order."""
    spec, script = rendered(name)
    adapter = CASES[name][0]
    parts = [
        spec.shebang,
        f"\n{adapter.directive_prefix} ",
        *(f"{adapter.directive_prefix} {extra}" for extra in spec.job_extra_directives),
        *spec.job_script_prologue,
        *(["exec "] if spec.nodes == 1 else []),
        "-m jobqueue.worker",
        *spec.job_script_epilogue,
    ]
    places = [script.index(part) for part in parts]
    assert places == sorted(places)
    assert script.startswith("#!")
