"""The command line of a lab that is a Debian of its own (`debian.py`).

Its users' commands are used inside, where also the tests run: jobs then see the same files, hosts
and Python as who submits them. From outside nothing of it can be reached.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from debian import USER, Image, Machine
from machine import LabError, wait_for

PYTEST = ("python3", "-P", "-m", "pytest", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class System:
    """A batch system: what it is made of, and how it is started in a machine that has just begun.

    Parameters
    ----------
    image
        Its packages.
    start, ready
        Starts it; tells whether it takes jobs.
    status
        The command that describes its nodes.
    variable
        By which the tests learn that they may use it.
    """

    image: Image
    start: Callable[[Machine], None]
    ready: Callable[[Machine], bool]
    status: tuple[str, ...]
    variable: str

    @property
    def tests(self) -> str:
        """The folder of its tests."""
        return f"tests/{self.image.name}"


def main(system: System, description: str) -> None:
    """Carry out one command of the command line."""
    name = f"ci/{system.image.name}"
    parser = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=int, default=0, metavar="N", help="which machine (0)")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("install", "up", "status", "down"):
        commands.add_parser(command)
    for command in ("exec", "test"):
        commands.add_parser(command).add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        if os.getuid() != 0:
            raise LabError("namespaces and the batch system's daemons want root: run this as root")
        machine = Machine(image=system.image, number=options.lab)
        sys.exit(_carry_out(system, machine, options.command, getattr(options, "arguments", [])))
    except (LabError, ValueError) as error:
        sys.exit(f"{name}: {error}")


def _carry_out(system: System, machine: Machine, command: str, words: Sequence[str]) -> int:
    if command == "install":
        system.image.install()
    elif command == "up":
        up(system, machine)
    elif command == "down":
        machine.stop()
    elif command == "status":
        print(machine.run(*system.status), end="")
    elif command == "exec":
        return in_it(system, machine, words)
    else:
        return test(system, machine, words)
    return 0


def up(system: System, machine: Machine) -> None:
    """Bring up a fresh machine with the batch system on it."""
    machine.start()
    system.start(machine)
    wait_for(lambda: system.ready(machine), f"its node; see {machine.files}/var/log")


def test(system: System, machine: Machine, words: Sequence[str]) -> int:
    """Install, bring up, run the tests inside, and take down; give pytest's exit status."""
    _timed("packages", system.image.install)
    _timed("up", lambda: up(system, machine))
    try:
        return in_it(system, machine, (*PYTEST, *(words or [system.tests])))
    finally:
        machine.stop()


def _timed(what: str, step: Callable[[], None]) -> None:
    started = time.monotonic()
    step()
    print(f"== {what}: {time.monotonic() - started:.0f} s", flush=True)


def in_it(system: System, machine: Machine, argv: Sequence[str]) -> int:
    """Run a command as the ordinary user; give its exit status."""
    variables = [f"{system.variable}={machine.number}"]
    variables += [f"{name}={os.environ[name]}" for name in ("CI", "TERM") if name in os.environ]
    return subprocess.run(machine.inside(USER, argv, variables), check=False).returncode
