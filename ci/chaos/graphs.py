"""Random graphs of tasks: what they compute, with a cluster and without one.

A graph follows from a seed and a number alone. The value of each task follows from those of its
inputs, so that one wrong or mixed-up value shows in all that was computed from it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

RIDES_ALONG = 4096
"""Bytes up to which results are held by the scheduler, and so cannot be lost with a worker."""


@dataclass(frozen=True)
class Step:
    """One task, or one value that the client has.

    Parameters
    ----------
    number
        Its place in the graph.
    inputs
        Numbers of earlier steps.
    size
        Bytes of its value; 0 for a small number.
    seconds
        How long it takes.
    fails
        Whether its first run raises, so that it takes a retry.
    kills
        Whether its first run kills its worker.
    children
        How many tasks it submits itself, and waits for.
    hands_over
        Whether it submits a task and returns a future of that, in a list.
    pure
        Whether the same call elsewhere is the same task.
    priority
        As in `Client.submit`.
    scattered
        Whether it is no task, but a value to scatter.
    """

    number: int
    inputs: tuple[int, ...] = ()
    size: int = 0
    seconds: float = 0.0
    fails: bool = False
    kills: bool = False
    children: int = 0
    hands_over: bool = False
    pure: bool = False
    priority: int = 0
    scattered: bool = False

    @property
    def can_be_lost(self) -> bool:
        """Whether nothing can make its value again, should its worker be gone."""
        return self.scattered and self.size > RIDES_ALONG


class Graph(NamedTuple):
    """Steps, each after its inputs; which of them are asked for; and what else is done to it."""

    name: str
    shape: str
    manner: str
    steps: tuple[Step, ...]
    wanted: tuple[int, ...]

    def doubtful(self) -> set[int]:
        """Return the steps that need a value which can be lost."""
        return self.with_dependents({step.number for step in self.steps if step.can_be_lost})

    def with_dependents(self, numbers: set[int]) -> set[int]:
        """Return these steps, and all that need them."""
        found = set(numbers)
        for step in self.steps:
            if not found.isdisjoint(step.inputs):
                found.add(step.number)
        return found


# -- what tasks compute ----------------------------------------------------------------------------


class TriedOnce(Exception):
    """What a task raises that is to fail at its first run."""


def mix(number: int, inputs: Sequence[Any], extra: int = 0) -> int:
    """Return a number that depends on everything."""
    found = crc32(f"{number} {extra}".encode())
    for value in inputs:
        found = crc32(str(value).encode() if isinstance(value, int) else value, found)
    return found


def value_of(number: int, size: int, inputs: Sequence[Any], extra: int = 0) -> Any:
    """Return what a step is worth: a number, bytes or an array."""
    seed = mix(number, inputs, extra)
    if not size:
        return seed
    if number % 2:
        return seed.to_bytes(4, "little") * (size // 4)
    return np.full(size // 4, seed, dtype=np.uint32)


def child(number: int, index: int) -> int:
    """Run as a task that another task has submitted."""
    time.sleep(0.002)
    return mix(number, [index])


def run(step: Step, marker: str, inputs: list[Any]) -> Any:
    """Run as a task; `marker` names a file that tells whether it has run before."""
    from jobqueue import get_client

    if step.fails and _first_time(marker):
        raise TriedOnce(marker)
    if step.kills and _first_time(marker):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(step.seconds)
    if step.hands_over:
        return [get_client().submit(value_of, step.number, step.size, inputs)]
    extra = 0
    if step.children:
        calls = [step.number] * step.children, range(step.children)
        client = get_client()
        extra = sum(client.gather(client.map(child, *calls)))
    return value_of(step.number, step.size, inputs, extra)


def kept() -> int:
    """Run at a worker, and return how many results it keeps."""
    from jobqueue import get_worker

    return len(get_worker()._store)  # type: ignore[attr-defined]


def _first_time(marker: str) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def expected(graph: Graph) -> dict[int, int]:
    """Return what comes of a graph, computed here: a digest of each step's value."""
    values: dict[int, Any] = {}
    for step in graph.steps:
        extra = sum(mix(step.number, [index]) for index in range(step.children))
        values[step.number] = value_of(
            step.number, step.size, [values[source] for source in step.inputs], extra
        )
    return {number: digest(value) for number, value in values.items()}


def digest(value: Any) -> int:
    """Return a number that tells values apart."""
    return mix(0, [value])


