"""`python -m jobqueue.worker`, as job scripts run it."""

import json
import subprocess
import sys
from pathlib import Path

from jobqueue.worker.exit_codes import ExitCode


def test_the_command(tmp_path: Path) -> None:
    """`python -m jobqueue.worker` knows its usage, and refuses what it does not know."""
    argv = [sys.executable, "-m", "jobqueue.worker"]
    helped = subprocess.run([*argv, "--help"], capture_output=True, check=False, cwd=tmp_path)
    assert helped.returncode == 0
    assert b"--death-timeout TIME" in helped.stdout
    wrong = subprocess.run([*argv, "a", "--what"], capture_output=True, check=False, cwd=tmp_path)
    assert wrong.returncode == 2
    assert b"unrecognized arguments: --what" in wrong.stderr


def test_its_exit_status_says_why_it_ended(tmp_path: Path) -> None:
    """What the agent returns becomes the job's status: here, that nobody answered."""
    record = tmp_path / "record.json"
    argv = [sys.executable, "-m", "jobqueue.worker", f"unix://{tmp_path}/nobody"]
    argv += ["--death-timeout", "0.2", "--exit-record", str(record)]
    done = subprocess.run(argv, capture_output=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == ExitCode.NO_SCHEDULER
    assert json.loads(record.read_text())["exit_code"] == ExitCode.NO_SCHEDULER
    assert b"no scheduler" in done.stderr.splitlines()[-1]
