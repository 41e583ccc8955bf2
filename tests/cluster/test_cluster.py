"""Clusters as users hold them, on the embedded batch system; jobs that need no engine."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.amounts import jobs_of
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.pbs import PBSCluster
from jobqueue.cluster.slurm import SLURMCluster
from jobqueue.errors import CommandNotFound, ConfigError, JobQueueWarning

SLEEPING = {"cores": 4, "memory": "8GB", "processes": 2, "python": "sleep 600;"}
"""Jobs that run and never connect."""

pytestmark = pytest.mark.usefixtures("places")


def states(cluster: Any) -> list[JobState]:
    return [job.state for job in cluster.jobs]


def test_scaling_up_and_down_and_closing_leaves_nothing(
    queue: Any, wait_until: Any, places: Path
) -> None:
    """Jobs come and go as wanted; after close neither jobs nor files are left."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        cluster.scale(jobs=3)
        wait_until(lambda: states(cluster) == [JobState.RUNNING] * 3)
        assert len(queue()) == 3
        cluster.scale(jobs=1)
        wait_until(lambda: len(queue()) == 1)
        wait_until(lambda: states(cluster).count(JobState.ENDED) == 2)
        assert "1 job started without a worker yet" in cluster.describe()
        assert repr(cluster) == (
            "EmbeddedCluster('dask-worker', 0/1 jobs, workers=0, threads=0, memory=0B)"
        )
    wait_until(lambda: queue() == [])
    assert list((places / "state").iterdir()) == []
    assert repr(cluster) == "EmbeddedCluster('dask-worker', closed)"
    assert cluster.describe() == "0 workers; cluster closed"
    cluster.close()


