"""What users run, on the real Slurm: examples, and the demonstration."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GRID_SEARCH = EXAMPLES / "grid_search.py"

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


def test_jobs_with_gpus_come_for_the_tasks_that_want_some(slurm: Any, wait_until: Any) -> None:
    """Each of them has one of the two that Slurm gave to the job."""
    options = ["--cluster", "slurm", "--queue", "debug", "--gpus", "2", "--gres", "gpu:2"]
    printed = run(str(EXAMPLES / "gpu_pool.py"), *options)
    trained = {gpu: int(n) for n, gpu in re.findall(r"(\d+) trained on GPU (\d)", printed)}
    assert trained.keys() <= {"0", "1"}
    assert sum(trained.values()) == 16
    assert "the best line is 2.0 x -1.0" in printed
    wait_until(lambda: slurm.squeue() == [], message="an empty queue")


@pytest.mark.nodes(2)
def test_a_parallel_program_runs_on_all_nodes_of_a_job(slurm: Any, wait_until: Any) -> None:
    """Two processes on each of two nodes share the work; several runs go one after another."""
    printed = run(str(EXAMPLES / "mpi_program.py"), "--queue", "debug")
    runs = re.findall(r"(\d+) steps on (\w+) (\w+):\n  4 shares make 3\.14159", printed)
    assert sorted(int(steps) for steps, *_ in runs) == [1_000, 10_000, 100_000]
    assert {len({*nodes}) for _, *nodes in runs} == {2}
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
