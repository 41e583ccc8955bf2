"""What runs of a cluster: how it begins, fails to, and answers before and after."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.pbs import PBSCluster
from jobqueue.errors import CommandNotFound, CommError, ConfigError

SLEEPING = {"cores": 1, "memory": "1GB", "python": "sleep 600;"}

pytestmark = pytest.mark.usefixtures("places")


def test_a_scheduler_that_cannot_listen_leaves_nothing(places: Path) -> None:
    """The port is somebody else's: one error that says so, and no folder with credentials."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(CommError, match=f"127.0.0.1:{port}: cannot listen there: Address"):
            EmbeddedCluster(**SLEEPING, scheduler_options={"host": host, "port": port})
    assert list((places / "state").iterdir()) == []


def test_a_start_that_failed_is_not_tried_again() -> None:
    """Awaiting it again raises the first error, closing does nothing; whoever scales is told."""

    async def main() -> Any:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            host, port = taken.getsockname()
            options = {"host": host, "port": port}
            cluster = EmbeddedCluster(**SLEEPING, scheduler_options=options, asynchronous=True)
            with pytest.raises(CommError) as first:
                await cluster
        for _ in range(2):
            with pytest.raises(CommError) as again:
                await cluster
            assert again.value is first.value
        with pytest.raises(ConfigError, match="is failed: it cannot be scaled"):
            cluster.scale(jobs=1)
        await cluster.close()
        return cluster

    assert asyncio.run(main()).status == "failed"


def test_a_cluster_that_got_no_jobs_at_its_start_says_so_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is closed by then, and nobody takes it for one that runs."""
    monkeypatch.setenv("PATH", "/nonexistent")

    async def main() -> str:
        cluster = PBSCluster(cores=1, memory="1GB", n_workers=1, asynchronous=True)
        for _ in range(2):
            with pytest.raises(CommandNotFound, match="qsub is not on PATH"):
                await cluster
        return cluster.status

    assert asyncio.run(main()) == "closed"


def test_a_start_that_was_interrupted_is_told_as_that() -> None:
    """Whoever awaits it again was not cancelled themselves."""

    async def main() -> None:
        cluster = EmbeddedCluster(**SLEEPING, asynchronous=True)
        start = asyncio.ensure_future(cluster)
        await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        with pytest.raises(ConfigError, match="is failed: its start was interrupted; make a new"):
            await cluster

    asyncio.run(main())


def test_before_the_start() -> None:
    """What needs a running cluster says how to get one; what can be told is told."""

    async def main() -> None:
        cluster = EmbeddedCluster(**SLEEPING, asynchronous=True)
        assert cluster.describe() == "0 workers; cluster created"
        assert cluster.jobs == []
        with pytest.raises(ConfigError, match="was not started: await it first"):
            cluster.scheduler  # noqa: B018
        with pytest.raises(ConfigError, match="is created: it cannot be scaled"):
            cluster.scale(jobs=1)
        with pytest.raises(ConfigError, match="was not started: await it first"):
            await cluster.logs("1")

    asyncio.run(main())


def test_jobs_of_two_batch_systems_may_have_the_same_id(places: Path) -> None:
    """A row of `jobs` tells which one is meant; an id by itself is an error that says so."""
    pools = {name: {"log_directory": str(places / name)} for name in ("near", "far")}

    async def main() -> None:
        async with EmbeddedCluster(**SLEEPING, asynchronous=True, pools=pools) as cluster:
            for name in pools:
                cluster._core.keeper(name).state.adopt(["7"], 0.0)
                (places / name / "dask-worker-7.out").write_text(name)
            for job in cluster.jobs:
                assert await cluster.logs(job) == job.pool
            with pytest.raises(ConfigError, match="one of pool near and one of far: give the row"):
                await cluster.logs("7")

    asyncio.run(main())


def test_after_the_end(wait_until: Any) -> None:
    """A closed cluster cannot be scaled, and still knows its jobs: they were cancelled."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: [job.state for job in cluster.jobs] == [JobState.RUNNING])
    with pytest.raises(ConfigError, match="is closed: it cannot be scaled"):
        cluster.scale(jobs=1)
    [job] = cluster.jobs
    assert str(job) == f"{job.job_id} ENDED (cancelled)"
