"""The lab as a whole: bring it up, take it down, and what a test does to one of its nodes."""

from __future__ import annotations

import os
import shutil
import socket
from functools import partial
from pathlib import Path

import network
from files import write_files
from layout import NODES, Lab, Node
from machine import LabError, run, wait_for
from processes import environment, start
from services import (
    start_accounting,
    start_controller,
    start_database,
    start_munge,
    stop_services,
)

HERE = Path(__file__).resolve().parent


def up(lab: Lab) -> None:
    """Bring a fresh cluster up, first clearing away whatever an earlier one left."""
    down(lab)
    shutil.rmtree(lab.folder, ignore_errors=True)
    write_files(lab, host=socket.gethostname().partition(".")[0])
    start_munge(lab)
    network.lay_bridge(lab)
    start_database(lab)
    start_accounting(lab)
    start_controller(lab)
    for node in lab.nodes:
        start_node(node)
    wait_idle(lab)


def down(lab: Lab) -> None:
    """Leave nothing behind but the logs: no process, interface, namespace or control group."""
    for node in lab.nodes:
        network.kill_members(node)
        network.remove_namespace(node)
    stop_services(lab)
    network.remove_bridge(lab)
    _remove_control_groups(lab)
    for entry in lab.folder.glob("*"):
        if entry.name != "log":
            shutil.rmtree(entry)


def start_node(node: Node) -> None:
    """Switch a node on; it has reached the batch system when `sinfo` calls it idle."""
    if init_process(node):
        return
    network.add_namespace(node)
    network.heal(node)
    enter = ["nsenter", f"--net={network.namespace_path(node)}"]
    isolate = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    etc = node.lab.folder / "etc"
    files = [etc / "hosts", etc / "slurm.conf"]
    init: list[str | Path] = ["bash", HERE / "node-init.sh", node.name, *files]
    outside = start(node.lab, f"init-{node.name}", [*enter, *isolate, *init])
    wait_for(lambda: bool(init_process(node)), f"process 1 of {node.name}", outside)


def kill_node(node: Node) -> None:
    """End every process of a node without warning; its network stays, so connections break.

    For a node that falls silent instead, `cut` it first.
    """
    network.kill_members(node)


def inside(node: Node, argv: list[str]) -> None:
    """Become a command that runs inside a node: its address, host name, files and processes."""
    pid = init_process(node)
    if not pid:
        raise LabError(f"{node.name} is not running: start-node {node.index} starts it")
    os.execvp("nsenter", ["nsenter", "-t", str(pid), "-n", "-u", "-m", "-p", "--", *argv])


def init_process(node: Node) -> int | None:
    """Find process 1 of the node, by the id it has on the machine."""
    for pid in network.members(node):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        ids = next((line for line in status.splitlines() if line.startswith("NSpid:")), "").split()
        if len(ids) == 3 and ids[2] == "1":
            return pid
    return None


def wait_idle(lab: Lab) -> None:
    """Wait until the batch system calls every node idle."""
    sinfo = ["sinfo", "-h", "-N", "-p", "debug", "-t", "idle", "-o", "%n"]

    def all_idle() -> bool:
        try:
            return len(run(*sinfo, env=environment(lab)).split()) == NODES
        except LabError:  # Slurm is too busy to answer
            return False

    wait_for(all_idle, f"{NODES} idle nodes; see sinfo -N -l and {lab.folder}/log")


def status(lab: Lab) -> str:
    """Describe the nodes as the batch system sees them."""
    return run("sinfo", "-N", "-l", env=environment(lab))


def _remove_control_groups(lab: Lab) -> None:
    for node in lab.nodes:
        for top in Path("/sys/fs/cgroup").glob(f"*/slurm_{node.name}"):
            for folder, _, _ in os.walk(top, topdown=False):
                wait_for(partial(_removed, folder), f"control group {folder} to empty")


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return not os.path.exists(folder)
    return True