def test_pending_jobs_are_cancelled_on_close(queue: Any, wait_until: Any) -> None:
    """Also those that wait for a node."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        cluster.scale(jobs=7)
        wait_until(lambda: states(cluster).count(JobState.RUNNING) == 4)
        assert "PENDING (Resources)" in cluster.describe()
    wait_until(lambda: queue() == [])


@pytest.mark.parametrize(
    "amount",
    [
        {},
        {"n": -1},
        {"n": 1.5},
        {"n": True},
        {"jobs": "2"},
        {"memory": "lots"},
        {"memory": -1},
        {"n": 1, "jobs": 1},
        {"cores": 4, "memory": "8GB"},
    ],
)
def test_nonsense_is_one_clear_error(amount: dict[str, Any]) -> None:
    """The message holds what was given; the cluster stays as it was."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        with pytest.raises(ConfigError, match=r"^scale\("):
            cluster.scale(**amount)
        assert cluster.jobs == []


def test_scaling_by_cores_works_when_cores_come_from_yaml(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As does memory, and adapting to them; a keyword wins over the file."""
    (places / "jobqueue.yaml").write_text("jobqueue: {slurm: {cores: 8, memory: 16 GiB}}")
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(places / "jobqueue.yaml"))
    with EmbeddedCluster() as cluster:
        size = cluster._core.pool_plan(None).size
        assert (jobs_of(size, cores=9), jobs_of(size, memory="33 GiB")) == (2, 3)
    with EmbeddedCluster(cores=2) as cluster:
        assert jobs_of(cluster._core.pool_plan(None).size, cores=9) == 5
    with EmbeddedCluster(python="sleep 600;") as cluster:
        cluster.adapt(minimum_cores=9, maximum_memory="60 GiB")
        assert "adaptive, 2 to 3 jobs" in cluster.describe()
        with pytest.raises(ConfigError, match=r"adapt\(maximum_cores=7\): one job brings 8 cores"):
            cluster.adapt(maximum_cores=7)


def test_the_job_script_shows_everything_but_secrets(places: Path) -> None:
    """Address, threads, memory and folders are in it; credentials lie in a folder of mode 0700."""
    with EmbeddedCluster(**SLEEPING) as cluster:
        script = cluster.job_script()
        assert cluster.scheduler_address in script
        assert cluster.scheduler_address.startswith("tls://")
        for text in ("--nworkers 2", "--nthreads 2", "--memory-limit", "--death-timeout 60"):
            assert text in script
        [folder] = (places / "state").iterdir()
        credentials = folder / "credentials" / "worker"
        assert str(credentials) in script
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o700
        assert stat.S_IMODE((credentials / "key.pem").stat().st_mode) == 0o600
        for file in credentials.iterdir():
            assert file.read_bytes().hex() not in script.encode().hex()
        assert not (folder / "credentials" / "scheduler").exists()


def test_jobs_that_die_at_once_pause_the_pool_and_say_why(wait_until: Any, places: Path) -> None:
    """Log, exit code and script are in the state; resume() tries again; script and logs stay."""
    with EmbeddedCluster(cores=1, memory="1GB", worker_command="nosuchmodule") as cluster:
        cluster.scale(jobs=3)
        wait_until(lambda: "paused after 3 jobs" in cluster.describe())
        [*_, last] = cluster.jobs
        assert last.exit_code == 1
        assert "No module named nosuchmodule" in last.log_tail
        assert "No module named nosuchmodule" in cluster.logs(last)
        with pytest.raises(ConfigError, match=f"has no job 'x7'; its last ones .*{last.job_id}$"):
            cluster.logs("x7")
        cluster.resume()
        wait_until(lambda: len(cluster.jobs) == 6)
        wait_until(lambda: "paused" in cluster.describe())
    [folder] = (places / "state").iterdir()
    assert (folder / "job-array.sh").exists()
    assert not (folder / "credentials").exists()


def test_without_a_batch_system_scale_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script can still be looked at."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with PBSCluster(cores=4, memory="8GB") as cluster:
        assert "#PBS -l select=1:ncpus=4" in cluster.job_script()
        with pytest.raises(CommandNotFound, match="qsub is not on PATH"):
            cluster.scale(1)
    with pytest.raises(CommandNotFound):
        SLURMCluster(cores=4, memory="8GB", n_workers=1)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"interface": "nosuch0"}, r"'nosuch0' does not exist; this machine has: .*\blo\b"),
        ({"cores": 0}, "cores"),
        ({"memory": "lots"}, "lots"),
        ({"processes": 9}, "processes=9"),
        ({"scheduler_options": {"hots": "x"}}, "hots: no such option"),
        ({"scheduler_options": {"port": 99999}}, "99999 is no port"),
        ({"security": "please"}, "security"),
        ({"protocol": "smoke"}, "smoke"),
        ({"quue": "x"}, "queue"),
    ],
)
def test_a_keyword_that_cannot_be_used_is_one_clear_error(
    keywords: dict[str, Any], message: str, places: Path
) -> None:
    """Before anything is made."""
    with pytest.raises(ConfigError, match=message):
        EmbeddedCluster(**{**SLEEPING, **keywords})
    assert not (places / "state").exists()


@pytest.mark.parametrize(
    ("text", "message"), [("hello\n", "does not hold the worker command"), ("{% if %}", "line 1")]
)
def test_a_mistake_in_a_template_is_told_at_once(text: str, message: str, places: Path) -> None:
    """With the file's name, when the cluster is made: not by the first job."""
    template = places / "site.sh.j2"
    template.write_text(text)
    with pytest.raises(ConfigError, match=rf"^{template}.*{message}"):
        EmbeddedCluster(**SLEEPING, template=str(template))
    assert not (places / "state").exists()


def test_options_of_the_scheduler_choose_where_it_listens() -> None:
    """By interface, by host, by port; by contact address what workers are told."""
    with EmbeddedCluster(**SLEEPING, interface="lo", protocol="tcp") as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    options = {"host": "127.0.0.1", "contact_address": "login.site:4000"}
    with EmbeddedCluster(**SLEEPING, scheduler_options=options) as cluster:
        assert cluster.scheduler_address == "tls://login.site:4000"
    with EmbeddedCluster(**SLEEPING, contact_address=["a.b", "tls://c:1"]) as cluster:
        port = cluster.scheduler.addresses[0].rpartition(":")[2]
        assert cluster._core.contact_addresses() == (f"tls://a.b:{port}", "tls://c:1")


def test_options_without_effect_are_told_of() -> None:
    """A file that asks for a dashboard works, and nobody waits for one."""
    options = {"dashboard_address": ":8787"}
    with (
        pytest.warns(JobQueueWarning, match="dashboard_address: there is no dashboard yet"),
        EmbeddedCluster(**SLEEPING, scheduler_options=options) as cluster,
    ):
        assert cluster.status == "running"


def test_shared_temp_directory_holds_what_nodes_have_to_see(places: Path, wait_until: Any) -> None:
    """Credentials, exit records and logs; nothing of it is left after close."""
    shared = places / "shared"
    with EmbeddedCluster(**SLEEPING, shared_temp_directory=str(shared)) as cluster:
        [folder] = shared.iterdir()
        assert str(folder / "credentials" / "worker") in cluster.job_script()
        assert f"#SBATCH -o {folder}/logs/" in cluster.job_script()
    assert list(shared.iterdir()) == []


def test_an_asynchronous_cluster_lives_in_the_running_loop(queue: Any, wait_until: Any) -> None:
    """`async with` starts and closes it; its script can be looked at before."""

    async def main() -> None:
        cluster = EmbeddedCluster(**SLEEPING, asynchronous=True)
        assert "SCHEDULER" in cluster.job_script()
        assert cluster.status == "created"
        async with cluster:
            cluster.scale(jobs=1)
            async with asyncio.timeout(30):
                while states(cluster) != [JobState.RUNNING]:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await cluster.logs(cluster.jobs[0]) == ""
        assert cluster.status == "closed"

    asyncio.run(main())
    wait_until(lambda: queue() == [])


def test_a_cluster_that_is_collected_takes_its_jobs_along(
    queue: Any, collected: Any, wait_until: Any
) -> None:
    """Nobody holds it any more: the same as close()."""
    cluster = EmbeddedCluster(**SLEEPING)
    core = cluster._core
    cluster.scale(jobs=1)
    wait_until(lambda: [job.state for job in core.jobs()] == [JobState.RUNNING])
    del cluster
    collected(lambda: core.status == "closed")
    wait_until(lambda: queue() == [])


ENDINGS = {
    "the program's end": "cluster = EmbeddedCluster(**keywords); wait(cluster)",
    "SystemExit": "cluster = EmbeddedCluster(**keywords); wait(cluster); sys.exit(3)",
    "an exception": "cluster = EmbeddedCluster(**keywords); wait(cluster); 1 / 0",
    "Ctrl-C": "cluster = EmbeddedCluster(**keywords); wait(cluster); time.sleep(600)",
    "the event loop's end": "cluster = asyncio.run(asynchronous())",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_interpreters_end_takes_the_jobs_along(
    ending: str, queue: Any, wait_until: Any, places: Path, program: str
) -> None:
    """However a program ends in order, pending and running jobs are cancelled."""
    code = program + ENDINGS[ending]
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        if ending == "Ctrl-C":
            assert len(queue()) == 5
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    wait_until(lambda: queue() == [], message=f"an empty queue; {errors}")
    assert list((places / "state").iterdir()) == [], errors
