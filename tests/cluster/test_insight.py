"""What a cluster's user sees of jobs and workers, and waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.local import LocalCluster
from jobqueue.errors import ConfigError, WorkersUnavailable

pytestmark = pytest.mark.usefixtures("places")


def test_workers_are_waited_for_and_seen_by_name() -> None:
    """Each with its job; the cluster needs no client for it."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster:
        cluster.wait_for_workers(2, timeout="1 min")
        workers = cluster.workers
        assert len(workers) == 2
        assert all(worker.name == name for name, worker in workers.items())
        assert {worker.job_id for worker in workers.values()} <= {j.job_id for j in cluster.jobs}
        with pytest.raises(TimeoutError, match=r"^not 3 workers within 0\.01 s: 2 workers"):
            cluster.wait_for_workers(3, timeout=0.01)
    assert cluster.workers == {}


@pytest.mark.parametrize("count", [-1, 1.5, True, "2"])
def test_a_number_of_workers_that_is_none(count: Any) -> None:
    """It is not waited for."""
    with (
        LocalCluster(n_workers=0) as cluster,
        pytest.raises(ConfigError, match="is no whole number"),
    ):
        cluster.wait_for_workers(count)


def test_whoever_waits_for_workers_learns_that_none_will_come() -> None:
    """With the reason, as by a client."""
    with EmbeddedCluster(cores=1, memory="1GB", python="false;") as cluster:
        cluster.scale(jobs=1)
        with pytest.raises(WorkersUnavailable, match="ended without a worker connecting"):
            cluster.wait_for_workers(timeout=120)


def test_a_cluster_that_is_closed_meanwhile_ends_the_wait(wait_until: Any) -> None:
    """Nobody is left waiting for what cannot come."""
    cluster = LocalCluster(n_workers=0)
    raised: list[Exception] = []

    def wait() -> None:
        try:
            cluster.wait_for_workers()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: cluster.scheduler._changed, message="somebody to wait")
    cluster.close()
    thread.join(30)
    assert "is clos" in str(raised)


def test_logs_of_all_jobs_come_by_their_ids(wait_until: Any) -> None:
    """What `logs` returns for each; those without output have none."""
    with EmbeddedCluster(cores=1, memory="1GB", python="echo hello; sleep 600;") as cluster:
        assert cluster.get_logs() == {}
        cluster.scale(jobs=2)
        wait_until(
            lambda: (
                len(cluster.get_logs()) == 2
                and all("hello" in text for text in cluster.get_logs().values())
            ),
            message="both jobs to have said it",
        )
        assert cluster.get_logs() == {job.job_id: cluster.logs(job) for job in cluster.jobs}


def test_in_an_event_loop_waits_are_awaited() -> None:
    """And so are logs."""

    async def main() -> None:
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, asynchronous=True)
        with pytest.raises(ConfigError, match="was not started"):
            await cluster.wait_for_workers()
        async with cluster:
            await cluster.wait_for_workers(1, timeout=60)
            assert len(cluster.workers) == 1
            assert set(await cluster.get_logs()) == {job.job_id for job in cluster.jobs}

    asyncio.run(main())
