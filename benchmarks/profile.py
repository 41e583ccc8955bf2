"""Where the time of one task goes: in a flood of them, and when there is a single one.

    python -m benchmarks.profile

Of the flood it prints the processor time a task that each thread spends, and of client and
scheduler in which stages. What is in no stage (reading, the event loop, waking threads, collecting
garbage) is the rest of what the kernel says the thread has had. Of single tasks it prints when they
come past each step: the medians of the time since the beginning, waits and thread switches
included.

One worker with one thread, both processes on this machine. The clocks around the stages take time
themselves. In a flood that is next to nothing, since stages are called once a batch, and the worker
has none; single tasks take about a quarter longer than `python -m benchmarks` says.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.stages import Account, Mark, Report, install, report
from benchmarks.tasks import identity

HERE, THERE = "client and scheduler", "worker"


class Step(NamedTuple):
    """A moment on a task's way: a stage begins or ends, in one of the two processes."""

    text: str
    process: str
    label: str
    ended: bool


STEPS = (
    Step("the user calls submit", HERE, "pickle the call, make its future", False),
    Step("the event loop is awake", HERE, "client: say what is to be said", False),
    Step("the scheduler has taken it in and placed it", HERE, "pack", False),
    Step("it is written to the worker's socket", HERE, "write at once", True),
    Step("the worker has read it", THERE, "take what was read", False),
    Step("its thread has it", THERE, "unpickle, call, pickle", False),
    Step("the result is being written", THERE, "write at once", False),
    Step("the scheduler has read it", HERE, "take what was read", False),
    Step("the client's book is told", HERE, "client: note the ends", False),
    Step("the user has the result", HERE, "wait, unpickle the result", True),
)


def per_task(
    process: str, before: dict[str, float], after: Report, tasks: int
) -> Iterator[tuple[str, str, float]]:
    """Yield thread, stage and microseconds a task; last of each thread what is in no stage."""
    least = 0.05 * tasks / 1e6
    for thread, clock in after.clocks.items():
        left = clock - before.get(thread, 0.0)
        if left < least:
            continue
        stages = {label: cost for label, cost in stages_of(after.account, thread) if cost >= least}
        for label, cost in stages.items():
            left -= cost
            yield f"{process}: {thread}", label, cost * 1e6 / tasks
        yield f"{process}: {thread}", "the rest" if stages else "all", left * 1e6 / tasks


def stages_of(account: Account, thread: str) -> list[tuple[str, float]]:
    """Return one thread's stages and their seconds, the most expensive first."""
    own = [(label, cost) for (name, label), (_, cost) in account.items() if name == thread]
    return sorted(own, key=lambda stage: -stage[1])


def timelines(marks: dict[str, Sequence[Mark]]) -> Iterator[list[float]]:
    """Yield the seconds from a task's beginning to each step, for each task that made them all.

    Threads overlap, so that the steps need not come in order.
    """
    moments = sorted(
        (when, (process, label, ended))
        for process, some in marks.items()
        for when, label, ended in some
    )
    steps = [step[1:] for step in STEPS]
    seen: dict[tuple[str, str, bool], float] = {}
    for when, what in moments:
        if what == steps[0]:
            seen = {what: when}
        elif seen:
            seen.setdefault(what, when)
        if what == steps[-1]:
            if all(step in seen for step in steps):
                yield [seen[step] - seen[steps[0]] for step in steps]
            seen = {}


def flood(client: Any, tasks: int) -> Iterator[str]:
    """Run many tasks at once; yield the lines of a table."""
    client.gather(client.map(identity, range(tasks)))
    there, here = client.submit(report).result().clocks, report().clocks
    client.gather(client.map(identity, range(tasks)))
    now_there, now_here = client.submit(report).result(), report()
    yield f"| thread | stage, of {tasks:,} tasks at once | µs a task |"
    yield "| --- | --- | ---: |"
    total = 0.0
    for process, before, now in ((HERE, here, now_here), (THERE, there, now_there)):
        for thread, label, cost in per_task(process, before, now, tasks):
            total += cost
            yield f"| {thread} | {label} | {cost:.2f} |"
    yield f"| all | | {total:.2f} |"


def single(client: Any, count: int) -> Iterator[str]:
    """Run tasks one after the other; yield the lines of a table."""
    client.submit(install).result()
    for number in range(count // 5 + 1):
        client.submit(identity, number).result()
    client.submit(report).result()
    report()
    for number in range(count):
        client.submit(identity, number).result()
    here = report().marks
    ways = list(timelines({HERE: here, THERE: client.submit(report).result().marks}))
    yield f"| step of a single task, medians of {len(ways):,} | where | µs | since the last |"
    yield "| --- | --- | ---: | ---: |"
    before = 0.0
    for step, seconds in zip(STEPS, zip(*ways, strict=True), strict=False):
        now = statistics.median(seconds) * 1e6
        yield f"| {step.text} | {step.process} | {now:.0f} | {now - before:.0f} |"
        before = now


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="of the flood")
    parser.add_argument("--round-trips", type=int, default=1000, help="of single tasks")
    options = parser.parse_args(argv)
    install()
    from jobqueue import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1) as cluster,
        Client(cluster) as client,
    ):
        for line in flood(client, options.tasks):
            print(line)
        print()
        for line in single(client, options.round_trips):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
