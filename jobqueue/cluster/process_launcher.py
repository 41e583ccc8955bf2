"""Jobs as processes of this machine: what LocalCluster has instead of a batch system."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from jobqueue.cluster.causes import CANCELLED, COMPLETED, CRASHED, UNKNOWN
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.launcher import tail_logs
from jobqueue.cluster.pool import Submission
from jobqueue.cluster.threads import off_loop
from jobqueue.worker.shares import PLACE

TERM_GRACE = 15.0
"""Seconds a job agent has to end after SIGTERM before it is killed, together with its workers."""

INTERVALS = (0.2, 0.5, 1.0, 2.0)


class ProcessLauncher:
    """Starts each job as one process with its own process group.

    Parameters
    ----------
    name
        What the ids of the jobs begin with.
    argv
        Returns the command of a job, given the job's id.
    folder
        Where the logs go; an existing folder.
    """

    system = "local"
    script: str | None = None
    intervals: Sequence[float] = INTERVALS
    in_doubt = False

    def __init__(self, name: str, argv: Callable[[str], Sequence[str]], folder: Path) -> None:
        self._name = name
        self._argv = argv
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._places: dict[str, int] = {}  # by job: the lowest that was free
        self._count = 0
        self._cancelled: set[str] = set()

    def __repr__(self) -> str:
        """``<ProcessLauncher: 4 processes>``."""
        return f"<ProcessLauncher: {len(self._processes)} processes>"

    def check(self) -> None:
        """A process can always be started."""

    async def submit(self, count: int) -> Submission:
        """Start processes."""
        started: list[str] = []
        try:
            for _ in range(count):
                self._count += 1
                job_id = f"{self._name}-{self._count}"
                self._processes[job_id] = self._start(job_id)
                started.append(job_id)
        except OSError as error:
            return Submission(tuple(started), error)
        return Submission(tuple(started))

    def _start(self, job_id: str) -> subprocess.Popen[bytes]:
        taken = set(self._places.values())
        place = next(n for n in itertools.count() if n not in taken)
        with open(self.log_files(job_id)[0], "wb") as log:
            process = subprocess.Popen(
                self._argv(job_id),
                env={**os.environ, PLACE: str(place)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is the cluster's to answer
            )
        self._places[job_id] = place
        return process

    @property
    def source(self) -> ProcessLauncher:
        """Itself: nobody else knows its processes."""
        return self

    async def look(self, job_ids: Sequence[str]) -> dict[str, JobReport]:
        """Look at the processes; without any command."""
        return {job_id: self._state_of(job_id) for job_id in job_ids}

    async def read(
        self, answer: Mapping[str, JobReport], job_ids: Sequence[str]
    ) -> list[JobReport]:
        """Return the answer."""
        return [answer[job_id] for job_id in job_ids]

    def _state_of(self, job_id: str) -> JobReport:
        process = self._processes.get(job_id)
        node = socket.gethostname()
        if process is None:
            return JobReport(job_id, Phase.MISSING, cause=UNKNOWN)
        code = process.poll()
        if code is None:
            return JobReport(job_id, Phase.RUNNING, node=node)
        files = self.log_files(job_id)
        return JobReport(
            job_id,
            Phase.ENDED,
            node=node,
            exit_code=code,
            cause=self._cause(job_id, code),
            log_path=str(files[0]),
            log_tail=tail_logs(files),
        )

    def _cause(self, job_id: str, code: int) -> str:
        if job_id in self._cancelled:
            return CANCELLED
        return CRASHED if code else COMPLETED

    async def cancel(self, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
        """Ask processes to end; a second time, or if abandoned, it is no longer a request."""
        for job_id in job_ids:
            again = abandoned or job_id in self._cancelled
            self._cancelled.add(job_id)
            self._signal(job_id, signal.SIGKILL if again else signal.SIGTERM)

    def _signal(self, job_id: str, signum: signal.Signals) -> None:
        process = self._processes.get(job_id)
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signum)

    async def last_run(self, job_id: str) -> str:
        """A process does not come back."""
        return ""

    async def ended(self, job_ids: Collection[str]) -> None:
        """Forget processes that have ended."""
        for job_id in job_ids:
            process = self._processes.get(job_id)
            if process is not None and process.poll() is not None:
                del self._processes[job_id], self._places[job_id]
                self._cancelled.discard(job_id)

    def log_files(self, job_id: str) -> tuple[Path, ...]:
        """Return the one file with all of a process's output."""
        return (self._folder / f"{job_id}.log",)

    async def close(self) -> None:
        """Wait until all processes have ended; kill those that take too long."""
        waits = [off_loop(_wait, process) for process in self._processes.values()]
        await asyncio.gather(*waits)
        self._processes.clear()


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(TERM_GRACE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
