"""LocalCluster: workers of this machine, with real tasks."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.local import _memory, _share
from jobqueue.errors import ConfigError, JobQueueWarning


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a cluster's socket and logs go; short, as a socket's path has to be."""
    folder = Path("/tmp") / f"jq-{os.getpid()}-{tmp_path.name[-20:]}"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_tasks_run_in_other_processes_and_nothing_is_left(folder: Path) -> None:
    """A Unix socket in a folder of mode 0700, which goes with the cluster."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster:
        [path] = folder.iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert cluster.scheduler_address.startswith(f"unix://{path}/")
        with Client(cluster) as client:
            client.wait_for_workers(2)
            pids = set(client.gather(client.map(lambda _: os.getpid(), range(50))))
            assert os.getpid() not in pids
        assert repr(cluster).startswith("LocalCluster('local', 2/2 jobs, workers=2, threads=2")
    assert list(folder.iterdir()) == []


def test_scaling_down_loses_no_result(wait_until: Any) -> None:
    """What only the victims hold moves first: nothing is computed a second time."""
    with LocalCluster(n_workers=3, threads_per_worker=1) as cluster, Client(cluster) as client:
        client.wait_for_workers(3)
        futures = client.map(lambda i: (i, os.getpid(), b"x" * 100_000), range(30))
        before = [(i, pid) for i, pid, _ in client.gather(futures)]
        cluster.scale(1)
        wait_until(lambda: len(cluster.scheduler.workers()) == 1, message="two workers to go")
        assert [(i, pid) for i, pid, _ in client.gather(futures)] == before
        assert {job.cause for job in cluster.jobs if job.state is JobState.ENDED} <= {"completed"}


def test_scaling_up_again(wait_until: Any) -> None:
    """From none to two to one to two."""
    with LocalCluster(n_workers=0, threads_per_worker=1) as cluster:
        assert cluster.jobs == []
        for n in (2, 1, 2):
            cluster.scale(n)
            wait_until(lambda n=n: len(cluster.scheduler.workers()) == n, message=f"{n} workers")


def test_a_killed_job_is_replaced(wait_until: Any) -> None:
    """Agent and worker die at once; another job comes, and work goes on."""
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster) as client:
        pid = client.submit(os.getppid).result(timeout=30)  # the worker's agent
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(cluster.jobs) == 2, message="a replacement")
        assert cluster.jobs[0].exit_code == -signal.SIGKILL
        assert client.submit(os.getppid).result(timeout=30) != pid


def test_a_cluster_that_adapts_grows_at_once_and_shrinks_when_idle(
    wait_until: Any, tmp_path: Path
) -> None:
    """From nothing to the maximum; down to one worker while results are held, then to none."""
    go = tmp_path / "go"

    def work(i: int) -> tuple[int, int, bytes]:
        while not go.exists():
            time.sleep(0.02)
        return i, os.getpid(), b"x" * 10**6

    with LocalCluster(n_workers=0, threads_per_worker=1) as cluster, Client(cluster) as client:
        cluster.adapt(maximum=2, idle_timeout="0.3s", interval="0.05s", target_duration="0.1s")
        assert cluster.describe() == "0 workers; adaptive, 0 to 2 jobs"
        futures = client.map(work, range(20))
        client.wait_for_workers(2, timeout=30)
        wait_until(lambda: all(worker.running for worker in cluster.scheduler.workers()))
        go.touch()
        before = [(i, pid) for i, pid, *_ in client.gather(futures)]
        assert len({pid for _, pid in before}) == 2
        wait_until(lambda: len(cluster.scheduler.workers()) == 1, message="one worker to go")
        assert [(i, pid) for i, pid, *_ in client.gather(futures)] == before, "computed again"
        del futures
        wait_until(lambda: not cluster.scheduler.workers(), message="the other one to go")
        assert len(cluster.jobs) == 2
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        cluster.scale(2)
        wait_until(lambda: len(cluster.scheduler.workers()) == 2, message="what scale() wants")


def test_an_asynchronous_cluster_adapts() -> None:
    """Nothing is to be awaited for that; nonsense is told at once."""

    async def main() -> None:
        async with (
            LocalCluster(n_workers=0, threads_per_worker=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            with pytest.raises(ConfigError, match="at least 3 jobs and at most 2 jobs"):
                cluster.adapt(minimum=3, maximum=2)
            cluster.adapt(maximum=1, interval="0.05s")
            assert await client.submit(sum, [1, 2]) == 3

    asyncio.run(main())


def test_an_asynchronous_local_cluster() -> None:
    """Everything in the running event loop."""

    async def main() -> None:
        async with (
            LocalCluster(n_workers=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            assert await client.submit(sum, [1, 2, 3]) == 6

    asyncio.run(main())


@pytest.mark.parametrize(
    ("asked", "cpus", "got"),
    [
        ((None, None), 1, (1, 1)),
        ((None, None), 4, (4, 1)),
        ((None, None), 24, (6, 4)),
        ((2, None), 24, (2, 12)),
        ((None, 3), 24, (8, 3)),
        ((3, 5), 2, (3, 5)),
        ((0, None), 8, (0, 8)),
        ((5, None), 4, (5, 1)),
    ],
)
def test_cpus_are_shared_out(asked: Any, cpus: int, got: Any) -> None:
    """What is given stands; what is open is chosen so that all CPUs are used."""
    assert _share(*asked, cpus) == got


def test_memory_is_shared_out() -> None:
    """In text, in bytes, equally, or without a limit."""
    assert _memory("1 GiB", 4) == 2**30
    assert _memory(10**9, 4) == 10**9
    assert _memory(None, 4) == _memory(0, 4) == 0
    assert _memory("auto", 4) == pytest.approx(_memory("auto", 1) / 4, abs=4)


def test_workers_that_come_later_share_the_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that begins with none does not promise all of it to each."""
    monkeypatch.setattr("jobqueue.cluster.local.available_cpus", lambda: 4)
    with LocalCluster(n_workers=0, threads_per_worker=1) as cluster:
        assert cluster._plan.pools["default"].size.memory == pytest.approx(
            _memory("auto", 4), rel=0.01
        )


