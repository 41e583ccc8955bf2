"""Several pools in one cluster, as users hold them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, LocalCluster, as_completed, wait
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.slurm import SLURMCluster
from jobqueue.errors import ConfigError, WorkersUnavailable

SLEEPING = {"cores": 1, "memory": "1GB", "python": "sleep 600;"}

pytestmark = pytest.mark.usefixtures("places")


def worker_name() -> str:
    from jobqueue import get_worker

    return str(get_worker().name)


def test_pools_are_scaled_one_by_one(wait_until: Any) -> None:
    """Each has jobs of its own, which tell their pool; in words and scripts as well."""
    pools = {"gpu": {"cores": 2, "memory": "2GB", "resources": {"GPU": 2}, "job_name": "gpus"}}
    with EmbeddedCluster(**SLEEPING, pools=pools) as cluster:
        gpu = cluster.pools["gpu"]
        assert "--pool gpu" in cluster.job_script(pool="gpu")
        assert "--pool default" in cluster.job_script()
        assert "-J gpus" in gpu.job_script()
        cluster.scale(cores=2)
        gpu.scale(memory="3GB")  # two jobs: sizes are the pool's
        wait_until(lambda: [job.state for job in cluster.jobs] == [JobState.RUNNING] * 4)
        assert [job.pool for job in cluster.jobs].count("gpu") == 2
        assert {job.job_id for job in gpu.jobs} < {job.job_id for job in cluster.jobs}
        assert "0/4 jobs (default 0/2, gpu 0/2), workers=0" in repr(cluster)
        assert "jobs of gpu" in cluster._repr_html_()
        assert cluster.describe().startswith("0 workers; pool default: 2 jobs started without")
        assert repr(gpu).startswith("<Pool gpu: 0 workers; 2 jobs started without a worker yet")
        entry = cluster._plan.ledger.entry
        assert sorted(entry.pools.values()) == ["default", "default", "gpu", "gpu"]
        gpu.scale(0)
        wait_until(lambda: {job.state for job in gpu.jobs} == {JobState.ENDED})
        mine = cluster.pools["default"].jobs
        assert {job.state for job in mine} == {JobState.RUNNING}
        assert cluster.logs(gpu.jobs[0]) == ""


def test_a_pool_comes_while_the_cluster_runs() -> None:
    """Tasks go where they are told; the pool's jobs are like the cluster's but for what it says."""
    with EmbeddedCluster(cores=1, memory="500MB") as cluster, Client(cluster) as client:
        cluster.scale(1)
        fat = cluster.add_pool("fat", memory="1GB", job_name="fat")
        fat.scale(1)
        there = client.submit(worker_name, pool="fat")
        others = client.map(worker_name, range(0), pool="default")
        assert others == []
        assert there.result(timeout=60).startswith("fat-")
        assert client.submit(worker_name, pool="default").result(timeout=60).startswith("dask-")
        assert "--nthreads 1" in fat.job_script()
        with pytest.raises(ConfigError, match="'fat' already"):
            cluster.add_pool("fat")
        with pytest.raises(ConfigError, match="no pool 'fit'; there are: default, fat"):
            client.submit(abs, -1, pool="fit")
    with pytest.raises(ConfigError, match="is closed: no pool can be added"):
        cluster.add_pool("late")


def test_who_adds_a_pool_waits_for_files_and_nobody_else_does() -> None:
    """Configuration, template and folders, on a slow file system perhaps: others go on."""
    threads = []

    class Watched(EmbeddedCluster):
        @classmethod
        def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
            threads.append(threading.current_thread())
            return super().completed(values)

    with Watched(**SLEEPING) as cluster:
        threads.clear()
        cluster.add_pool("more")
        assert threads == [threading.current_thread()]


def test_an_asynchronous_cluster_has_pools_before_and_after_its_start() -> None:
    """Adding one needs no await."""

    async def main() -> list[str]:
        cluster = EmbeddedCluster(**SLEEPING, asynchronous=True)
        cluster.add_pool("early")
        async with cluster:
            cluster.add_pool("late")
            cluster.scale(jobs=1, pool="late")
            async with asyncio.timeout(30):
                while not cluster.jobs:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert list(cluster.pools) == ["default", "early", "late"]
            return [job.pool for job in cluster.jobs]

    assert asyncio.run(main()) == ["late"]


def test_what_is_wrong_with_a_pool_is_one_error() -> None:
    """Unknown pools, bad names, and keywords that are the cluster's alone."""
    with EmbeddedCluster(**SLEEPING, pools={"gpu": {}}) as cluster:
        for call in (
            lambda: cluster.scale(1, pool="cpu"),
            lambda: cluster.adapt(maximum=1, pool="cpu"),
            lambda: cluster.resume(pool="cpu"),
            lambda: cluster.job_script(pool="cpu"),
            lambda: cluster.describe(pool="cpu"),
        ):
            with pytest.raises(ConfigError, match="no pool 'cpu'; there are: default, gpu"):
                call()
        with pytest.raises(ConfigError, match="no name of a pool"):
            cluster.add_pool("a b")
        with pytest.raises(ConfigError, match="same for all pools"):
            cluster.add_pool("other", protocol="tcp")
        with pytest.raises(ConfigError, match="pool 'default' already"):
            cluster.add_pool("default")
        assert list(cluster.pools) == ["default", "gpu"]


