"""What runs of a cluster: how it begins, fails to, and answers before and after."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.errors import CommError, ConfigError

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
    """Awaiting it again, and closing it, do nothing; whoever scales it is told."""

    async def main() -> Any:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            host, port = taken.getsockname()
            options = {"host": host, "port": port}
            cluster = EmbeddedCluster(**SLEEPING, scheduler_options=options, asynchronous=True)
            with pytest.raises(CommError):
                await cluster
        await cluster
        with pytest.raises(ConfigError, match="is failed: it cannot be scaled"):
            cluster.scale(jobs=1)
        await cluster.close()
        return cluster

    assert asyncio.run(main()).status == "failed"


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


def test_after_the_end() -> None:
    """A closed cluster cannot be scaled, and still knows its jobs."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        pass
    with pytest.raises(ConfigError, match="is closed: it cannot be scaled"):
        cluster.scale(jobs=1)
    assert cluster.jobs == []
