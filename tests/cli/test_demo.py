"""The demonstration, on the embedded batch system and without any."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobqueue.batch.embedded_store import Store
from jobqueue.cli.demo import Demo
from jobqueue.cli.systems import SYSTEMS, keywords

OPTIONS = {"cores": 1, "memory": "1GB", "walltime": "00:10:00"}
COMMAND = [sys.executable, "-m", "jobqueue.cli.main", "demo"]


def demo(console: Console, choice: str = "embedded", **options: Any) -> Demo:
    system = SYSTEMS[choice]
    return Demo(system, keywords(system, OPTIONS | options), jobs=2, timeout=120.0, console=console)


def unended(places: Path) -> list[str]:
    """Jobs that the embedded batch system still has."""
    return [job.job_id for job in Store(places / "embedded").jobs() if not job.over]


def test_the_whole_way_is_shown(places, console, wait_until):
    """Script, jobs, a right result, how to go on; and no job is left."""
    assert demo(console).run() == 0
    text = console.file.getvalue()
    assert "#SBATCH -J jobqueue-demo" in text
    assert "exec " in text
    assert "jobs: 2 connected" in text
    assert "There are 5,761,455 primes below 100,000,000, as it should be." in text
    assert "3,999 tasks in" in text
    assert "2 jobs cancelled, nothing is left." in text
    assert "from jobqueue import Client, LocalCluster" in text
    wait_until(lambda: not unended(places), message="the jobs to end")
    assert list((places / "state").iterdir()) == []


def test_on_a_terminal_there_is_a_table(places, terminal):
    """With a row for each job."""
    assert demo(terminal, "local").run() == 0
    text = terminal.file.getvalue()
    assert "local-1" in text or "jobqueue-demo-1" in text
    assert "connected" in text
    assert "3,999/3,999 tasks" in text


@pytest.mark.usefixtures("without_pauses")
def test_a_refusal_is_told_in_the_batch_systems_words(places, console):
    """Nothing is tried instead of what was asked for, but it is said what could be."""
    assert demo(console, queue="nosuch").run() == 1
    text = console.file.getvalue()
    assert "invalid partition specified: nosuch" in text
    assert "script: " in text
    assert "jobqueue demo --cluster local" in text
    assert "primes below" not in text


def test_jobs_that_do_not_start_are_given_up(places, console, tmp_path, monkeypatch):
    """After the time that was given; with the reason, and cancelled."""
    (tmp_path / "jobqueue.yaml").write_text("jobqueue: {slurm: {python: 'sleep 600;'}}")
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(tmp_path / "jobqueue.yaml"))
    late = demo(console)
    late.timeout = 0.5
    assert late.run() == 1
    assert "No worker within 0.5 s: 0 workers; 2 jobs" in console.file.getvalue()


@pytest.mark.parametrize(
    ("moment", "signum"),
    [
        ("each of which", signal.SIGINT),
        ("submitted", signal.SIGINT),
        ("connected", signal.SIGINT),
        ("/3,999 tasks", signal.SIGINT),
        ("connected", signal.SIGTERM),
        ("connected", signal.SIGHUP),
    ],
)
def test_it_can_be_ended_at_any_time(places, wait_until, moment, signum):
    """Jobs are cancelled, one line says so, and the exit status is that of the signal."""
    command = [*COMMAND, "--cluster", "embedded", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        seen = b""
        while moment.encode() not in seen:
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, seen.decode()
            seen += piece
        process.send_signal(signum)
        rest = process.stdout.read()
    last = (seen + rest).decode().splitlines()[-1]
    assert last.startswith("Interrupted: "), (seen + rest).decode()
    assert "Traceback" not in (seen + rest).decode()
    assert process.returncode == 128 + signum
    wait_until(lambda: not unended(places), message="the jobs to end")


def test_no_batch_system_is_no_obstacle(places):
    """`jobqueue demo`, as on a laptop."""
    done = subprocess.run([*COMMAND, "--jobs", "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "the embedded batch system" in done.stdout
    assert done.stderr == ""


def test_a_missing_command_is_named(places):
    """`--cluster slurm` where there is no sbatch."""
    done = subprocess.run(
        [*COMMAND, "--cluster", "slurm"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "sbatch is not on PATH" in done.stdout
    assert "jobqueue demo --cluster embedded" in done.stdout


def test_the_log_can_be_seen(places):
    """`--verbose`."""
    out = io.StringIO()
    system = SYSTEMS["local"]
    console = Console(file=out, width=100)
    loud = Demo(
        system, keywords(system, OPTIONS), jobs=1, timeout=120.0, verbose=True, console=console
    )
    assert loud.run() == 0
    assert "info: worker joined" in out.getvalue()