def test_limits_of_a_cluster_hold_for_all_its_pools(wait_until: Any) -> None:
    """And those of a pool for it alone; what is held back is told with the reason."""
    pools = {"few": {"max_jobs": 1}}
    with EmbeddedCluster(**SLEEPING, max_jobs=3, pools=pools) as cluster:
        cluster.scale(jobs=2, pool="few")
        cluster.scale(jobs=5)
        wait_until(lambda: len(cluster.jobs) == 3)
        assert [job.pool for job in cluster.jobs].count("few") == 1
        assert "3 jobs held back by max_jobs=3" in cluster.pools["default"].describe()
        cluster.scale(0, pool="few")
        wait_until(lambda: [job.pool for job in cluster.jobs].count("default") == 3)


def test_another_cluster_of_a_federation_is_asked_by_itself(tmp_path: Path) -> None:
    """Pools that are asked for in the same way share one batch system, and one ledger.

    Others may have jobs of the same ids: what these leave behind lies elsewhere.
    """
    seen = tmp_path / "seen"
    pools = {"near": {"cores": 2}, "far": {"job_extra_directives": ["-M galaxy"]}}
    plan = SLURMCluster(
        cores=1, memory="1GB", pools=pools, asynchronous=True, shared_temp_directory=str(seen)
    )._plan
    plan.open()
    try:
        launchers = {n: pool.launcher(["tls://10.0.0.1:1"]) for n, pool in plan.pools.items()}
        sources = {name: launcher.source for name, launcher in launchers.items()}
        assert sources["near"] is sources["default"]
        assert sources["far"] is not sources["default"]
        assert "--clusters=galaxy" in " ".join(sources["far"].adapter.cancel_argv(["1"]))
        ledgers = {name: launcher.ledger for name, launcher in launchers.items()}
        assert ledgers["near"] is ledgers["default"] is plan.ledger
        assert ledgers["far"].entry.directives == ("-M galaxy",)
        record = ledgers["near"].shared / "exit" / "7.json"
        record.write_text('{"exit_code": 5, "cause": "crashed again and again"}')
        found = {name: launcher.files.exit_records("7") for name, launcher in launchers.items()}
        assert found["near"] == found["default"] != found["far"] == ()
        assert not set(launchers["near"].log_files("7")) & set(launchers["far"].log_files("7"))
        assert str(ledgers["far"].shared / "credentials") in plan.pools["far"].job_script([""])
    finally:
        plan.close()
    assert not ledgers["far"].folder.exists()
    assert not ledgers["near"].folder.exists()
    assert list(seen.iterdir()) == []


