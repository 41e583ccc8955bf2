"""Sites whose nodes reach the login machine and not each other: results go through the scheduler.

What is blocked here is dropped without a word, as firewalls do it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

from jobqueue import Client, Future, SLURMCluster

JOB: dict[str, Any] = {
    "cores": 1,
    "memory": "512MB",
    "walltime": "00:10:00",
    "job_extra_directives": ["--exclusive"],  # each job on a node of its own
}
LENGTH = 200_000  # numbers of an array: 1.6 MB
NOT_REACHED = re.compile(r"peer not reached.* addresses=tls://([0-9.]+):")

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture
def client(slurm: Any) -> Iterator[Client]:
    """A client of a cluster with a worker on each node."""
    nodes = len(slurm.nodes)
    with SLURMCluster(**JOB, n_workers=nodes) as cluster, Client(cluster) as client:
        client.wait_for_workers(nodes, timeout=60)
        yield client


def make(number: int, length: int) -> Any:
    """Make an array that stays on its worker."""
    import numpy

    return numpy.full(length, float(number))


def worker_names(client: Client) -> list[str]:
    return sorted(client.nthreads())


def all_to_all(client: Client) -> list[float]:
    """Have every worker use an array of each; give the sum of each of these sums."""
    names = worker_names(client)
    arrays = [client.submit(make, n, LENGTH, workers=name) for n, name in enumerate(names, 1)]
    sums = [client.submit(lambda all: sum(map(sum, all)), arrays, workers=name) for name in names]
    return [float(value) / LENGTH for value in client.gather(sums)]


def expected(slurm: Any) -> list[float]:
    """Give what `all_to_all` gives where all is well."""
    nodes = len(slurm.nodes)
    return [float(sum(range(1, nodes + 1)))] * nodes


def tree(client: Client, leaves: int) -> Future:
    """Add arrays up two by two, those of a pair made on different workers."""
    names = worker_names(client)
    level = [
        client.submit(make, number, LENGTH, workers=names[number % len(names)])
        for number in range(leaves)
    ]
    while len(level) > 1:
        level = client.map(numpy.add, level[::2], level[1::2])
    return level[0]


def not_reached(client: Client) -> dict[str, list[str]]:
    """Give the addresses that each node's log says cannot be reached, by the node's name."""
    cluster = client.cluster
    assert isinstance(cluster, SLURMCluster)
    return {
        worker.host: NOT_REACHED.findall(cluster.logs(worker.job_id))
        for worker in cluster.scheduler.workers()
    }


def test_results_are_right_where_no_node_reaches_another(slurm: Any, client: Client) -> None:
    """Each peer is tried once, and told of once: what comes later goes another way at once."""
    slurm.isolate()
    assert all_to_all(client) == expected(slurm)
    assert (tree(client, 32).result(timeout=300) == sum(range(32))).all()
    addresses = {slurm.address(node) for node, _ in enumerate(slurm.nodes, 1)}
    for node, told in not_reached(client).items():
        own = slurm.address(slurm.nodes.index(node) + 1)
        assert sorted(told) == sorted(addresses - {own})


def test_two_nodes_that_do_not_reach_each_other(slurm: Any, client: Client) -> None:
    """Only between these two results go through the scheduler."""
    slurm.part(1, 2)
    assert all_to_all(client) == expected(slurm)
    assert (tree(client, 16).result(timeout=300) == sum(range(16))).all()
    first, second, *others = slurm.nodes
    parted = {first: [slurm.address(2)], second: [slurm.address(1)]}
    assert not_reached(client) == parted | {other: [] for other in others}
