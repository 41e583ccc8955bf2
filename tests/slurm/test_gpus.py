"""GPUs of jobs on a real Slurm; its devices are not real, but what it tells of them is."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster, devices, get_worker

CUDA = "CUDA_VISIBLE_DEVICES"
pytestmark = pytest.mark.usefixtures("places")

meeting = threading.Barrier(2)


def seen() -> tuple[str, tuple[str, ...], tuple[str, ...], str | None]:
    worker = get_worker()
    return worker.name, worker.devices, devices(), os.environ.get(CUDA)


def seen_by_two(number: int) -> tuple[str, tuple[str, ...], tuple[str, ...], str | None]:
    """Two tasks, at the same time in one worker."""
    meeting.wait(60)
    return seen()


def test_each_worker_and_each_task_has_its_gpus(slurm: Any) -> None:
    """Slurm tells a job of two; its two workers have one each, or the two tasks of its one.

    What asks for GPUs runs where there are some, whatever the pool; what asks for none has none.
    """
    gpus = {"resources": {"GPU": 2}, "job_extra_directives": ["--gres=gpu:2"], "cores": 2}
    pools = {"split": {**gpus, "processes": 2}, "whole": {**gpus, "processes": 1}}
    with SLURMCluster(cores=1, memory="256MB", pools=pools) as cluster, Client(cluster) as client:
        for name in ("default", *pools):
            cluster.scale(jobs=1, pool=name)
        client.wait_for_workers(4, timeout=60)

        everywhere = [client.submit(seen, workers=[name]) for name in client.nthreads()]
        found = sorted((of_worker, shown) for _, of_worker, _, shown in client.gather(everywhere))
        assert found == [((), None), (("0",), "0"), (("0", "1"), "0,1"), (("1",), "1")]
        assert {of_task for _, _, of_task, _ in client.gather(everywhere)} == {()}

        one = client.submit(seen, resources={"GPU": 1}, pool="split").result()
        assert one[2] == one[1]
        both = [client.submit(seen_by_two, n, resources={"GPU": 1}, pool="whole") for n in (1, 2)]
        assert sorted(of_task for _, _, of_task, _ in client.gather(both)) == [("0",), ("1",)]
        assert client.submit(seen, resources={"GPU": 2}).result()[2] == ("0", "1")
