"""Where things are in the containers: names, addresses, folders; the same seen from each of them.

The other files of `ci/slurm` that are linked into this folder take everything from here, as they
take it from `ci/slurm/layout.py` there: limits, partitions and accounting are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from places import Places

NODES = 2

PROJECT = Path("/project")  # this repository, as compose.yaml mounts it
SHARED = Path("/cluster")  # the file system that all machines see
DESK = Path("/desk/socket")  # where the login node asks for what only this machine can do
PYTHON = Path("/opt/env/bin/python")


@dataclass(frozen=True)
class Lab(Places):
    """The cluster of containers; there is one."""

    folder: Path = SHARED / "slurm"
    munge_socket: Path = Path("/run/munge/munge.sock")  # each machine has its own
    cluster: str = "containers"
    login_address: str = "10.77.10.2"
    controller_port: int = 6817
    node_port: int = 6818
    accounting_port: int = 6819
    first_job: int = 1_001_001  # tells its jobs from those of `ci/slurm`, see there

    @property
    def nodes(self) -> list[Machine]:
        """The compute nodes, counted from 1."""
        return [self.node(index) for index in range(1, NODES + 1)]

    @property
    def machines(self) -> list[Machine]:
        """The login node and the compute nodes."""
        return [Machine("login", self.login_address), *self.nodes]

    def node(self, index: int) -> Machine:
        """Give compute node number `index`, counted from 1."""
        if not 1 <= index <= NODES:
            raise ValueError(f"node {index}: this cluster has nodes 1 to {NODES}")
        return Machine(f"node{index}", f"10.77.10.{10 + index}")


@dataclass(frozen=True)
class Machine:
    """One container: its host name, and its address on the cluster's network."""

    name: str
    address: str

    @property
    def container(self) -> str:
        """The name that docker or podman knows it by."""
        return f"jobqueue-{self.name}"
