"""`jobqueue logs ID`: what a job has printed so far, or prints."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from jobqueue.batch.ids import range_texts
from jobqueue.cluster.jobs import WAITING
from jobqueue.cluster.snapshot import JobRow
from jobqueue.cluster.survey import Fate, Seen, ask, look
from jobqueue.errors import ConfigError

LOOK = 0.5
"""Seconds between two looks at a log that is followed."""

ASK = 15.0
"""Seconds between two questions whether a job still runs that nobody looks after any more."""

BLOCK = 1 << 16

NAMED = 12
"""Ids, or runs of ids, that an error names."""


def run(job_id: str, *, follow: bool = False, tail: int | None = None) -> int:
    """Print a job's output; return the exit status: 1 if there is none.

    Parameters
    ----------
    job_id
        The job, as `jobqueue jobs` calls it.
    follow
        Whether to go on until the job has ended.
    tail
        Lines to print of what is there already; None for all.

    Raises
    ------
    ConfigError
        No such job is known.
    """
    seen, row = find(job_id, look())
    while follow and not row.logs and seen.fate is Fate.RUNNING and not row.over:
        time.sleep(LOOK)  # just submitted: its cluster has not told of it yet
        seen, row = find(job_id, look())
    out = sys.stdout.buffer
    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(Log(Path(path))) for path in row.logs]
        for log in logs:
            log.print_beginning(out, tail)
        if follow:
            _follow(logs, out, Life(seen, row))
        if any(log.found for log in logs):
            return 0
    print(f"jobqueue: {_silence(seen, row)}", file=sys.stderr)
    return 1


def find(job_id: str, clusters: Sequence[Seen]) -> tuple[Seen, JobRow]:
    """Return a job and its cluster; of several with the same id, that of the latest cluster."""
    for seen in reversed(clusters):
        for row in seen.snapshot.jobs:
            if row.job_id == job_id:
                return seen, row
    known = [row.job_id for seen in clusters for row in seen.snapshot.jobs]
    there = f"there are {_short(known)}" if known else "there are none"
    raise ConfigError(
        f"no job {job_id!r} of yours is known: {there}; the logs of a cluster that was closed went "
        "with it, unless they lay in a log_directory of your own"
    )


def _short(job_ids: Sequence[str]) -> str:
    """Write many ids short.

    Examples
    --------
    >>> _short(["7_0", "7_1", "7_2", "12", "13.server"])
    '7_0-2, 12, 13.server'
    """
    elements: dict[str, list[int]] = {}
    for job_id in dict.fromkeys(job_ids):
        before, mark, number = job_id.rpartition("_")
        if mark and number.isdecimal():
            elements.setdefault(before + mark, []).append(int(number))
        else:
            elements[job_id] = []
    texts = [
        text
        for before, numbers in elements.items()
        for text in ([before + each for each in range_texts(numbers)] if numbers else [before])
    ]
    more = len(texts) - NAMED
    return ", ".join(texts[-NAMED:]) + (f" and {more} earlier ones" if more > 0 else "")


def _silence(seen: Seen, row: JobRow) -> str:
    """Say why there is nothing to be printed."""
    if row.state in WAITING and seen.fate is not Fate.CLOSED:
        why = f" ({row.reason})" if row.reason else ""
        return f"job {row.job_id} is {row.state}{why}: it has no output yet"
    where = " or ".join(row.logs) or "unknown place"
    return f"job {row.job_id} has left no output: there is no {where}"


class Life:
    """Whether a job is over, found out as sparsely as will do.

    Parameters
    ----------
    seen, row
        The job.
    clock
        Returns the time in seconds.
    """

    def __init__(
        self, seen: Seen, row: JobRow, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._created = seen.snapshot.created
        self._job_id = row.job_id
        self._clock = clock
        self._asked = float("-inf")

    def over(self) -> bool:
        """Look at the files; ask the batch system where nobody writes them any more."""
        clusters = [seen for seen in look() if seen.snapshot.created == self._created]
        if not clusters:
            return True
        [seen] = clusters[-1:]
        if seen.fate is Fate.CLOSED:
            return True
        if seen.fate is Fate.GONE:
            if self._clock() - self._asked < ASK:
                return False
            self._asked = self._clock()
            seen = asyncio.run(ask(seen))
        return all(row.over for row in seen.snapshot.jobs if row.job_id == self._job_id)


def _follow(logs: Sequence[Log], out: BinaryIO, life: Life) -> None:
    over = False
    while not over:
        over = life.over()  # before the last look at the log, which then has everything
        for log in logs:
            log.print_new(out)
        if not over:
            time.sleep(LOOK)


class Log:
    """A log file that may not be there yet, and may grow.

    Parameters
    ----------
    path
        Where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    @property
    def found(self) -> bool:
        """Whether there is, or was, such a file."""
        return self._file is not None

    def __enter__(self) -> Log:
        """Open it, if it is there."""
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> BinaryIO | None:
        if self._file is None:
            with contextlib.suppress(OSError):
                self._file = self._path.open("rb")
        return self._file

    def print_beginning(self, out: BinaryIO, tail: int | None) -> None:
        """Print what is there, or its last lines."""
        if (file := self._open()) is not None and tail is not None:
            file.seek(start_of_tail(file, tail))
        self.print_new(out)

    def print_new(self, out: BinaryIO) -> None:
        """Print what has come since."""
        if (file := self._open()) is None:
            return
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)  # written anew: the job was requeued
        while block := file.read(BLOCK):
            out.write(block)
        out.flush()


def start_of_tail(file: BinaryIO, lines: int) -> int:
    """Return where the last lines of a file begin, without reading more than those."""
    end = file.seek(0, os.SEEK_END)
    position, missing = end, lines + 1  # the line end at the very end counts, too
    while position > 0 and lines > 0:
        start = max(0, position - BLOCK)
        file.seek(start)
        block = file.read(position - start)
        if position == end and not block.endswith(b"\n"):
            missing -= 1
        at = len(block)
        while missing and (at := block.rfind(b"\n", 0, at)) >= 0:
            missing -= 1
        if not missing:
            return start + at + 1
        position = start
    return 0 if lines > 0 else end
