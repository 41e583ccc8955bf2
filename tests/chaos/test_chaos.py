"""Random graphs on workers in trouble, for a fixed time; `python3 ci/chaos` goes on for longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHOICE = "JOBQUEUE_TEST_CHAOS"  # how many seconds, or "none: reason"
SECONDS = 45.0
CHAOS = Path(__file__).resolve().parents[2] / "ci" / "chaos"


def test_whatever_happens_to_workers_results_are_right():
    """They are killed, stopped, cut off and retired: all comes out as without a cluster."""
    choice = os.environ.get(CHOICE, "")
    if choice.startswith("none"):
        pytest.skip(f"random trouble for workers: {choice}")
    seconds = float(choice or SECONDS)
    done = subprocess.run(
        [sys.executable, CHAOS, "--seed", "1", "--seconds", str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 200,
    )
    assert done.returncode == 0, done.stdout
    assert "graphs with" in done.stdout
