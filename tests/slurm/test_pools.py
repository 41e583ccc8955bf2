"""Several pools of one cluster on the real Slurm, and the ways by which its workers find it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobqueue import Client
from jobqueue.cluster.batch_system import INTERVALS
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.slurm import SLURMCluster

JOB = {"cores": 1, "memory": "256MB", "walltime": "00:10:00"}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster writes is in the test's own folder, which the nodes see."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`calls("scancel")`: how often the real command was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in ("sbatch", "squeue", "scancel"):
        log = tmp_path / f"{command}.log"
        (folder / command).write_text(f'#!/bin/sh\necho >> {log}\nexec /usr/bin/{command} "$@"')
        (folder / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def count(command: str) -> int:
        log = tmp_path / f"{command}.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    return count


def test_two_kinds_of_jobs_in_one_cluster(
    slurm: Any, wait_until: Any, calls: Any, places: Path
) -> None:
    """An array each, one scancel for all; what the victims of scaling down hold is not lost."""
    runs = places / "runs"

    def make(i: int) -> bytes:
        with runs.open("a") as file:
            file.write(f"{i}\n")
        return bytes([i]) * 1_000_000

    began = time.monotonic()
    pools = {"wide": {"cores": 2, "memory": "512MB", "processes": 2, "resources": {"GPU": 2}}}
    with SLURMCluster(**JOB, pools=pools) as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        cluster.scale(4, pool="wide")  # workers, of which a job has two
        client.wait_for_workers(6, timeout=90)
        assert calls("sbatch") == 2
        named = {job.job_id for job in cluster.pools["wide"].jobs}
        assert len({job_id.partition("_")[0] for job_id in named}) == 1
        made = client.map(make, range(4), resources={"GPU": 1})
        again = client.map(len, made, pool="default")
        assert client.gather(again) == [1_000_000] * 4
        cluster.scale(0, pool="wide")
        wide = cluster.pools["wide"]
        wait_until(lambda: {job.state for job in wide.jobs} == {JobState.ENDED}, 60, "its end")
        assert [value[:1] for value in client.gather(made)] == [bytes([i]) for i in range(4)]
        assert sorted(runs.read_text().split()) == ["0", "1", "2", "3"]
        cluster.scale(jobs=1, pool="wide")
        wait_until(lambda: len(slurm.squeue()) == 3, 60, "a third job")
        cancelled = calls("scancel")
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")
    assert calls("scancel") == cancelled + 1
    assert calls("squeue") <= 1 + (time.monotonic() - began) / INTERVALS[0], "none closer"


def test_workers_take_the_first_address_that_answers(slurm: Any, wait_until: Any) -> None:
    """The scheduler listens where it is told; of the addresses given, one need be right."""
    here = slurm.login_address
    interface = next(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if here in {each.address for each in addresses}
    )
    reach = [f"{slurm.nobodys_address}:4000", here]
    options = {"interface": interface}
    keywords = {"contact_address": reach, "scheduler_options": options, "interface": "eth0"}
    with SLURMCluster(**JOB, **keywords) as cluster, Client(cluster) as client:
        assert cluster.scheduler.addresses[0].startswith(f"tls://{here}:")
        cluster.scale(jobs=1)
        client.wait_for_workers(1, timeout=90)
        [worker] = cluster.scheduler.workers()
        assert all(address.split("//")[1].startswith("10.77.") for address in worker.addresses)
