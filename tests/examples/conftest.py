"""The examples, run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def run_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`run_example("name", "--option")` gives what the program prints; it must succeed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))

    def run(name: str, *arguments: str) -> str:
        done = _run(name, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr + done.stdout
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def refused_by_example(tmp_path: Path) -> Callable[..., str]:
    """`refused_by_example("name", "--option")` gives the line that says what is wrong with that."""

    def run(name: str, *arguments: str) -> str:
        done = _run(name, *arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    return run


def _run(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=cwd)
