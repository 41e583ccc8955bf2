"""The real Slurm cluster that the tests run on, as the `slurm` fixture.

It is that of `ci/slurm`, whose nodes are network namespaces of this machine, or that of
`ci/containers`. By hand: ``python3 ci/slurm up; eval "$(python3 ci/slurm env)"``, then pytest; or
``python3 ci/containers up; python3 ci/containers test``.
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

CHOICE = "JOBQUEUE_TEST_SLURM"  # a number of ci/slurm, or "containers" (tests/conftest.py)
CI = Path(__file__).resolve().parents[2] / "ci"
WORK = Path("/tmp/jobqueue-ci")


@dataclass(frozen=True)
class Lab:
    """One kind of cluster: what its machines are called, and how something is done to them.

    Parameters
    ----------
    command
        What `kill-node 2`, `cut 2` … are arguments of.
    folder
        Where its configuration is, in ``etc``, and the files of process ids, in ``run``.
    nodes
        Host names, and addresses in the same order.
    login_address
        The address under which nodes reach whoever runs the tests.
    torque
        Where `qsub`, `qstat` and `qdel` are that talk to Slurm.
    """

    command: tuple[str, ...]
    folder: Path
    nodes: Mapping[str, str]
    login_address: str
    torque: Path


def namespaces(number: str) -> Lab:
    """Describe a cluster of `ci/slurm`."""
    return Lab(
        command=(str(CI / "slurm"), "--lab", number),
        folder=WORK / f"slurm-{number}",
        nodes={f"node{number}{index}": f"10.77.{number}.{10 + index}" for index in range(1, 5)},
        login_address=f"10.77.{number}.1",
        torque=WORK / "torque/usr/bin",
    )


def containers() -> Lab:
    """Describe that of `ci/containers`, as its login node sees it, where the tests run."""
    return Lab(
        command=(str(CI / "containers"),),
        folder=Path("/cluster/slurm"),
        nodes={"node1": "10.77.10.11", "node2": "10.77.10.12"},
        login_address="10.77.10.2",
        torque=Path("/opt/torque/usr/bin"),
    )


@dataclass
class Slurm:
    """A running cluster; nodes are counted from 1."""

    lab: Lab
    env: Mapping[str, str] = field(repr=False)
    _touched: set[int] = field(default_factory=set)
    _blocked: bool = False

    @property
    def nodes(self) -> tuple[str, ...]:
        """The host names of the nodes."""
        return tuple(self.lab.nodes)

    @property
    def login_address(self) -> str:
        """The address under which the nodes reach whoever runs the tests."""
        return self.lab.login_address

    @property
    def nobodys_address(self) -> str:
        """An address on the nodes' network that no machine has."""
        return f"{self.login_address.rpartition('.')[0]}.99"

    @property
    def controller(self) -> int:
        """The process id of slurmctld."""
        return int((self.lab.folder / "run" / "slurmctld.pid").read_text())

    def address(self, node: int) -> str:
        """The address of a node."""
        return self.lab.nodes[self.nodes[node - 1]]

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
            self._lab("kill-node", node)  # starts anew, and so reports at once
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
        return self.run(sys.executable, *self.lab.command, command, *map(str, argv))


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark for tests that want more nodes than some clusters have."""
    config.addinivalue_line("markers", "nodes(n): wants a cluster of at least n nodes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what wants more nodes than there are containers."""
    if os.environ.get(CHOICE) != "containers":
        return
    there = len(containers().nodes)
    for item in items:
        mark = item.get_closest_marker("nodes")
        if mark and mark.args[0] > there:
            reason = f"wants {mark.args[0]} nodes; the containers are {there}"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Slurm]:
    """The cluster itself, for fixtures wider than one test; tests take `slurm`."""
    choice = os.environ[CHOICE]
    lab = containers() if choice == "containers" else namespaces(choice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(lab.folder / "etc" / "slurm.conf"))
        yield Slurm(lab, dict(os.environ))


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
    torque = slurm.lab.torque
    assert (torque / "qsub").exists(), f"no {torque}/qsub: run python3 ci/slurm install"
    monkeypatch.setenv("PATH", f"{torque}:{os.environ['PATH']}")
    return Slurm(slurm.lab, dict(os.environ))
