"""dask's graphs on jobqueue and on distributed, in turns: many small tasks, phase by phase.

    python -m benchmarks.graphs --tasks 100000 --rounds 3

Both have two workers of one thread on this machine, and each measurement is a fresh process. What
dask does before it calls a scheduler is the same for both. Prints Markdown.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.results import figure, significant
from benchmarks.turns import MeasurementError, end_family, environment, turns

PEER = "distributed"

GOAL = 5.0
"""How many times as fast as the peer ours is to be, from a collection to its value."""

TIMEOUT = 1800.0
"""Seconds after which a measurement counts as failed."""

WARM_UP = 10
"""The graph before which nothing is timed is so many times smaller."""

SENDS = {OURS: "_send_graph", PEER: "_graph_to_futures"}
"""The client's method that sends a graph: when it returns, the client begins to wait."""


class Phases(NamedTuple):
    """Seconds.

    Parameters
    ----------
    build
        From the user's lines until the scheduler is called: dask writes its graph.
    ship
        Until the client has sent all of it, while workers run the first.
    run
        From then on until the value is there.
    """

    build: float
    ship: float
    run: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


def array(tasks: int) -> tuple[Any, Any]:
    """Return the sum of an array of many blocks, and what it comes to."""
    import dask.array as da

    blocks = max(1, tasks * 3 // 4)  # and a third as many sums of sums
    return da.ones((blocks * 2,), chunks=2).sum(), blocks * 2


def bag(tasks: int) -> tuple[Any, Any]:
    """Return a function mapped over a bag of many partitions."""
    import dask.bag as db

    return db.range(tasks, npartitions=tasks).map(str), [str(i) for i in range(tasks)]


def delayed(tasks: int) -> tuple[Any, Any]:
    """Return a tree of additions."""
    from operator import add

    import dask

    call = dask.delayed(add, pure=False)
    level = [call(i, 1) for i in range((tasks + 1) // 2)]
    expected = sum(range(1, len(level) + 1))
    while len(level) > 1:
        pairs = [call(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) // 2 * 2 :]
    return level[0], expected


SHAPES: Mapping[str, Callable[[int], tuple[Any, Any]]] = {
    "array": array,
    "bag": bag,
    "delayed": delayed,
}
"""A collection of about so many tasks, and its value."""

Figures = dict[tuple[str, str], dict[int, Phases]]
"""By shape and contender: by round."""


def time_phases(client: Any, send: str, shape: str, tasks: int) -> Phases:
    """Compute one graph, and return how long each phase took.

    Raises
    ------
    ValueError
        The value is wrong.
    """
    marks: list[float] = []
    original = getattr(client, send)

    def sending(*args: Any, **kwargs: Any) -> Any:
        sent = original(*args, **kwargs)
        marks.append(time.perf_counter())
        return sent

    def get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        marks.append(time.perf_counter())
        return client.get(dsk, keys)

    setattr(client, send, sending)
    try:
        begun = time.perf_counter()
        collection, expected = SHAPES[shape](tasks)
        value = collection.compute(scheduler=get)
        ended = time.perf_counter()
    finally:
        setattr(client, send, original)
    if value != expected:
        raise ValueError(f"{shape} of {tasks}: a wrong value")
    called, sent = marks
    return Phases(called - begun, sent - called, ended - sent)


def measure_here(contender: str, shape: str, tasks: int) -> Phases:
    """Start a contender, warm it up, and time one graph."""
    ours = CONTENDERS[contender]()
    ours.start()
    try:
        client, send = ours.client, SENDS[contender]  # type: ignore[attr-defined]
        time_phases(client, send, shape, max(2, tasks // WARM_UP))
        return time_phases(client, send, shape, tasks)
    finally:
        ours.stop()


def measure(contender: str, shape: str, tasks: int) -> Phases:
    """Do that in a fresh process.

    Raises
    ------
    MeasurementError
        The process fails, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        file, log = Path(folder, "figures"), Path(folder, "log")
        words = [sys.executable, "-m", "benchmarks.graphs", "--measure", contender, "--shapes"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*words, shape, "--tasks", str(tasks), "--out", str(file)],
                cwd=folder,
                env={**environment(contender), "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                code = process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                raise MeasurementError(f"no figure after {TIMEOUT:g} s") from None
            finally:
                end_family(process)
        if code:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise MeasurementError(lines[-1] if lines else f"exit code {code}")
        return Phases(*json.loads(file.read_text()))


def document(figures: Figures, tasks: int, rounds: int) -> str:
    """Return a table: medians by phase, and how many times as fast ours is within each round."""
    lines = [
        f"Graphs of {tasks:,} tasks, medians of {rounds} round{'s' * (rounds != 1)}.",
        "",
        "| graph | on | build | ship | run | in all | a task | times as fast |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (shape, contender), by_round in figures.items():
        if not by_round:
            lines.append(f"| {shape} | {contender} | failed | | | | | |")
            continue
        phases = Phases(*map(statistics.median, zip(*by_round.values(), strict=True)))
        total = statistics.median(one.total for one in by_round.values())
        cells = [figure(seconds, "s") for seconds in (*phases, total, total / tasks)]
        cells.append(_ratio(figures, shape, contender))
        lines.append(f"| {shape} | {contender} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ratio(figures: Figures, shape: str, contender: str) -> str:
    theirs = figures.get((shape, PEER), {})
    ours = figures.get((shape, OURS), {}) if contender == OURS else {}
    ratios = [theirs[number].total / ours[number].total for number in ours if number in theirs]
    if not ratios:
        return ""
    ratio = statistics.median(ratios)
    return f"{significant(ratio, 2)} ({'≥' if ratio >= GOAL else '**<**'} {GOAL:g})"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphs", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--contenders", default=f"{OURS},{PEER}")
    parser.add_argument("--out", help="a file for what is printed")
    parser.add_argument("--measure", help=argparse.SUPPRESS)  # for the processes that do it
    options = parser.parse_args(argv)
    if options.measure:
        phases = measure_here(options.measure, options.shapes, options.tasks)
        Path(options.out).write_text(json.dumps(phases))
        return 0
    figures: Figures = {}
    failed = False
    for shape in options.shapes.split(","):
        contenders = options.contenders.split(",")
        for contender in contenders:
            figures[shape, contender] = {}
        for number, contender in turns(contenders, options.rounds):
            try:
                phases = measure(contender, shape, options.tasks)
                figures[shape, contender][number] = phases
                told = figure(phases.total, "s")
            except MeasurementError as error:
                failed, told = True, f"failed: {error}"
            print(f"{shape} {number + 1}/{options.rounds} {contender}: {told}", file=sys.stderr)
    text = document(figures, options.tasks, options.rounds)
    print(text, end="")
    if options.out:
        Path(options.out).write_text(text, encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