def test_pools_of_processes_on_this_machine() -> None:
    """What a site's script does can be tried at home: GPUs by name, without any."""
    pools = {"gpu": {"resources": {"GPU": 1}}}
    with LocalCluster(n_workers=1, threads_per_worker=1, pools=pools) as cluster:
        cluster.scale(1, pool="gpu")
        with Client(cluster) as client:
            assert client.submit(worker_name, pool="gpu").result(timeout=60) == "local-gpu-1-0"
            on_gpu = client.submit(worker_name, resources={"GPU": 1})
            assert on_gpu.result(timeout=60) == "local-gpu-1-0"
            assert client.submit(worker_name, pool="default").result(timeout=60) == "local-1-0"
        with pytest.raises(ConfigError, match="'n_workers' is no keyword of a LocalCluster's pool"):
            cluster.add_pool("more", n_workers=2)


def test_gpu_tasks_bring_up_jobs_with_gpus_only(wait_until: Any) -> None:
    """Both pools follow the load; each task is a reason for one of them."""
    pools = {"gpu": {"resources": {"GPU": 1}}}
    with EmbeddedCluster(cores=1, memory="500MB", pools=pools) as cluster:
        cluster.adapt(maximum_jobs=2, interval="0.1s")
        cluster.pools["gpu"].adapt(maximum_jobs=2, interval="0.1s")
        with Client(cluster) as client:
            futures = client.map(abs, range(-4, 0), resources={"GPU": 1})
            assert client.gather(futures) == [4, 3, 2, 1]
            assert {job.pool for job in cluster.jobs} == {"gpu"}
            # A second one may have been asked for while the first tasks took their time.
            wait_until(lambda: len(set(cluster._core.counts()["gpu"])) == 1)
            gpus = len(cluster.jobs)
            wait_until(lambda: not client.submit(abs, -1, pool="default").result(timeout=60) - 1)
            assert [job.pool for job in cluster.jobs].count("gpu") == gpus
            assert [job.pool for job in cluster.jobs].count("default") == 1


def test_who_waits_for_a_pool_that_is_out_is_told_and_others_are_served(
    monkeypatch: pytest.MonkeyPatch, places: Path
) -> None:
    """In any kind of wait, and through any number of tasks between; until it goes on."""
    monkeypatch.setattr("jobqueue.cluster.setbacks.DELAYS", (0.0,) * 6)
    pools = {"gpu": {"resources": {"GPU": 1}, "queue": "nosuch"}}
    with EmbeddedCluster(cores=1, memory="500MB", pools=pools) as cluster, Client(cluster) as c:
        waiting = c.submit(abs, -1, resources={"GPU": 1})
        further = c.submit(abs, c.submit(abs, waiting))
        cluster.scale(1)
        cluster.scale(1, pool="gpu")
        with pytest.raises(WorkersUnavailable, match="invalid partition specified: nosuch"):
            further.result(timeout=60)  # it began before that was known
        assert c.submit(abs, -2).result(timeout=60) == 2
        with pytest.raises(WorkersUnavailable, match="nosuch"):
            c.submit(abs, -3, pool="gpu").result(timeout=60)
        with pytest.raises(WorkersUnavailable, match="nosuch"):
            c.gather([c.submit(abs, -4), further])
        plain = c.submit(abs, -5)
        completed = as_completed([waiting, plain])
        assert next(completed) is plain
        with pytest.raises(WorkersUnavailable, match="nosuch"):
            next(completed)
        assert wait([waiting, c.submit(abs, -6)], return_when="FIRST_COMPLETED").done
        assert "pool gpu: paused after 3 failed submissions" in cluster.describe()
        cluster.add_pool("other", resources={"GPU": 1}, queue="debug").scale(1)
        assert further.result(timeout=60) == 1