@pytest.mark.parametrize(
    "keywords",
    [
        {"n_workers": -1},
        {"n_workers": 1.5},
        {"threads_per_worker": 0},
        {"memory_limit": "lots"},
        {"processes": False},
        {"n_wrokers": 2},
    ],
)
def test_nonsense_is_one_clear_error(keywords: dict[str, Any], folder: Path) -> None:
    """It names the keyword; nothing was made."""
    with pytest.raises(ConfigError, match=next(iter(keywords))):
        LocalCluster(**keywords)
    assert list(folder.iterdir()) == []


def test_a_mistyped_keyword_is_told_the_right_one() -> None:
    """As for the other clusters."""
    with pytest.raises(ConfigError, match=r"'nworkers' is no keyword .* did you mean 'n_workers'"):
        LocalCluster(nworkers=2)


def test_no_memory_limit_means_that_memory_cannot_be_counted() -> None:
    """scale(memory=) says so."""
    with (
        LocalCluster(n_workers=0, memory_limit=None) as cluster,
        pytest.raises(ConfigError, match="no memory limit"),
    ):
        cluster.scale(memory="4GB")


@pytest.mark.parametrize(
    ("keywords", "scheme"),
    [
        ({"host": "127.0.0.1"}, "tls"),
        ({"interface": "lo"}, "tls"),
        ({"protocol": "tcp"}, "tcp"),
    ],
)
def test_a_scheduler_in_a_network(keywords: dict[str, Any], scheme: str) -> None:
    """It listens where it is told to, and its workers find it there."""
    with LocalCluster(n_workers=1, threads_per_worker=1, **keywords) as cluster:
        assert cluster.scheduler_address.startswith(f"{scheme}://127.0.0.1:")
        with Client(cluster) as client:
            assert client.submit(sum, [1, 2]).result(30) == 3


@pytest.mark.parametrize(
    "keywords",
    [
        {"dashboard_address": None, "silence_logs": 30},
        {"scheduler_port": 0, "host": None, "protocol": None, "interface": None},
        {"security": None},
        {"security": True},
    ],
)
def test_keywords_of_other_local_clusters(keywords: dict[str, Any]) -> None:
    """Those that ask for nothing special change nothing."""
    with LocalCluster(n_workers=0, **keywords) as cluster:
        assert cluster.scheduler_address.startswith("unix://")


def test_a_dashboard_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for one is told, once."""
    monkeypatch.setattr("jobqueue.config.warn._told", set())
    with (
        pytest.warns(JobQueueWarning, match="there is no dashboard yet"),
        LocalCluster(n_workers=0, dashboard_address=":0"),
    ):
        pass


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"protocol": "inproc"}, "give tls or tcp"),
        ({"host": "127.0.0.1", "interface": "lo"}, "give one of them"),
        ({"scheduler_port": 70_000}, "is no port"),
        ({"scheduler_port": "8786"}, "is no port"),
        ({"interface": "no-such"}, "no-such"),
        ({"security": object()}, "is no Credentials"),
    ],
)
def test_networks_that_cannot_be_used(keywords: dict[str, Any], message: str) -> None:
    """What is wrong is told before anything is started."""
    with pytest.raises(ConfigError, match=message):
        LocalCluster(n_workers=0, **keywords)
