"""What runs in the containers: `inside.py login` on the login node, `inside.py node` elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from files import write_files
from layout import Lab
from machine import wait_for
from processes import environment
from services import start_accounting, start_controller, start_database, start_munge


def login(lab: Lab, name: str) -> None:
    """Start all that is Slurm's but for the nodes' daemons."""
    shutil.rmtree(lab.folder, ignore_errors=True)
    write_files(lab, host=name)
    start_munge(lab)
    start_database(lab)
    start_accounting(lab)
    start_controller(lab)
    os.execvp("sleep", ["sleep", "infinity"])


def node(lab: Lab, name: str) -> None:
    """Become the daemon that runs a node's jobs."""
    wait_for(lab.munge_key.exists, 60, "the login node to write the configuration")
    start_munge(lab)
    environ = environment(lab)
    os.execvpe("slurmd", ["slurmd", "-D", "-N", name, "-f", str(lab.conf)], environ)


def main() -> None:
    """Be what the command line says."""
    lab = Lab()
    run = lab.munge_socket.parent
    shutil.rmtree(run, ignore_errors=True)  # of the life before, if the node was switched off
    run.mkdir(mode=0o755)
    (Path("/etc/slurm") / "slurm.conf").unlink(missing_ok=True)
    (Path("/etc/slurm") / "slurm.conf").symlink_to(lab.conf)
    {"login": login, "node": node}[sys.argv[1]](lab, socket.gethostname())


if __name__ == "__main__":
    main()
