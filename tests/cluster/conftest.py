"""Fakes: a scheduler without tasks, and a launcher whose jobs do what the test says; places."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.cluster.loop import ClusterLoop
from jobqueue.cluster.pool import Submission
from jobqueue.errors import BatchSystemError, WorkersUnavailable
from jobqueue.scheduler.load import Backlog, JobKey, JobLoad, Load


@dataclasses.dataclass
class FakeWorker:
    """A worker as the loop sees it."""

    name: str
    job_id: str | None
    processing: int = 0
    stored_bytes: int = 0
    nthreads: int = 1
    pool: str = ""
    ends_at: float | None = None
    host: str = ""


class FakeScheduler:
    """Holds workers; retires them when it is let to."""

    def __init__(self) -> None:
        self.present: dict[str, FakeWorker] = {}
        self.retired: list[str] = []
        self.may_retire = asyncio.Event()
        self.may_retire.set()
        self.backlog: list[Backlog] = []
        self.looks = 0

    def workers(self) -> list[FakeWorker]:
        return list(self.present.values())

    def load(self) -> Load:
        self.looks += 1
        jobs: dict[JobKey, JobLoad] = {}
        for worker in self.present.values():
            job = jobs.setdefault((worker.pool, worker.job_id), JobLoad())
            job.threads += worker.nthreads
            job.tasks += worker.processing
            job.seconds += worker.processing
            job.busy = job.busy or bool(worker.processing)
            job.stored_bytes += worker.stored_bytes
        return Load(self.backlog, jobs)

    async def retire(self, names: Iterable[str], *, timeout: float) -> None:  # noqa: ASYNC109
        self.retired += names
        await self.may_retire.wait()


class FakeLauncher:
    """Accepts everything at once; ``phases`` says what a query finds; ``log`` what was asked."""

    system = "fake"
    intervals: Sequence[float] = (0.001,)

    def __init__(self, shared: FakeLauncher | None = None) -> None:
        self.shared = shared  # another, which is asked about the jobs of this one, too
        self.script: str | None = "/state/job.sh"
        self.in_doubt = False
        self.phases: dict[str, JobReport] = {}
        self.log: list[tuple[str, object]] = []
        self.rejection: Exception | None = None
        self.silent = False
        self.closed = False
        self.found: list[str] = []
        self.last_runs: dict[str, str] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.count = 0

    def check(self) -> None:
        pass

    async def submit(self, count: int) -> Submission:
        self.log.append(("submit", count))
        await asyncio.sleep(0)
        if self.rejection is not None:
            return Submission(error=self.rejection)
        ids = tuple(str(self.source.count + i) for i in range(count))
        self.source.count += count
        self.source.phases |= {job_id: JobReport(job_id, Phase.PENDING) for job_id in ids}
        return Submission(ids)

    @property
    def source(self) -> FakeLauncher:
        return self if self.shared is None else self.shared

    async def look(self, job_ids: Sequence[str]) -> None:
        self.log.append(("look", tuple(job_ids)))
        await asyncio.sleep(0)
        await self.may_answer.wait()
        if self.silent:
            raise BatchSystemError("no answer")

    async def read(self, answer: None, job_ids: Sequence[str]) -> list[JobReport]:
        found, self.found = self.found, []
        if found:
            self.in_doubt = False
        return [self.source.phases[job_id] for job_id in (*job_ids, *found)]

    async def cancel(self, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
        self.log.append(("cancel", tuple(job_ids)))
        for job_id in job_ids:
            self.phases[job_id] = JobReport(job_id, Phase.ENDED, cause="cancelled")

    async def last_run(self, job_id: str) -> str:
        return self.last_runs.get(job_id, "")

    async def ended(self, job_ids: Iterable[str]) -> None:
        self.log += [("ended", job_id) for job_id in job_ids]

    def log_files(self, job_id: str) -> tuple[Path, ...]:
        return ()

    async def close(self) -> None:
        self.closed = True


async def wait_until(condition: Callable[[], object]) -> None:
    """Let the event loop run until something is true; fails after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition, not only events
            await asyncio.sleep(0.001)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], object]:
    """`await eventually(condition)`."""
    return wait_until


@pytest.fixture
def launcher() -> FakeLauncher:
    """A launcher that obeys the test."""
    return FakeLauncher()


