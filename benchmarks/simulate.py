"""The real scheduler core with simulated workers: what one task costs it, and in memory.

    python -m benchmarks.simulate --workers 10,100,1000,10000 --tasks 100000
    python -m benchmarks.simulate --workers 10 --tasks 1000000 --shapes map

No network and no processes: workers answer at once, with small results. Each line of the table is
measured in a process of its own. The cost is the processor time of one core; the memory is what
the process grew by while all tasks were waiting, a task.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from jobqueue.protocol import messages as m
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.worker_record import WorkerRecord

FID = b"simulated calls."
RESULT = b"a small result"
ARGUMENTS = b"pickled arguments, twenty"
BATCH = 1000

Item = tuple[str, bytes, tuple[str, ...] | None]
"""Key, arguments and inputs, as `SchedulerState.submit` takes them."""


def map_shape(tasks: int) -> Iterator[Item]:
    """Yield independent tasks."""
    for number in range(tasks):
        yield f"map-{number:x}", ARGUMENTS, None


def tree_shape(tasks: int) -> Iterator[Item]:
    """Yield a binary reduction."""
    leaves = (tasks + 1) // 2
    for number in range(leaves):
        yield f"tree-{number:x}", ARGUMENTS, None
    for number in range(leaves - 1):
        yield (
            f"tree-{leaves + number:x}",
            ARGUMENTS,
            (
                f"tree-{2 * number:x}",
                f"tree-{2 * number + 1:x}",
            ),
        )


def shuffle_shape(tasks: int) -> Iterator[Item]:
    """Yield p sources, a part of each for each of p targets, and the targets."""
    parts = max(1, math.isqrt(tasks + 1) - 1)
    for source in range(parts):
        yield f"source-{source:x}", ARGUMENTS, None
    for source, target in itertools.product(range(parts), repeat=2):
        yield f"part-{source:x}-{target:x}", ARGUMENTS, (f"source-{source:x}",)
    for target in range(parts):
        inputs = tuple(f"part-{source:x}-{target:x}" for source in range(parts))
        yield f"target-{target:x}", ARGUMENTS, inputs


def fan_out_shape(tasks: int) -> Iterator[Item]:
    """Yield one task, and all others made from its result."""
    yield "root-0", ARGUMENTS, None
    for number in range(tasks - 1):
        yield f"leaf-{number:x}", ARGUMENTS, ("root-0",)


def chains_shape(tasks: int, length: int = 100) -> Iterator[Item]:
    """Yield chains of tasks, each made from the one before."""
    for number in range(tasks):
        chain, link = divmod(number, length)
        inputs = (f"chain-{chain:x}-{link - 1:x}",) if link else None
        yield f"chain-{chain:x}-{link:x}", ARGUMENTS, inputs


SHAPES: dict[str, Callable[[int], Iterator[Item]]] = {
    "map": map_shape,
    "tree": tree_shape,
    "shuffle": shuffle_shape,
    "fan-out": fan_out_shape,
    "chains": chains_shape,
}


class Costs(NamedTuple):
    """What a run cost.

    Parameters
    ----------
    tasks
        How many there were.
    submit, run, release
        Microseconds a task: taking it in, bringing it to a worker and its result back, letting
        it go.
    memory
        Bytes a task while all of them waited.
    transitions
        Changes of state a second.
    """

    tasks: int
    submit: float
    run: float
    release: float
    memory: float
    transitions: float


def simulate(shape: str, workers: int, tasks: int) -> Costs:
    """Run tasks of one shape through the core.

    Raises
    ------
    AssertionError
        A task did not come to its end.
    """
    core = SchedulerState()
    client = ClientRecord("client", 0)
    core.add_client(client)
    core.wishes.add_functions(client, [(FID, "simulated", b"")])
    items = list(SHAPES[shape](tasks))
    gc.collect()
    before = resident()
    times = [time.process_time()]
    for batch in batches(items, BATCH):
        core.submit(client, FID, None, batch)
    times.append(time.process_time())
    memory = resident() - before
    for number in range(workers):
        core.add_worker(WorkerRecord(f"worker-{number}", 1, addresses=(f"w{number}",)), 0.0)
    ready = time.process_time() - times[1]
    while work(core):
        client.take_messages()
    assert all(core.tasks[key].value == RESULT for key, _, _ in items)
    times.append(time.process_time() - ready)
    core.wishes.release(client, [key for key, _, _ in items])
    times.append(time.process_time() - ready)
    assert not core.tasks
    submit, run, release = (after - earlier for earlier, after in itertools.pairwise(times))
    count = len(items)
    # READY, ASSIGNED, MEMORY, FORGOTTEN; and before that WAITING where there are inputs.
    changes = 4 * count + sum(inputs is not None for _, _, inputs in items)
    per_task = 1e6 / count
    return Costs(
        tasks=count,
        submit=submit * per_task,
        run=run * per_task,
        release=release * per_task,
        memory=memory / count,
        transitions=changes / (submit + run + release),
    )


def work(core: SchedulerState) -> bool:
    """Let every worker do all it has been told; return whether anybody had anything to do."""
    core.settle()
    talking = list(core.talking)
    core.talking.clear()
    busy = False
    for worker in talking:
        results: list[tuple[str, bytes, int, float]] = []
        for operation, *fields in worker.take_messages():
            if operation == m.RUN:
                results.extend((item[0], RESULT, len(RESULT), 1e-6) for item in fields[0])
        if results:
            core.done(worker, results)
            busy = True
    return busy


def batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of a size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def resident() -> int:
    """Return the bytes of memory that this process has (Linux, /proc/self/statm, proc(5))."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def measure(shape: str, workers: int, tasks: int) -> Costs:
    """Run `simulate` in a process of its own, so that no run inherits another one's memory."""
    argv = [sys.executable, "-m", "benchmarks.simulate", "--one", f"{shape},{workers},{tasks}"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return Costs(*json.loads(done.stdout))


def table(rows: Iterable[tuple[str, int, Costs]]) -> Iterator[str]:
    """Yield the lines of a Markdown table; the last column compares with the fewest workers."""
    yield (
        "| shape | workers | tasks | submit µs | run µs | release µs | B a task "
        "| transitions/s | cost ratio |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    first: dict[str, float] = {}
    for shape, workers, costs in rows:
        total = costs.submit + costs.run + costs.release
        ratio = total / first.setdefault(shape, total)
        yield (
            f"| {shape} | {workers:,} | {costs.tasks:,} | {costs.submit:.2f} | {costs.run:.2f} "
            f"| {costs.release:.2f} | {costs.memory:.0f} | {costs.transitions:,.0f} "
            f"| {ratio:.2f} |"
        )


def numbers(text: str) -> list[int]:
    """Read whole numbers between commas."""
    return [int(part) for part in text.split(",")]


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description=__doc__)
    parser.add_argument("--workers", type=numbers, default=[10, 100, 1000, 10_000])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--shapes", default=",".join(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        shape, workers, tasks = options.one.split(",")
        print(json.dumps(simulate(shape, int(workers), int(tasks))))
        return 0
    runs: list[tuple[str, int]] = list(
        itertools.product(options.shapes.split(","), sorted(options.workers))
    )
    unknown: set[Any] = {shape for shape, _ in runs} - set(SHAPES)
    if unknown:
        parser.error(f"unknown shapes: {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    rows = ((shape, workers, measure(shape, workers, options.tasks)) for shape, workers in runs)
    for line in table(rows):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
