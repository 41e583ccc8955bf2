"""A real Grid Engine of one host on this machine, from Debian's packages, for the tests.

    python3 ci/sge install            what is missing, through apt; its programs are unpacked aside
    python3 ci/sge up                 a fresh cluster, in some seconds
    eval "$(python3 ci/sge env)"      qsub, qstat … and pytest now use it
    python3 ci/sge status
    python3 ci/sge down

Needs root. `--lab N` chooses one of ten clusters that can be up side by side.
"""

from __future__ import annotations

import argparse
import os
import sys

import cluster
from install import install
from layout import Lab
from machine import LabError


def main() -> None:
    """Carry out one command."""
    options = _parser().parse_args()
    if os.getuid() != 0:
        raise LabError("Grid Engine's daemons run jobs as their owners: run this as root")
    lab = Lab(options.lab)
    if options.command == "env":
        print(cluster.exports(lab))
    elif options.command == "status":
        print(cluster.status(lab), end="")
    elif options.command == "install":
        install()
    else:
        {"up": cluster.up, "down": cluster.down}[options.command](lab)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ci/sge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=int, default=0, metavar="N", help="which cluster (0)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("install", "up", "down", "env", "status"):
        commands.add_parser(name)
    return parser


if __name__ == "__main__":
    try:
        main()
    except (LabError, ValueError) as error:
        sys.exit(f"ci/sge: {error}")
