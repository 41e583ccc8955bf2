"""What users run, on the real Slurm: the grid search, and the demonstration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GRID_SEARCH = Path(__file__).resolve().parents[2] / "examples" / "grid_search.py"

SITE = """
jobqueue:
  slurm:
    job-extra-directives: [--exclusive]
  pbs:
    resource-spec: select=1:ncpus=20:mem=2GB
"""
"""One job a node, as sites of this kind say it."""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program reads and writes is in the test's own folder, which the nodes see."""
    (tmp_path / "jobqueue.yaml").write_text(SITE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(tmp_path / "jobqueue.yaml"))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def run(*argv: str) -> str:
    """Run a program with this Python; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", *argv], capture_output=True, text=True, timeout=180, env=os.environ
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("system", ["slurm", "pbs"])
def test_a_grid_search_on_all_nodes_gives_the_scores_of_a_plain_loop(
    system: str, request: Any, wait_until: Any
) -> None:
    """Each node computes some of the fits; afterwards the queue is empty."""
    slurm = request.getfixturevalue("slurm" if system == "slurm" else "pbs_over_slurm")
    jobs = ["--jobs", str(len(slurm.nodes)), "--wait"]
    printed = run(str(GRID_SEARCH), "--cluster", system, *jobs, "--queue", "debug", "--check")
    assert "best: C=1, gamma=0.001 with an accuracy of" in printed
    assert "and gives the same scores" in printed
    [nodes] = re.findall(r"fits in .* s: (.*)", printed)
    assert set(re.findall(r"on (\w+)", nodes)) == set(slurm.nodes)
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")


@pytest.mark.parametrize("choice", ["auto", "pbs"])
def test_the_demonstration_goes_the_whole_way(choice: str, request: Any, wait_until: Any) -> None:
    """Without being told it takes Slurm; told so, the qsub on PATH."""
    slurm = request.getfixturevalue("slurm" if choice == "auto" else "pbs_over_slurm")
    printed = run(
        "-m", "jobqueue.cli.main", "demo", "--cluster", choice, "--jobs", "2", "--queue", "debug"
    )
    assert ("#SBATCH -p debug" if choice == "auto" else "#PBS -q debug") in printed
    assert "There are 5,761,455 primes below 100,000,000, as it should be." in printed
    assert "2 jobs cancelled, nothing is left." in printed
    assert ("SLURMCluster(cores=1" if choice == "auto" else "PBSCluster(cores=1") in printed
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")
