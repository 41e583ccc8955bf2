"""The command line as it is typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jobqueue
from jobqueue.cli.main import main


def test_the_version_is_the_packages(capsys):
    """`jobqueue --version`."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"jobqueue {jobqueue.__version__}\n"


def test_the_help_names_every_command(capsys):
    """`jobqueue --help`."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    names = ("demo", "config", "cleanup", "scheduler", "worker")
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("arguments", [[], ["nosuch"], ["demo", "--jobs", "0"]])
def test_what_cannot_be_understood_is_status_2(arguments, capsys):
    """With the usage on standard error."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: jobqueue" in capsys.readouterr().err


def test_the_worker_has_a_command_line_of_its_own(capsys):
    """Everything behind `jobqueue worker` is the job agent's."""
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "jobqueue worker" in text
    assert "--death-timeout" in text


def test_config_tells_values_and_their_origins(places, capsys):
    """Without a section, of the batch system found; the embedded one reads Slurm's."""
    folder = places / ".config" / "jobqueue"
    folder.mkdir(parents=True)
    (folder / "jobqueue.yaml").write_text("jobqueue:\n  slurm:\n    queue: debug\n")
    assert main(["config"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  queue")]
    assert line.split() == ["queue", "debug", f"{folder}/jobqueue.yaml:3"]


def test_an_error_of_ours_is_one_message(places, capsys):
    """Status 1, no traceback."""
    assert main(["config", "nosuch"]) == 1
    assert capsys.readouterr().err.startswith("jobqueue: no section 'nosuch'")


def test_the_worker_command_starts_light():
    """The job's CPUs are idle until the agent runs: nothing slow is imported before it."""
    code = "import sys, jobqueue.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    slow = {"rich", "yaml", "jinja2", "msgpack", "asyncio", "cryptography"}
    assert not slow & set(done.stdout.split())
