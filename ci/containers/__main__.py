"""A Slurm of three containers — a login node and two compute nodes — for the tests.

    python3 ci/containers up                 builds the image, starts the containers
    python3 ci/containers test               pytest tests/slurm, on the login node
    python3 ci/containers test -k walltime   what follows goes to pytest
    python3 ci/containers down

    python3 ci/containers build              the image alone
    python3 ci/containers status
    python3 ci/containers exec 0 bash        run a command inside a node; 0 is the login node
    python3 ci/containers kill-node 2        end all its processes; start-node 2 brings it back
    python3 ci/containers cut 2              nobody reaches it; heal 2 undoes that
    python3 ci/containers part 1 2           these two do not reach each other
    python3 ci/containers isolate            no compute node reaches another; join undoes all that

Needs docker or podman, and docker compose with either; README.md in this folder tells more.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import cluster
import desk
import image
import network
from engine import choose
from layout import Lab
from machine import LabError

ON_NODES = {
    "start-node": cluster.start_node,
    "kill-node": cluster.kill_node,
    "cut": network.cut,
    "heal": network.heal,
}

ON_LAB = {
    "isolate": network.isolate,
    "join": network.join,
    "build": image.build,
    "up": cluster.up,
    "down": cluster.down,
}

FROM_TESTS = {*ON_NODES, "exec", "isolate", "join", "part"}  # what the login node may ask for


def main() -> int:
    """Carry out one command; give its exit status."""
    if "CLUSTER_DESK" in os.environ:  # on the login node, where there is no docker
        return desk.ask(Path(os.environ["CLUSTER_DESK"]), sys.argv[1:])
    options, rest = _parser().parse_known_args()
    engine, lab = choose(), Lab()
    if options.command in ON_NODES:
        ON_NODES[options.command](engine, lab, lab.node(options.node))
    elif options.command == "part":
        network.part(engine, lab, lab.node(options.node), lab.node(options.other))
    elif options.command == "exec":
        return cluster.inside(engine, lab.machines[options.node], options.argv)
    elif options.command == "status":
        print(cluster.status(engine, lab), end="")
    elif options.command == "test":
        cluster.require_up(engine, lab)
        with desk.staffed(Path(__file__).parent, FROM_TESTS):
            return cluster.test(engine, lab, rest)
    else:
        ON_LAB[options.command](engine, lab)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/containers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in (*ON_LAB, "status", "test"):
        commands.add_parser(name, add_help=False)
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
        sys.exit(main())
    except (LabError, ValueError, IndexError) as error:
        sys.exit(f"ci/containers: {error}")
