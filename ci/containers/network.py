"""Who reaches whom: what a machine sends to one it is parted from goes to a card that nobody has.

Packets vanish, and no connection is closed, as with a cable that is pulled.
"""

from __future__ import annotations

from itertools import combinations

from engine import Engine
from layout import Lab, Machine

NOBODYS_CARD = "02:00:00:00:00:00"


def part(engine: Engine, one: Machine, other: Machine) -> None:
    """Let two machines not reach each other."""
    for here, there in ((one, other), (other, one)):
        if engine.is_running(here):
            wrong = ["lladdr", NOBODYS_CARD, "dev", "eth0", "nud", "permanent"]
            engine.inside(here, "ip", "neigh", "replace", there.address, *wrong)


def cut(engine: Engine, lab: Lab, node: Machine) -> None:
    """Let nobody reach a node."""
    for other in lab.machines:
        if other != node:
            part(engine, node, other)


def heal(engine: Engine, lab: Lab, node: Machine) -> None:
    """Let everybody reach the node again."""
    for other in lab.machines:
        for here, there in ((node, other), (other, node)):
            if here != there and engine.is_running(here):
                command = ["ip", "neigh", "del", there.address, "dev", "eth0"]
                engine.succeeds("exec", here.container, *command)


def isolate(engine: Engine, lab: Lab) -> None:
    """Let compute nodes reach the login node and not each other."""
    for one, other in combinations(lab.nodes, 2):
        part(engine, one, other)


def join(engine: Engine, lab: Lab) -> None:
    """Let all machines reach each other again."""
    for machine in lab.machines:
        if engine.is_running(machine):
            engine.inside(machine, "ip", "neigh", "flush", "dev", "eth0", "nud", "permanent")
