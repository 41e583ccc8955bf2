"""What `jobqueue jobs`, `logs`, `cleanup` and `doctor` tell of jobs of a real batch system."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, SLURMCluster
from jobqueue.cluster.jobs import JobState

JOB: dict[str, Any] = {
    "cores": 1,
    "memory": "512MB",
    "walltime": "00:10:00",
    "death_timeout": 20,
    "job_extra_directives": ["--no-requeue"],
}

COMMAND = [sys.executable, "-m", "jobqueue.cli.main"]

KILLED = f"""
import os, time
from jobqueue import Client, SLURMCluster

keywords = {JOB!r}
mine = SLURMCluster(
    **keywords,
    log_directory="$HOME/logs/$USER_OF_TEST",
    pools={{"held": {{"job_extra_directives": ["--hold"]}}}},
)
mine.scale(jobs=2)
mine.scale(jobs=1, pool="held")
client = Client(mine)
client.wait_for_workers(2, timeout=60)
while "JobHeldUser" not in [job.reason for job in mine.jobs]:
    time.sleep(0.05)
print("up", flush=True)
time.sleep(600)
"""


def run(*words: str) -> tuple[int, str]:
    """Run the command; give its status and what it has printed, errors included."""
    done = subprocess.run(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    return done.returncode, done.stdout


def jobs(*options: str) -> dict[str, dict[str, Any]]:
    """Give what `jobqueue jobs` tells, by job."""
    status, text = run("jobs", "--json", *options)
    assert status == 0
    return {
        job["job_id"]: {"fate": cluster["fate"], **job}
        for cluster in json.loads(text)
        for job in cluster["jobs"]
    }


def shout(word: str) -> None:
    """Print a word to the log of the job."""
    print(word, file=sys.stderr, flush=True)


def test_logs_of_jobs_that_run_and_that_have_ended(
    slurm: Any, places: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    """Elements of an array, in a folder whose name has variables and ~, from program and shell."""
    monkeypatch.setenv("PROJECT_OF_TEST", "atlas")
    with SLURMCluster(**JOB, log_directory="~/logs of $PROJECT_OF_TEST") as cluster:
        cluster.scale(jobs=2)
        with Client(cluster) as client:
            client.wait_for_workers(2, timeout=60)
            job = cluster.jobs[1].job_id
            assert job.endswith("_1"), "no element of an array"
            client.submit(shout, "loud and clear", workers=job).result()
            wait_until(lambda: "loud and clear" in cluster.logs(job))
            [path] = (places / "logs of atlas").glob(f"*-{job}.err")
            assert "loud and clear" in path.read_text()

            wait_until(lambda: jobs().get(job, {}).get("state") == "connected")
            status, text = run("logs", job, "--tail", "3")
            assert status == 0
            assert "loud and clear" in text

            cluster.scale(jobs=0)
            wait_until(lambda: all(row.state is JobState.ENDED for row in cluster.jobs), 60)
            assert "loud and clear" in cluster.logs(job), "of a job that has ended"
            wait_until(lambda: jobs().get(job, {}).get("state") == "ended")
    assert jobs() == {}, "the cluster was closed"
    assert jobs("--all")[job]["fate"] == "closed"
    assert "loud and clear" in run("logs", job)[1], "the logs are the user's, and stay"
    status, text = run("logs", "nonsense")
    assert status == 1
    assert f"there are {job.partition('_')[0]}_0-1;" in text


def test_what_a_killed_program_leaves_behind(
    slurm: Any, places: Path, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    """It is listed as such, with its logs, and cancelled at once; later there is nothing."""
    monkeypatch.setenv("USER_OF_TEST", "someone")
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    states = ["connected", "connected", "pending"]
    wait_until(lambda: sorted(job["state"] for job in jobs().values()) == states)
    [held] = [job for job in jobs().values() if job["pool"] == "held"]
    assert (held["state"], held["reason"]) == ("pending", "JobHeldUser")

    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = jobs()
    states = ["pending", "running", "running"]
    assert sorted(job["state"] for job in left.values()) == states, "in two pools"
    assert all(job["left_behind"] for job in left.values())
    assert "jobqueue cleanup cancels it" in run("jobs")[1]
    one = next(job_id for job_id, job in left.items() if job["state"] == "running")
    assert "worker connected" in run("logs", one)[1]

    status, text = run("cleanup")
    assert status == 0
    assert all(job_id in text for job_id in left)
    wait_until(lambda: not set(left) & set(slurm.squeue()), 60, "the jobs to be cancelled")
    assert jobs() == {}


@pytest.fixture
def sections(places: Path, slurm: Any) -> None:
    """Sections of jobqueue.yaml with mistakes that sites have."""
    elsewhere = places / "elsewhere"  # a node on which the state folder is not the same
    elsewhere.write_text(f'exec {sys.executable} "${{@//$JOBQUEUE_STATE_DIRECTORY/none}}"\n')
    wrong = {
        "other-python": {"python": "env -u PYTHONPATH /usr/bin/python3 -S -E"},
        "other-folder": {"python": f"bash {elsewhere}"},
        "other-network": {"contact-address": [f"{slurm.login_address}:9"], "death-timeout": 4},
    }
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    told = {"jobqueue": {name: {"extends": "slurm", **keys} for name, keys in wrong.items()}}
    (config / "jobqueue.json").write_text(json.dumps(told))


@pytest.mark.usefixtures("sections")
def test_the_doctor_knows_what_is_wrong(slurm: Any) -> None:
    """All is well; no such partition; a Python, a folder, a network that the node does not have."""
    nobody = f"bad   network        tls://{slurm.login_address}:9"
    ailments = {
        (): (0, ["All is well", "ok    network", "ok    shared folder", "came up on node"]),
        ("--queue", "nosuch"): (1, ["bad   submission", "Invalid partition name", "/job.sh"]),
        ("--config-name", "other-python"): (1, ["the job's Python has no jobqueue", "exit code 1"]),
        ("--config-name", "other-folder"): (1, ["credentials cannot be read on the node"]),
        ("--config-name", "other-network"): (1, ["does not reach this machine", f"{nobody}:"]),
    }
    begun = {
        options: subprocess.Popen(
            [*COMMAND, "doctor", *options], cwd="/", stdout=subprocess.PIPE, text=True
        )
        for options in ailments
    }
    for options, (status, words) in ailments.items():
        text, _ = begun[options].communicate(timeout=120)
        assert begun[options].returncode == status, text
        for word in words:
            assert word in text, text
    assert slurm.squeue() == []
