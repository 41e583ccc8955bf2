"""The real Slurm cluster that `ci/check` brings up, as the `slurm` fixture.

By hand: ``python3 ci/slurm up; eval "$(python3 ci/slurm env)"``, then pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHOICE = "JOBQUEUE_TEST_SLURM"  # the number of the cluster to use (tests/conftest.py)
LAB = Path(__file__).resolve().parents[2] / "ci" / "slurm"
TORQUE = Path("/tmp/jobqueue-ci/torque/usr/bin")  # where `ci/slurm install` unpacks qsub


@dataclass
class Slurm:
    """A running cluster of four nodes; nodes are counted from 1."""

    number: str
    env: Mapping[str, str] = field(repr=False)
    _touched: set[int] = field(default_factory=set)
    _blocked: bool = False

    @property
    def nodes(self) -> tuple[str, ...]:
        """The host names of the nodes."""
        return tuple(f"node{self.number}{index}" for index in range(1, 5))

    @property
    def login_address(self) -> str:
        """The address under which the nodes reach this machine."""
        return f"10.77.{self.number}.1"

    def address(self, node: int) -> str:
        """The address of a node."""
        return f"10.77.{self.number}.{10 + node}"

    def run(self, *argv: str, timeout: float = 30.0) -> str:
        """Run a command that must succeed, with the cluster's environment; give what it prints."""
        done = subprocess.run(
            argv, env=dict(self.env), capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{argv}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def sbatch(self, script: str, *options: str) -> str:
        """Submit a shell script, without its first line; give the job id."""
        argv = ["sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={script}"]
        return self.run(*argv).strip()

    def squeue(self, columns: str = "%i", *options: str) -> list[str]:
        """List the jobs that have not ended, array elements one by one, as lines of `columns`."""
        return self.run("squeue", "-h", "-r", "-o", columns, *options).splitlines()

    def state(self, job: str) -> str:
        """Give a job's state: from the queue, or from the accounting once it has ended."""
        queued = [line.partition("|") for line in self.squeue("%i|%T")]
        states = [state for identity, _, state in queued if identity == job]
        return states[0] if states else self.accounting(job).get(job, "")

    def accounting(self, job: str) -> dict[str, str]:
        """Give what the accounting knows: state by job id, or by element of an array."""
        lines = self.run("sacct", "-n", "-P", "-X", "-j", job, "-o", "JobID,State").splitlines()
        return dict(line.split("|") for line in lines)

    def advance_walltime(self, job: str, seconds: int) -> None:
        """Let a job's time limit be reached in this many seconds; Slurm looks every 30 s only."""
        self.run("scontrol", "update", f"jobid={job}", f"EndTime=now+{seconds}")

    def kill_node(self, node: int, *, noticed: bool = False) -> None:
        """End every process of a node without warning.

        Slurm calls the node down, and its jobs NODE_FAIL, about 18 s later; at once if `noticed`.
        """
        self._touched.add(node)
        self._lab("kill-node", node)
        if noticed:
            name = self.nodes[node - 1]
            self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=killed")

    def start_node(self, node: int) -> None:
        """Switch a killed node on again."""
        self._lab("start-node", node)

    def cut(self, node: int) -> None:
        """Pull a node's network cable: its processes live, packets vanish."""
        self._touched.add(node)
        self._lab("cut", node)

    def heal(self, node: int) -> None:
        """Plug a node's cable in again."""
        self._lab("heal", node)

    def isolate(self) -> None:
        """Let no node reach another; all of them reach this machine."""
        self._blocked = True
        self._lab("isolate")

    def part(self, node: int, other: int) -> None:
        """Let these two nodes not reach each other."""
        self._blocked = True
        self._lab("part", node, other)

    def exec(self, node: int, argv: Sequence[str]) -> str:
        """Run a command inside a node; give what it prints."""
        return self._lab("exec", node, *argv)

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs without letting them clean up."""
        if jobs:
            kill = ["scancel", "--full", "--signal=KILL", *jobs]
            subprocess.run(kill, env=dict(self.env), capture_output=True)  # fails on ended ones
            self.run("scancel", *jobs)

    def restore_nodes(self) -> None:
        """Bring nodes back that were killed or cut; let all reach each other again."""
        if self._blocked:
            self._lab("join")
            self._blocked = False
        while self._touched:
            node = self._touched.pop()
            self.heal(node)
            self.start_node(node)

    def nodes_ready(self) -> bool:
        """Tell whether every node takes jobs; let those serve again that answer and were put aside.

        Slurm puts a node aside that was down, or whose job could not be ended in time; a state that
        ends in ``*`` means that the node doesn't answer.
        """
        lines = self.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%n %T").splitlines()
        states = dict(line.split() for line in lines)
        for name, state in states.items():
            if state in ("down", "drained", "draining"):
                resume = ["scontrol", "update", f"nodename={name}", "state=resume"]
                # fails on a node that has come back by itself meanwhile
                subprocess.run(resume, env=dict(self.env), capture_output=True)
        return all(state in ("idle", "mixed", "allocated") for state in states.values())

    def _lab(self, command: str, *argv: object) -> str:
        lab = [sys.executable, str(LAB), "--lab", self.number]
        return self.run(*lab, command, *map(str, argv))


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Slurm]:
    """The cluster itself, for fixtures wider than one test; tests take `slurm`."""
    number = os.environ[CHOICE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", f"/tmp/jobqueue-ci/slurm-{number}/etc/slurm.conf")
        yield Slurm(number, dict(os.environ))


@pytest.fixture
def slurm(slurm_cluster: Slurm, wait_until: Any) -> Iterator[Slurm]:
    """The real Slurm cluster; what the test leaves there is cleared away after it."""
    before = set(slurm_cluster.squeue())
    yield slurm_cluster
    slurm_cluster.restore_nodes()
    left = [job for job in slurm_cluster.squeue() if job not in before]
    slurm_cluster.cancel(left)
    wait_until(
        lambda: not set(slurm_cluster.squeue()) - before, 60, f"jobs {', '.join(left)} to end"
    )
    wait_until(slurm_cluster.nodes_ready, 60, "every node to be back")


@pytest.fixture
def pbs_over_slurm(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """The same cluster with `qsub`, `qstat` and `qdel` on PATH, which hand jobs to Slurm."""
    assert (TORQUE / "qsub").exists(), f"no {TORQUE}/qsub: run python3 ci/slurm install"
    monkeypatch.setenv("PATH", f"{TORQUE}:{os.environ['PATH']}")
    return Slurm(slurm.number, dict(os.environ))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster writes is in the test's own folder, which the nodes see."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path
