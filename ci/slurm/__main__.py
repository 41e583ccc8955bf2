"""A real Slurm cluster of four nodes on this machine, from Debian's packages, for the tests.

    python3 ci/slurm install            what is missing, through apt
    python3 ci/slurm up                 a fresh cluster, in some seconds
    eval "$(python3 ci/slurm env)"      sbatch, squeue … and pytest now use it
    python3 ci/slurm status
    python3 ci/slurm exec 2 hostname    run a command inside node 2
    python3 ci/slurm kill-node 2        end all its processes; start-node 2 brings it back
    python3 ci/slurm cut 2              pull its network cable; heal 2 plugs it in
    python3 ci/slurm isolate            no node reaches another; all reach this machine
    python3 ci/slurm part 1 2           these two do not reach each other
    python3 ci/slurm join               undo both
    python3 ci/slurm down

Needs root. Every node is a network namespace with its own address, host name and processes; all
share this machine's file system, as the nodes of a site share its. `--lab N` chooses one of ten
clusters that can be up side by side.
"""

from __future__ import annotations

import argparse
import os
import sys

import cluster
import network
from install import install
from layout import Lab
from machine import LabError

ON_NODES = {
    "start-node": cluster.start_node,
    "kill-node": cluster.kill_node,
    "cut": network.cut,
    "heal": network.heal,
}

ON_LAB = {
    "up": cluster.up,
    "down": cluster.down,
    "isolate": network.isolate,
    "join": network.join,
}


def main() -> None:
    """Carry out one command."""
    options = _parser().parse_args()
    if os.getuid() != 0:
        raise LabError("the cluster's nodes are network namespaces: run this as root")
    lab = Lab(options.lab)
    if options.command in ON_NODES:
        ON_NODES[options.command](lab.node(options.node))
    elif options.command == "exec":
        cluster.inside(lab.node(options.node), options.argv)
    elif options.command == "env":
        print(f"export SLURM_CONF={lab.conf} JOBQUEUE_TEST_SLURM={lab.number}")
    elif options.command == "status":
        print(cluster.status(lab), end="")
    elif options.command == "install":
        install()
    elif options.command == "part":
        network.part(lab.node(options.node), lab.node(options.other))
    else:
        ON_LAB[options.command](lab)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/slurm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=int, default=0, metavar="N", help="which cluster (0)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*ON_LAB, "install", "env", "status"):
        commands.add_parser(name)
    for name in (*ON_NODES, "part", "exec"):
        command = commands.add_parser(name)
        command.add_argument("node", type=int, help="counted from 1")
        if name == "part":
            command.add_argument("other", type=int)
        if name == "exec":
            command.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    try:
        main()
    except (LabError, ValueError) as error:
        sys.exit(f"ci/slurm: {error}")
