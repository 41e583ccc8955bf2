"""`Client.submit_mpi`: a program takes a job, and is a task in all other respects."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue import Client, LocalCluster
from jobqueue.client.program import ProgramResult
from jobqueue.errors import ConfigError, ProgramFailed

MPIEXEC = """#!/bin/sh
# Starts nothing but one process, here.
if [ "$1" = --version ]; then echo HYDRA; exit; fi
shift 4
if [ "$1" = -genvlist ]; then shift 2; fi
exec "$@"
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a cluster of one worker that is the lead of a job, with an mpiexec of its own."""
    folder = tmp_path_factory.mktemp("bin")
    path = folder / "mpiexec"
    path.write_text(MPIEXEC)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        with (
            LocalCluster(n_workers=1, threads_per_worker=2, resources={"nodes": 1}) as cluster,
            Client(cluster) as client,
        ):
            yield client


def test_its_result_is_a_future(client):
    """With all that came of the program."""
    script = ["sh", "-c", "echo hello $NAME; echo oh >&2"]
    result = client.submit_mpi(script, env={"NAME": "you"}, timeout=60).result(60)
    assert result == ProgramResult(0, "hello you\n", "oh\n", (os.uname().nodename,))


def test_a_failure_arrives_whole(client):
    """With what it wrote, as text and in the message."""
    future = client.submit_mpi(["sh", "-c", "echo oh dear >&2; exit 7"])
    with pytest.raises(ProgramFailed, match=r"status 7 on .*:\noh dear") as failed:
        future.result(60)
    assert (failed.value.returncode, failed.value.stderr) == (7, "oh dear\n")


def test_nothing_runs_beside_it(client, tmp_path, wait_until):
    """Other tasks wait, though there are threads for them; and then they run."""
    started, go_on = tmp_path / "started", tmp_path / "go on"
    script = f"touch '{started}'; until [ -e '{go_on}' ]; do sleep 0.05; done"
    future = client.submit_mpi(["sh", "-c", script])
    wait_until(started.exists)
    other = client.submit(os.getpid)
    assert "reserved" in client.explain(other)
    go_on.touch()
    assert other.result(60)
    assert future.result(60).returncode == 0


@pytest.mark.parametrize("force", [False, True])
def test_cancelling_it_ends_the_program(client, tmp_path, wait_until, force):
    """And then others have the job."""
    pid = tmp_path / "pid"
    future = client.submit_mpi(
        ["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60"]
    )
    wait_until(pid.exists)
    client.cancel(future, force=force)
    assert client.submit(os.getpid).result(30), "the job is free long before the program is over"
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"argv": "prog -v"}, r"argv='prog -v': it is a list of words"),
        ({"argv": []}, r"argv=\[\]: it is a list of words"),
        ({"argv": ["prog", 1]}, r"1 is no text; use str\(\) of it"),
        ({"argv": ["prog"], "nodes": 0}, "nodes=0: it is a whole number, 1 or more"),
        ({"argv": ["prog"], "processes_per_node": 1.5}, "processes_per_node=1.5"),
        ({"argv": ["prog"], "timeout": 0}, "timeout=0: it is seconds, more than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_line(client, arguments, message):
    """Before anything is submitted."""
    with pytest.raises(ConfigError, match=message):
        client.submit_mpi(**arguments)
