"""`jobqueue demo`: the whole way once, shown. Script, jobs coming up, a computation, the end."""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.syntax import Syntax

import jobqueue
from jobqueue.cli import primes
from jobqueue.cli.console import Ended, ended_by_signals, log_on
from jobqueue.cli.next_steps import next_steps, way_out
from jobqueue.cli.systems import System
from jobqueue.cli.view import Picture, Progress, View, view_on
from jobqueue.client.client import Client
from jobqueue.client.future import Future
from jobqueue.client.waiting import wait
from jobqueue.cluster.cluster import Cluster
from jobqueue.cluster.jobs import JobState
from jobqueue.errors import JobQueueError
from jobqueue.scheduler.info import WorkerInfo

NAME = "jobqueue-demo"

LOOK = 0.1
"""Seconds between two looks."""

COMPANY = 5.0
"""Seconds that the first worker waits for the others before the computation begins."""

PATIENCE = 15.0
"""Seconds without a worker after which the user is told what else there is."""


class Demo:
    """One run of the demonstration.

    Parameters
    ----------
    system
        The batch system.
    keywords
        What its cluster is told.
    jobs
        How many jobs.
    timeout
        Seconds to wait for the first worker.
    verbose
        Whether to show the log.
    notes
        What is to be said about the choice of the batch system.
    console
        Where to show everything.
    """

    def __init__(
        self,
        system: System,
        keywords: Mapping[str, Any],
        *,
        jobs: int,
        timeout: float,
        verbose: bool = False,
        notes: Sequence[str] = (),
        console: Console | None = None,
    ) -> None:
        self.system = system
        self.keywords = dict(keywords)
        self.jobs = jobs
        self.timeout = timeout
        self.console = console or Console(highlight=False)
        self._notes = notes
        self._level = logging.INFO if verbose else None
        self._open_jobs = 0

    def run(self) -> int:
        """Show everything; return the exit status."""
        try:
            with ended_by_signals(), log_on(self.console, self._level):
                return self._run()
        except KeyboardInterrupt:
            return self._interrupted(signal.SIGINT)
        except Ended as end:
            return self._interrupted(end.signum)

    def _interrupted(self, signum: int) -> int:
        self._say(f"Interrupted: {_jobs(self._open_jobs)} cancelled.")
        return 128 + signum

    def _run(self) -> int:
        self._introduce()
        cluster = self.system.make(name=NAME, **self.keywords)
        try:
            with self._closing(cluster):
                self._show_script(cluster.job_script())
                cluster.scale(jobs=self.jobs)
                with Client(cluster) as client:
                    self._watch(cluster, client)
        except (JobQueueError, TimeoutError) as error:
            self._say(f"\n{error}\n\n{way_out(self.system)}")
            return 1
        self._say(f"{_jobs(self._open_jobs)} cancelled, nothing is left.\n")
        self._say(next_steps(self.system, self.keywords, self.jobs))
        return 0

    def _introduce(self) -> None:
        self.console.rule(f"jobqueue {jobqueue.__version__}", align="left", style="dim")
        for note in self._notes:
            self._say(note)
        self._say(f"{self.system.introduction()}\n")

    def _show_script(self, script: str) -> None:
        self._say(f"{_jobs(self.jobs)}, each of which runs this script:\n")
        if self.console.is_terminal:
            self.console.print(
                Syntax(script.rstrip(), "bash", background_color="default", word_wrap=True)
            )
        else:
            self._say(script.rstrip())
        self._say("")

    def _say(self, text: str) -> None:
        for line in text.split("\n"):  # what is to be copied must not be broken
            whole = line.startswith("  ") or not self.console.is_terminal
            self.console.print(line, markup=False, soft_wrap=whole)

    @contextmanager
    def _closing(self, cluster: Cluster) -> Iterator[None]:
        """Close a cluster, count whom that costs its job, and let its warnings be seen."""
        try:
            yield
        finally:
            self._open_jobs = sum(job.state is not JobState.ENDED for job in cluster.jobs)
            with log_on(self.console, logging.WARNING):
                self._close(cluster)

    def _close(self, cluster: Cluster) -> None:
        try:
            cluster.close()
        except TimeoutError:
            left = ", ".join(job.job_id for job in cluster.jobs if job.state is not JobState.ENDED)
            self._say(f"{self.system.title} is slow to cancel; jobs that may be left: {left}")

    # --- jobs and tasks ------------------------------------------------------------------

    def _watch(self, cluster: Cluster, client: Client) -> None:
        camera = Camera(cluster)
        with view_on(self.console) as view:
            self._wait_for_workers(camera, client, view)
            total, began = self._compute(camera, client, view)
        part, seconds = total.result(), time.monotonic() - began
        self._tell(part, seconds, camera.job_of)

    def _wait_for_workers(self, camera: Camera, client: Client, view: View) -> None:
        """Wait until a worker has run something, and a little longer for the others."""
        hello = client.submit(primes.here)
        began = time.monotonic()
        while not _done(hello):
            waited = time.monotonic() - began
            if waited > self.timeout:
                raise TimeoutError(f"No worker within {self.timeout:g} s: {camera.situation()}")
            view.show(camera.picture(hint=way_out(self.system) if waited > PATIENCE else ""))
        hello.result()
        first = time.monotonic()
        while time.monotonic() < first + COMPANY and not camera.complete(self.jobs):
            view.show(camera.picture())
            time.sleep(LOOK)
        view.show(camera.picture())

    def _compute(self, camera: Camera, client: Client, view: View) -> tuple[Future, float]:
        began = time.monotonic()
        levels = [client.map(primes.count, *primes.intervals())]
        while len(levels[-1]) > 1:
            levels.append(_sums(client, levels[-1]))
        tasks = list(dict.fromkeys(future for level in levels for future in level))
        [total] = levels[-1]
        while not _done(total):
            done = sum(future.done() for future in tasks)
            progress = Progress(done, len(tasks), time.monotonic() - began)
            view.show(camera.picture(progress=progress))
        total.result()
        progress = Progress(len(tasks), len(tasks), time.monotonic() - began)
        view.show(camera.picture(progress=progress))
        return total, began

    def _tell(self, part: primes.Part, seconds: float, job_of: Mapping[str, str]) -> None:
        tasks = sum(part.tasks.values())
        verdict = "as it should be" if part.primes == primes.COUNT else f"NOT {primes.COUNT:,}"
        self._say(
            f"\nThere are {part.primes:,} primes below {primes.LIMIT:,}, {verdict}.\n"
            f"{tasks:,} tasks in {seconds:.1f} s, {tasks / seconds:,.0f} a second, on "
            f"{len(part.tasks)} workers: {_by_job(part.tasks, job_of)}."
        )


