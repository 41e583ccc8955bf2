"""What a pool needs of whoever starts its jobs; batch_launcher.py and process_launcher.py do it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from jobqueue.cluster.jobs import JobReport
from jobqueue.cluster.pool import Submission

TAIL_BYTES = 4096
TAIL_LINES = 20


class Source(Protocol):
    """Who can be asked about jobs of several pools at once, and told to end them.

    Attributes
    ----------
    intervals
        Seconds between one query and the next while nothing changes; the last one repeats.
    """

    @property
    def intervals(self) -> Sequence[float]: ...  # noqa: D102

    async def look(self, job_ids: Sequence[str]) -> Any:
        """Ask about jobs; the answer is for the launchers to read.

        Raises
        ------
        BatchSystemError
            There was no answer.  That says nothing about any job.
        """

    async def cancel(self, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
        """End jobs, those that have ended already included; BatchSystemError if that failed.

        `abandoned`: the scheduler is gone, so workers need no time to hand over results.
        """


class Launcher(Protocol):
    """Starts the jobs of one pool, and tells what became of them.

    Attributes
    ----------
    system
        What starts the jobs, for messages: ``slurm``.
    script
        Path of the job script submitted last; None if there is none.
    in_doubt
        Whether jobs may exist that we have no ids of: then asking is worth while although no job is
        known.
    source
        Who is asked about the jobs; pools that share one are asked about together.
    """

    script: str | None

    @property
    def system(self) -> str: ...  # noqa: D102

    @property
    def in_doubt(self) -> bool: ...  # noqa: D102

    @property
    def source(self) -> Source: ...  # noqa: D102

    def check(self) -> None:
        """Raise a BatchSystemError if no job can be submitted from here."""

    async def submit(self, count: int) -> Submission:
        """Submit jobs; never raises for what a batch system may answer."""

    async def read(self, answer: Any, job_ids: Sequence[str]) -> list[JobReport]:
        """Return what an answer of the source says of this pool's jobs.

        It may tell of others of the pool's that were in doubt.
        """

    async def last_run(self, job_id: str) -> str:
        """Return why the last run of a job ended that waits again; "" if it left no word of it."""

    async def ended(self, job_ids: Collection[str]) -> None:
        """Forget jobs that are over."""

    def log_files(self, job_id: str) -> tuple[Path, ...]:
        """Return the files a job's output goes to, whether they exist yet or not."""

    async def close(self) -> None:
        """Let go of what is held; every job has been cancelled before."""


def read_logs(files: Iterable[Path]) -> str:
    """Return a job's whole output; what several files hold stands one after the other."""
    return "".join(_read(path, None) for path in files)


def tail_logs(files: Iterable[Path]) -> str:
    """Return the last lines of a job's output, "" if there is none."""
    tails = (_read(path, TAIL_BYTES).splitlines()[-TAIL_LINES:] for path in files)
    return "\n".join(line for tail in tails for line in tail)


def _read(path: Path, last: int | None) -> str:
    try:
        with path.open("rb") as file:
            if last is not None:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - last))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
