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
        argv = [sys.executable, "-P", str(EXAMPLES / f"{name}.py"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=tmp_path)
        assert done.returncode == 0, done.stderr + done.stdout
        assert done.stderr == ""
        return done.stdout

    return run