class Camera:
    """Takes pictures of a cluster.

    Parameters
    ----------
    cluster
        A synchronous one.

    Attributes
    ----------
    job_of
        The jobs of all workers that were ever in a picture, by host and process.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.job_of: dict[str, str] = {}
        self._cluster = cluster

    def picture(self, *, hint: str = "", progress: Progress | None = None) -> Picture:
        """Return how things stand now."""
        workers = self.workers()
        return Picture(
            jobs=self._cluster.jobs,
            nodes={worker.job_id: worker.host for worker in workers if worker.job_id},
            workers=Counter(worker.job_id for worker in workers if worker.job_id),
            situation=self.situation(),
            now=time.monotonic(),
            hint=hint,
            progress=progress,
        )

    def situation(self) -> str:
        """Return one line about why there are as many workers as there are."""
        return self._cluster.describe()

    def complete(self, jobs: int) -> bool:
        """Tell whether so many jobs are connected."""
        connected = [job for job in self._cluster.jobs if job.state is JobState.CONNECTED]
        return len(connected) >= jobs

    def workers(self) -> list[WorkerInfo]:
        """Return the connected workers."""

        async def ask() -> list[WorkerInfo]:
            return self._cluster.scheduler.workers()

        assert self._cluster.loop is not None
        workers = self._cluster.loop.run(ask())
        self.job_of |= {f"{w.host}:{w.pid}": w.job_id or w.name for w in workers}
        return workers


def _done(future: Future) -> bool:
    """Wait a moment for a task; raises if no worker will come for it."""
    try:
        wait([future], timeout=LOOK)
    except TimeoutError:
        return False
    return True


def _sums(client: Client, parts: Sequence[Future]) -> list[Future]:
    """Submit one level of the tree: futures are arguments like any other."""
    sums = client.map(primes.add, parts[:-1:2], parts[1::2])
    return sums + list(parts[len(sums) * 2 :])


def _by_job(tasks: Mapping[str, int], job_of: Mapping[str, str]) -> str:
    """Say which job ran how many tasks."""
    counts: Counter[str] = Counter()
    for process, number in tasks.items():
        counts[job_of.get(process, process)] += number
    shown = [f"{number:,} in job {job}" for job, number in counts.most_common(8)]
    return ", ".join(shown) + (", …" if len(counts) > len(shown) else "")


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
