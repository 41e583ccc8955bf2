"""A cluster whose workers have little memory, from its user's side."""

from __future__ import annotations

import os

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.errors import KilledWorker

MB = 10**6


def test_results_larger_than_memory_and_a_task_that_takes_too_much():
    """All results are right; the task's error says how much it took; the cluster is well after."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="250 MB") as cluster,
        Client(cluster) as client,
    ):
        futures = client.map(bytes, [10 * MB + number for number in range(20)])
        assert [len(value) for value in client.gather(futures)] == [
            10 * MB + number for number in range(20)
        ]
        sizes = client.submit(lambda *values: list(map(len, values)), *futures[::5])
        assert sizes.result(60) == [10 * MB + number for number in range(0, 20, 5)]
        del futures, sizes

        take = f"(bytearray(b'x') * {400 * MB}, __import__('time').sleep(100))"
        greedy = client.submit(eval, take)
        with pytest.raises(
            KilledWorker, match=r"3 workers .*: used \d+ MiB of its 2\d\d MiB memory limit"
        ):
            greedy.result(60)
        assert client.submit(os.getpid).result(60)
