"""The embedded batch system says what Slurm 22.05 says, and keeps its hands on its jobs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.batch.embedded import PREFIX
from jobqueue.batch.embedded_sbatch import time_limit
from jobqueue.batch.embedded_store import Store
from jobqueue.errors import BatchSystemError

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("squeue", "-h")`: the command's answer."""
    monkeypatch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(tmp_path / "embedded"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [*PREFIX, *arguments]
        return subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)

    return run


@pytest.fixture
def submit(run: Run, tmp_path: Path) -> Callable[..., str]:
    """`submit(body, *options)`: the id of a job with this script."""

    def submit(body: str, *options: str) -> str:
        (tmp_path / "job.sh").write_text(f"#!/bin/sh\n{body}\n")
        answer = run("sbatch", "--parsable", *options, "job.sh")
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    return submit


@pytest.fixture
def states(run: Run) -> Callable[[], dict[str, str]]:
    """`states()`: the state of each job that squeue shows."""

    def states() -> dict[str, str]:
        lines = run("squeue", "--me", "-h", "-r", "-t", "all", "-o", "%i %T").stdout.splitlines()
        return dict(line.split() for line in lines)

    return states


@pytest.mark.parametrize(
    ("script", "options", "status", "words"),
    [
        ("echo", [], 1, "This does not look like a batch script."),
        ("#!/bin/sh\r\ntrue\r\n", [], 1, "Batch script contains DOS line breaks (\\r\\n)"),
        ("#!/bin/sh\n#SBATCH --nosuch=1\n", [], 255, "unrecognized option '--nosuch'"),
        ("#!/bin/sh\n#SBATCH -p nosuch\n", [], 1, "invalid partition specified: nosuch"),
        ("#!/bin/sh\n#SBATCH -c 1000\n", [], 1, "CPU count per node can not be satisfied"),
        ("#!/bin/sh\n#SBATCH -N 2\n", [], 1, "Node count specification invalid"),
        ("#!/bin/sh\n#SBATCH -t soon\n", [], 1, "Invalid --time specification"),
        ("#!/bin/sh\n", ["--array=x"], 1, "Invalid job array specification"),
    ],
)
def test_it_refuses_in_slurms_words(
    run: Run, tmp_path: Path, script: str, options: list[str], status: int, words: str
) -> None:
    """Exit status and stderr are those of sbatch; nothing is submitted."""
    (tmp_path / "job.sh").write_bytes(script.encode())
    answer = run("sbatch", *options, "job.sh")
    assert (answer.returncode, answer.stdout) == (status, "")
    assert words in answer.stderr
    assert run("squeue", "-h", "-t", "all").stdout == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 300),
        ("5:30", 330),
        ("1:00:00", 3600),
        ("2-3", 183600),
        ("2-3:10", 184200),
        ("0-0:0:7", 7),
    ],
)
def test_times_are_read_as_slurm_reads_them(text: str, seconds: int) -> None:
    """Minutes; minutes and seconds; hours, minutes, seconds; days and hours ..."""
    assert time_limit(text) == seconds


def test_a_job_sees_what_slurm_would_show_it(
    submit: Any, states: Any, tmp_path: Path, wait_until: Any
) -> None:
    """Its ids, name, node and folder; its log goes where the directives say."""
    body = (
        "#SBATCH -J my-job\n#SBATCH -o %x-%A_%a.log\n"
        'echo "$SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_JOB_NAME $PWD"'
    )
    job = submit(body, "--array=0-1")
    wait_until(lambda: set(states().values()) == {"COMPLETED"})
    assert set(states()) == {f"{job}_0", f"{job}_1"}
    for i in (0, 1):
        text = (tmp_path / f"my-job-{job}_{i}.log").read_text()
        assert text == f"{job} {i} my-job {tmp_path}\n"


def test_four_jobs_run_and_the_fifth_waits_for_resources(
    submit: Any, states: Any, run: Run, wait_until: Any
) -> None:
    """As on four nodes; the fifth starts when one of them ends."""
    job = submit("exec sleep 600", "--array=0-4")
    wait_until(lambda: list(states().values()).count("RUNNING") == 4)
    wait_until(
        lambda: run("squeue", "-h", "-o", "%i %r").stdout.splitlines()[-1] == f"{job}_4 Resources"
    )
    run("scancel", f"{job}_0")
    wait_until(lambda: states()[f"{job}_4"] == "RUNNING")
    run("scancel", job)
    wait_until(lambda: set(states().values()) == {"CANCELLED"})


def test_an_element_cancelled_before_it_ran_leaves_no_trace(
    submit: Any, states: Any, run: Run, wait_until: Any
) -> None:
    """Others are shown as cancelled; unknown ids are passed over in silence."""
    job = submit("exec sleep 600", "--array=0-5")
    wait_until(lambda: list(states().values()).count("RUNNING") == 4)
    answer = run("scancel", f"{job}_[0-1,4-5]", "4711")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    wait_until(lambda: list(states().values()).count("CANCELLED") == 2)
    assert set(states()) == {f"{job}_{i}" for i in range(4)}
    run("scancel", job)
    wait_until(lambda: set(states().values()) == {"CANCELLED"})


def test_walltime_ends_a_job_and_all_that_it_started(
    submit: Any, states: Any, run: Run, wait_until: Any, tmp_path: Path
) -> None:
    """TERM to every process of it; the accounting says TIMEOUT."""
    job = submit(f"sleep 600 &\necho $! > {tmp_path}/pid\nwait", "-t", "0-0:0:1")
    wait_until(lambda: states()[job] == "TIMEOUT")
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or _zombie(pid))
    answer = run("sacct", "-n", "-P", "-X", "-j", job, "-o", "JobID,State,ExitCode,Reason,NodeList")
    assert answer.stdout.startswith(f"{job}|TIMEOUT|0:15|TimeLimit|node")


def test_what_a_job_leaves_behind_is_killed(
    submit: Any, states: Any, wait_until: Any, tmp_path: Path
) -> None:
    """A script that ends before its children takes them along."""
    job = submit(f"sleep 600 &\necho $! > {tmp_path}/pid\nexit 3")
    wait_until(lambda: states()[job] == "FAILED")
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or _zombie(pid))


def test_jobs_of_a_daemon_that_was_killed_are_given_up(
    submit: Any, states: Any, wait_until: Any, tmp_path: Path
) -> None:
    """The next command starts another daemon, which ends them."""
    job = submit("exec sleep 600")
    wait_until(lambda: states()[job] == "RUNNING")
    os.kill(_daemon(tmp_path / "embedded"), signal.SIGKILL)
    wait_until(lambda: states()[job] == "NODE_FAIL")
    [stored] = Store(tmp_path / "embedded").jobs()
    wait_until(lambda: not Path(f"/proc/{stored.pid}").exists() or _zombie(stored.pid))


def test_a_folder_that_others_may_enter_is_refused(run: Run, tmp_path: Path) -> None:
    """Whoever can write there could have their scripts run."""
    (tmp_path / "embedded").mkdir(mode=0o755)
    with pytest.raises(BatchSystemError, match="open to others"):
        Store(tmp_path / "embedded")
    answer = run("squeue", "-h")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "open to others" in answer.stderr


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _daemon(folder: Path) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "jobqueue.batch.embedded_daemon" in words and str(folder) in words:
                return int(entry.name)
    raise AssertionError("no daemon runs")
