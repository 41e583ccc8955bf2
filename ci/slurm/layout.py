"""Where one lab cluster lives: its folder, names, addresses and ports, all derived from a number.

Nothing here touches the machine. Two labs with different numbers share no folder, no interface,
no address, no port and no control group, so they can be up at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from machine import WORK, NumberedLab
from places import Places

TORQUE = WORK / "torque"  # slurm-wlm-torque unpacked: qsub, qstat and qdel that talk to Slurm
NODES = 4


@dataclass(frozen=True)
class Lab(NumberedLab, Places):
    """The cluster with this number (0 to 9)."""

    kind: ClassVar[str] = "slurm"

    @property
    def munge_socket(self) -> Path:
        """Where Slurm's commands and daemons get their credentials."""
        return self.folder / "munge" / "munge.sock"

    @property
    def cluster(self) -> str:
        """The name Slurm's accounting knows this cluster by."""
        return f"lab{self.number}"

    @property
    def bridge(self) -> str:
        """The interface that joins the nodes; it stands in the machine's own namespace."""
        return f"jq{self.number}br"

    @property
    def login_address(self) -> str:
        """The address of the machine itself on the cluster's network, as the nodes see it."""
        return f"10.77.{self.number}.1"

    @property
    def controller_port(self) -> int:
        """Slurmctld's port."""
        return 16_800 + 10 * self.number

    @property
    def node_port(self) -> int:
        """Slurmd's port, the same on every node since each has its own address."""
        return self.controller_port + 1

    @property
    def accounting_port(self) -> int:
        """Slurmdbd's port."""
        return self.controller_port + 2

    @property
    def first_job(self) -> int:
        """The first job's id: tests find processes by it, also beside those of other labs."""
        return 100_000 * self.number + 1001

    @property
    def nodes(self) -> list[Node]:
        """The compute nodes, counted from 1."""
        return [self.node(index) for index in range(1, NODES + 1)]

    def node(self, index: int) -> Node:
        """Give compute node number `index`, counted from 1."""
        if not 1 <= index <= NODES:
            raise ValueError(f"node {index}: this cluster has nodes 1 to {NODES}")
        return Node(self, index)


@dataclass(frozen=True)
class Node:
    """One compute node: a network namespace with its own address, host name and processes."""

    lab: Lab
    index: int

    @property
    def name(self) -> str:
        """Host name, and Slurm's name for it: node01 to node04 in lab 0, node11 to node14 in 1."""
        return f"node{self.lab.number}{self.index}"

    @property
    def namespace(self) -> str:
        """The name `ip netns` knows it by."""
        return f"jq-{self.name}"

    @property
    def cable(self) -> str:
        """The end of its network cable that is plugged into the bridge."""
        return f"jq{self.lab.number}v{self.index}"

    @property
    def address(self) -> str:
        """Its address on the cluster's network."""
        return f"10.77.{self.lab.number}.{10 + self.index}"
