"""Job scripts on a real Slurm: what its warning does to them, and one of PBS's for two nodes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobqueue import Client, PBSCluster, SLURMCluster

pytestmark = [pytest.mark.nodes(2), pytest.mark.usefixtures("places")]

TWO = {"cores": 2, "memory": "512MB", "processes": 2, "nodes": 2, "walltime": "00:10:00"}


def test_a_warning_reaches_the_agents_of_all_nodes(slurm: Any, wait_until: Any) -> None:
    """srun hands USR1 on: a running task ends, no result is lost, and all agents leave in order."""
    with SLURMCluster(**TWO, max_jobs=1) as cluster, Client(cluster) as client:
        assert "#SBATCH --signal=B:USR1@60\n" in cluster.job_script()
        cluster.scale(jobs=1)
        client.wait_for_workers(2, timeout=60)
        (job,) = {worker.job_id for worker in cluster.scheduler.workers()}
        names = [worker.name for worker in cluster.scheduler.workers()]
        slow = [client.submit(time.sleep, 2, workers=name, pure=False) for name in names]
        wait_until(
            lambda: client.processing() and all(client.processing().values()), 30, "both run"
        )
        slurm.run("scancel", "--batch", "--signal=USR1", job)
        assert [future.result(30) for future in slow] == [None, None]
        wait_until(lambda: slurm.state(job) == "COMPLETED", 60, "the job's end in order")


def test_a_pbs_job_of_two_nodes(pbs_over_slurm: Any) -> None:
    """The script starts itself on each node, with the environment that the job has."""
    prologue = ["export OF_THE_JOB='two words'"]
    with PBSCluster(**TWO, job_script_prologue=prologue) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.wait_for_workers(2, timeout=60)
        told = client.run(_told)
        assert len({node for node, _ in told.values()}) == 2
        assert {words for _, words in told.values()} == {"two words"}
        assert sorted(name.split("-")[-2] for name in told) == ["0", "1"]


def _told() -> tuple[str, str]:
    import os

    return os.uname().nodename, os.environ["OF_THE_JOB"]
