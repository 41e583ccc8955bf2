"""Jobs of two nodes on a real Slurm: workers on both, whole jobs for one program, and their end."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster

pytestmark = [pytest.mark.nodes(2), pytest.mark.usefixtures("places")]


def nodes_of_this_job() -> list[str]:
    """What a Python function needs to start something by itself."""
    return Path(os.environ["JOBQUEUE_NODEFILE"]).read_text().split()


def test_a_job_of_two_nodes_is_one_thing(slurm: Any, places: Path, wait_until: Any) -> None:
    """Tasks run on both nodes, one may have both, and if one node's agent dies, so does the job.

    The program that a task starts on all nodes runs there under Slurm's own launcher, beside the
    workers, which are given nothing else meanwhile.
    """
    two = {"cores": 2, "memory": "512MB", "processes": 2, "nodes": 2, "walltime": "00:10:00"}
    with SLURMCluster(**two) as cluster, Client(cluster) as client:
        cluster.scale(jobs=1)
        client.wait_for_workers(2, timeout=60)
        (job,) = {worker.job_id for worker in cluster.scheduler.workers()}
        workers = {worker.name: worker for worker in cluster.scheduler.workers()}
        assert sorted(name.removeprefix(f"dask-worker-{job}") for name in workers) == [
            "-0-0",
            "-1-0",
        ]
        hosts = {name: client.submit(socket.gethostname, workers=name) for name in workers}
        on = {name: future.result(30) for name, future in hosts.items()}
        assert len(set(on.values())) == 2
        lead, mate = sorted(workers)
        assert (workers[lead].resources, workers[mate].resources) == ({"nodes": 2}, {})
        nodes = client.submit(nodes_of_this_job, resources={"nodes": 2}).result(30)
        assert nodes == [on[lead], on[mate]]

        said = 'echo "$(hostname) $SLURM_PROCID"; touch "began-$SLURM_PROCID"'
        script = f"{said}; until [ -e go-on ]; do sleep 0.1; done"
        program = client.submit_mpi(["sh", "-c", script], nodes=2, cwd=places)
        wait_until(lambda: len(list(places.glob("began-*"))) == 2, 30, "both of its processes")
        other = client.submit(os.getppid, workers=mate)
        assert f"reserved for {program.key}" in client.explain(other)
        (places / "go-on").touch()
        result = program.result(30)
        assert sorted(result.stdout.splitlines()) == sorted(f"{n} {i}" for i, n in enumerate(nodes))
        assert result.hosts == tuple(nodes)

        agent = other.result(30)  # of the second node
        slurm.exec(slurm.nodes.index(on[mate]) + 1, ["kill", f"-{int(signal.SIGKILL)}", str(agent)])
        wait_until(
            lambda: {w.job_id for w in cluster.scheduler.workers()} not in ({job}, set()),
            60,
            "another job in its place",
        )
        client.wait_for_workers(2, timeout=60)
        (replacement,) = {worker.job_id for worker in cluster.scheduler.workers()}
        assert replacement != job
        assert client.submit(socket.gethostname).result(30) in slurm.nodes
        assert slurm.state(job) not in ("RUNNING", "COMPLETING", "PENDING")