@pytest.fixture
def scheduler() -> type[FakeScheduler]:
    """The class of a scheduler without tasks; to be made inside the event loop."""
    return FakeScheduler


@pytest.fixture
def worker() -> type[FakeWorker]:
    """The class of a worker as the loop sees it."""
    return FakeWorker


PAIRS = JobSize(workers=2, threads=2, cores=2, memory=0)
"""Jobs of two workers."""


class Setup:
    """A running loop of one pool, its fakes, and the outages it told of."""

    def __init__(
        self, launcher: Any, scheduler: Any, worker: Any, clock: Callable[[], float]
    ) -> None:
        self.worker = worker
        self.launcher = launcher
        self.scheduler = scheduler
        self.outages: list[WorkersUnavailable | None] = []
        self.loop = ClusterLoop(scheduler, on_outage=self.outages.append, clock=clock)
        self.pool = self.loop.add("default", launcher, PAIRS).state
        self.loop.start()

    @property
    def jobs(self) -> dict[str, Any]:
        return self.pool.jobs

    def scale(self, jobs: int) -> None:
        self.loop.scale("default", jobs)

    def joined(self, job_id: str, name: str) -> bool:
        return self.loop.worker_joined(self.worker(name, job_id))

    def left(self, job_id: str, name: str) -> bool:
        return self.loop.worker_left(self.worker(name, job_id))

    def states(self) -> list[JobState]:
        return [job.state for job in self.jobs.values()]

    def submissions(self) -> list[int]:
        return [n for what, n in self.launcher.log if what == "submit"]

    def cancellations(self) -> list[tuple[str, ...]]:
        return [ids for what, ids in self.launcher.log if what == "cancel"]

    def end(self, job_id: str, *, cause: str = "crashed", exit_code: int = 1) -> None:
        self.launcher.phases[job_id] = JobReport(
            job_id, Phase.ENDED, cause=cause, exit_code=exit_code, log_path="/l", log_tail="boom"
        )


@pytest.fixture
def running(launcher: Any, scheduler: Any, worker: Any) -> Callable[..., Any]:
    """`async with running() as setup`: a loop that is closed at the end."""

    @contextlib.asynccontextmanager
    async def run(clock: Callable[[], float] | None = None) -> AsyncIterator[Setup]:
        loop = asyncio.get_running_loop()
        setup = Setup(launcher, scheduler(), worker, clock or loop.time)
        try:
            yield setup
        finally:
            await setup.loop.close()

    return run


@pytest.fixture
def two_pools(running: Any, launcher: Any) -> Callable[..., Any]:
    """`async with two_pools() as setup`: "other" shares its launcher's source with "default"."""

    @contextlib.asynccontextmanager
    async def run(clock: Callable[[], float] | None = None) -> AsyncIterator[Setup]:
        async with running(clock) as setup:
            setup.loop.add("other", type(launcher)(launcher), PAIRS)
            yield setup

    return run


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything a cluster writes, and all it reads, is in the test's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(tmp_path / "embedded"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


@pytest.fixture
def queue(places: Path) -> Callable[[], list[str]]:
    """`queue()`: the jobs that the embedded batch system's squeue shows, as "id state"."""

    def squeue() -> list[str]:
        argv = [sys.executable, "-m", "jobqueue.batch.embedded", "squeue", "-h", "-o", "%i %T"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    return squeue


@pytest.fixture
def program() -> str:
    """The beginning of a program that brings five jobs up, four of them running, and says so."""
    return textwrap.dedent("""
        import asyncio, sys, time
        from jobqueue.cluster.embedded import EmbeddedCluster
        from jobqueue.cluster.jobs import JobState

        keywords = {"cores": 1, "memory": "1GB", "python": "sleep 600;"}

        def wait(cluster):
            cluster.scale(jobs=5)
            while [job.state for job in cluster.jobs].count(JobState.RUNNING) < 4:
                time.sleep(0.02)
            print("running", flush=True)

        async def asynchronous():
            cluster = await EmbeddedCluster(**keywords, asynchronous=True)
            cluster.scale(jobs=5)
            while [job.state for job in cluster.jobs].count(JobState.RUNNING) < 4:
                await asyncio.sleep(0.02)
            print("running", flush=True)
            return cluster
    """)
