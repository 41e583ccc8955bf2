"""The containers as a whole: up, down, the tests in them, and a node switched off and on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import image
from engine import Engine
from layout import NODES, PYTHON, SHARED, Lab, Machine
from machine import WORK, LabError, own_folder, wait_for

DESK_HERE = WORK / "containers"  # what the login node sees as the folder of its desk


def up(engine: Engine, lab: Lab) -> None:
    """Start a fresh cluster, from an image that is up to date."""
    image.build(engine, lab)
    down(engine, lab)
    for folder in (WORK, DESK_HERE):
        own_folder(folder)
    engine.compose("up", "-d", "--no-build", DESK=str(DESK_HERE))
    wait_idle(engine, lab)


def down(engine: Engine, lab: Lab) -> None:
    """Leave nothing behind but the image."""
    engine.compose("down", "-v", "-t", "1", DESK=str(DESK_HERE))
    shutil.rmtree(DESK_HERE, ignore_errors=True)


def wait_idle(engine: Engine, lab: Lab) -> None:
    """Wait until the batch system calls every node idle."""
    [login, *_] = lab.machines
    sinfo = ["sinfo", "-h", "-N", "-p", "debug", "-t", "idle", "-o", "%n"]

    def all_idle() -> bool:
        running = engine.running()
        for machine in lab.machines:
            if machine.container not in running:
                raise LabError(f"{machine.container} has ended; it said:\n{engine.log(machine)}")
        return len(engine.ask(login, *sinfo).split()) == NODES

    wait_for(all_idle, f"{NODES} idle nodes; see {engine.name} logs {login.container}")


def require_up(engine: Engine, lab: Lab) -> None:
    """Say what to do first where there is no login node."""
    if lab.machines[0].container not in engine.running():
        raise LabError("the containers are not up: python3 ci/containers up")


def status(engine: Engine, lab: Lab) -> str:
    """Describe the nodes as the batch system sees them."""
    return engine.inside(lab.machines[0], "sinfo", "-N", "-l")


def start_node(engine: Engine, lab: Lab, node: Machine) -> None:
    """Switch a node on; it has reached the batch system when `sinfo` calls it idle."""
    engine.run("start", node.container)


def kill_node(engine: Engine, lab: Lab, node: Machine) -> None:
    """End every process of a node without warning."""
    if node.container in engine.running():
        engine.run("kill", node.container)


def inside(engine: Engine, machine: Machine, argv: list[str]) -> int:
    """Run a command inside a container, as if by hand; give its exit status."""
    terminal = ["-it"] if sys.stdin.isatty() else []
    command = [engine.name, "exec", *terminal, machine.container, *argv]
    return subprocess.run(command, env=engine.env, check=False).returncode


def test(engine: Engine, lab: Lab, options: list[str]) -> int:
    """Run the tests of Slurm on the login node; give pytest's exit status."""
    settings = {"JOBQUEUE_TEST_SLURM": "containers", "CI": os.environ.get("CI", "")}
    variables = [f"--env={name}={value}" for name, value in settings.items() if value]
    pytest = [PYTHON, "-P", "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={SHARED}/tests"]
    named = any(each.startswith("tests/") for each in options)
    chosen = options if named else ["tests/slurm", *options]
    where = ["--workdir=/project", *variables, lab.machines[0].container]
    command = [engine.name, "exec", *where, *map(str, pytest), *chosen]
    return subprocess.run(command, env=engine.env, check=False).returncode
