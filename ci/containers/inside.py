"""What runs in the containers: `inside.py login` on the login node, `inside.py node` elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from files import write_files
from layout import Lab
from machine import run, wait_for
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
    wait_for(lab.munge_key.exists, "the login node to write the configuration")
    start_munge(lab)
    environ = environment(lab)
    os.execvpe("slurmd", ["slurmd", "-D", "-N", name, "-f", str(lab.conf)], environ)


def open_control_groups() -> None:
    """Let slurmd make a control group for each job: containers are given them read-only."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup" and "ro" in options.split(","):
            run("mount", "-o", "remount,rw,bind", place)


def main() -> None:
    """Be what the command line says."""
    lab = Lab()
    open_control_groups()
    sockets = lab.munge_socket.parent
    shutil.rmtree(sockets, ignore_errors=True)  # of the life before, if the node was switched off
    sockets.mkdir(mode=0o755)
    {"login": login, "node": node}[sys.argv[1]](lab, socket.gethostname())


if __name__ == "__main__":
    main()
