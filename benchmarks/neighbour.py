"""What many jobs cost the site: commands of the batch system, and processor time on the login node.

    eval "$(python3 ci/slurm env)"
    python -m benchmarks.neighbour --jobs 200 --minutes 10

Submits jobs to the Slurm that answers, most of which wait, watches a cluster do nothing for some
minutes, and cancels them. Prints what was counted in each phase, and what follows for an hour.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jobqueue import SLURMCluster
from jobqueue.batch import commands
from jobqueue.cluster.batch_system import INTERVALS
from jobqueue.cluster.jobs import JobState

HOUR = 3600.0

JOB: dict[str, Any] = {
    "cores": 1,
    "memory": "512MB",
    "walltime": "01:00:00",
    "job_cpu": 32,  # so that few of them run, and the machine has time to be measured
}


class Phase(NamedTuple):
    """What was counted while something went on.

    Parameters
    ----------
    title
        What went on.
    seconds
        For how long.
    asked
        How often each command was run.
    own, theirs
        Seconds of processor time of this process, and of the commands.
    """

    title: str
    seconds: float
    asked: Counter[str]
    own: float
    theirs: float


class Meter:
    """Counts the commands that this process runs, from now on."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._run = commands.run
        commands.run = self._counted

    async def _counted(self, argv: Sequence[str], **options: Any) -> Any:
        self._asked[argv[0]] += 1
        return await self._run(argv, **options)

    def during(self, title: str, work: Callable[[], object]) -> Phase:
        """Do something, and return what it has cost."""
        self._asked.clear()
        began, own, theirs = time.monotonic(), *_processor_times()
        work()
        own_after, theirs_after = _processor_times()
        return Phase(
            title,
            time.monotonic() - began,
            Counter(self._asked),
            own_after - own,
            theirs_after - theirs,
        )


def _processor_times() -> tuple[float, float]:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, theirs = (each.ru_utime + each.ru_stime for each in used)
    return own, theirs


def scheduled(seconds: float, intervals: Sequence[float] = INTERVALS) -> int:
    """Return how many queries there are in some seconds in which nothing happens.

    Parameters
    ----------
    seconds
        Counted from when something happened last.
    intervals
        Seconds between queries; the last one repeats.

    Examples
    --------
    >>> scheduled(600.0), scheduled(3600.0)
    (15, 65)
    """
    queries, clock = 0, 0.0
    while True:
        clock += intervals[min(queries, len(intervals) - 1)]
        if clock > seconds:
            return queries
        queries += 1


def measure(jobs: int, minutes: float) -> list[Phase]:
    """Submit jobs, let them wait, cancel them; return what each of these has cost."""
    meter = Meter()
    cluster = SLURMCluster(**JOB)

    def submit() -> None:
        cluster.scale(jobs=jobs)
        while len(cluster.jobs) < jobs or any(
            job.state is JobState.SUBMITTED for job in cluster.jobs
        ):
            time.sleep(0.5)

    phases = [
        meter.during(f"scale(jobs={jobs}), until the batch system has told of each", submit),
        meter.during("nothing changes", lambda: time.sleep(60.0 * minutes)),
    ]
    states = Counter(str(job.state) for job in cluster.jobs)
    print(f"{jobs} jobs: {', '.join(f'{count} {state}' for state, count in states.items())}")
    return [*phases, meter.during("close()", cluster.close)]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    phases = measure(options.jobs, options.minutes)
    print("\n| | s | commands | own CPU s | commands' CPU s |\n|---|---:|---|---:|---:|")
    for phase in phases:
        asked = ", ".join(f"{count} {name}" for name, count in phase.asked.items()) or "none"
        print(
            f"| {phase.title} | {phase.seconds:.1f} | {asked} | {phase.own:.2f} | "
            f"{phase.theirs:.2f} |"
        )
    quiet = phases[1]
    print(
        f"\nWhile nothing changed: {quiet.asked.total()} commands; by the schedule there are "
        f"{scheduled(quiet.seconds)} in that time, and {scheduled(HOUR)} in an hour.\n"
        f"Processor time in an hour: {HOUR * quiet.own / quiet.seconds:.1f} s of the program, "
        f"{quiet.theirs / max(1, quiet.asked.total()) * scheduled(HOUR):.1f} s of the commands."
    )


if __name__ == "__main__":
    main()