# -- shapes ----------------------------------------------------------------------------------------


def make_graph(seed: int, number: int) -> Graph:
    """Return the graph of a seed and a number.

    Examples
    --------
    >>> make_graph(1, 2) == make_graph(1, 2)
    True
    """
    dice = random.Random(f"{seed}-{number}")
    shape = dice.choice(list(SHAPES))
    steps: list[Step] = []
    SHAPES[shape](dice, steps)
    manner = dice.choices(list(MANNERS), list(MANNERS.values()))[0]
    last = sorted({step.number for step in steps} - {n for step in steps for n in step.inputs})
    others = [step.number for step in steps if step.number not in last]
    wanted = sorted({*last, *dice.sample(others, len(others) // dice.choice((2, 4, 8)))})
    for end in last:  # nobody computes with a future
        one = steps[end]
        hands_over = not (one.scattered or one.children) and dice.random() < 0.05
        steps[end] = replace(steps[end], hands_over=hands_over)
    if manner == "pure":
        steps = [replace(step, pure=not (step.fails or step.kills)) for step in steps]
    return Graph(f"{seed}-{number}", shape, manner, tuple(steps), tuple(wanted))


MANNERS = {"plain": 16, "pure": 2, "cancel": 2, "leave": 1}
"""What is done with a graph, and how often: only what is said below of `rounds`; its tasks may be
the same as those of others; some are cancelled; its client goes before all is done."""


def _add(dice: random.Random, steps: list[Step], inputs: Sequence[int] = ()) -> int:
    """Append a step of random qualities; return its number."""
    number = len(steps)
    size = dice.choice((0, 0, 0, 0, 0, 600, 6_000, 50_000, 50_000, 300_000))
    if dice.random() < 0.02:
        size = dice.randrange(1_000_000, 4_000_000, 4)
    scattered = not inputs and dice.random() < 0.15
    steps.append(
        Step(
            number,
            tuple(inputs),
            size,
            dice.choice((0.0, 0.0, 0.0, 0.001, 0.01, 0.05)),
            fails=not scattered and dice.random() < 0.04,
            kills=not scattered and dice.random() < 0.001,
            children=dice.randint(1, 5) if not scattered and dice.random() < 0.04 else 0,
            priority=dice.choice((0, 0, 0, -1, 1, 5)),
            scattered=scattered,
        )
    )
    return number


def _map(dice: random.Random, steps: list[Step]) -> None:
    for _ in range(dice.randint(10, 60)):
        _add(dice, steps)


def _tree(dice: random.Random, steps: list[Step]) -> None:
    level = [_add(dice, steps) for _ in range(dice.randint(8, 30))]
    while len(level) > 1:
        width = dice.randint(2, 4)
        parts = [level[at : at + width] for at in range(0, len(level), width)]
        level = [_add(dice, steps, part) for part in parts]


def _chains(dice: random.Random, steps: list[Step]) -> None:
    ends = []
    for _ in range(dice.randint(1, 5)):
        end = _add(dice, steps)
        for _ in range(dice.randint(3, 10)):
            end = _add(dice, steps, [end])
        ends.append(end)
    _add(dice, steps, ends)


def _fans(dice: random.Random, steps: list[Step]) -> None:
    """One for many, many for one, several times."""
    middle = _add(dice, steps)
    for _ in range(dice.randint(1, 3)):
        middle = _add(
            dice, steps, [_add(dice, steps, [middle]) for _ in range(dice.randint(4, 18))]
        )


def _shuffle(dice: random.Random, steps: list[Step]) -> None:
    """All for all."""
    level = [_add(dice, steps) for _ in range(dice.randint(3, 8))]
    for _ in range(dice.randint(1, 3)):
        level = [_add(dice, steps, level) for _ in range(dice.randint(3, 8))]


def _anyhow(dice: random.Random, steps: list[Step]) -> None:
    for number in range(dice.randint(10, 60)):
        count = min(number, dice.choice((0, 1, 1, 2, 3, 5)))
        _add(dice, steps, dice.sample(range(max(0, number - 20), number), min(count, 20)))


SHAPES: dict[str, Callable[[random.Random, list[Step]], None]] = {
    "map": _map,
    "tree": _tree,
    "chains": _chains,
    "fans": _fans,
    "shuffle": _shuffle,
    "anyhow": _anyhow,
}
