"""Who reaches whom: what a machine sends to one it is parted from goes to a card that nobody has.

Packets vanish, and no connection is closed, as with a cable that is pulled. All machines are told
at the same time, by one command each.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

from engine import Engine
from layout import Lab, Machine

FORBID = "ip neigh replace {} lladdr 02:00:00:00:00:00 dev eth0 nud permanent"
ALLOW = "ip neigh del {} dev eth0 2>/dev/null || true"  # it may never have been forbidden

Pair = tuple[Machine, Machine]


def part(engine: Engine, lab: Lab, one: Machine, other: Machine) -> None:
    """Let two machines not reach each other."""
    _tell(engine, FORBID, [(one, other)])


def cut(engine: Engine, lab: Lab, node: Machine) -> None:
    """Let nobody reach a node."""
    _tell(engine, FORBID, [(node, other) for other in lab.machines if other != node])


def heal(engine: Engine, lab: Lab, node: Machine) -> None:
    """Let everybody reach the node again."""
    _tell(engine, ALLOW, [(node, other) for other in lab.machines if other != node])


def isolate(engine: Engine, lab: Lab) -> None:
    """Let compute nodes reach the login node and not each other."""
    _tell(engine, FORBID, combinations(lab.nodes, 2))


def join(engine: Engine, lab: Lab) -> None:
    """Let all machines reach each other again."""
    _tell(engine, ALLOW, combinations(lab.machines, 2))


def _tell(engine: Engine, words: str, pairs: Iterable[Pair]) -> None:
    running = engine.running()
    commands: dict[Machine, list[str]] = {}
    for one, other in pairs:
        for here, there in ((one, other), (other, one)):
            if here.container in running:
                commands.setdefault(here, []).append(words.format(there.address))

    def tell(here: Machine) -> None:
        engine.inside(here, "sh", "-ec", "; ".join(commands[here]))

    with ThreadPoolExecutor() as threads:
        list(threads.map(tell, commands))
