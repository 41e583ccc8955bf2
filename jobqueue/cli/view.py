"""What `jobqueue demo` shows while something is going on: a live table, or lines for a log."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobqueue.cluster.jobs import WAITING, JobRecord, JobState
from jobqueue.cluster.snapshot import JobRow

ROWS = 12
"""Jobs that the table shows one by one; further ones are counted."""

REFRESH = 8
"""Pictures a second on a terminal."""

QUIET = 30.0
"""Seconds after which a log without news gets a line all the same."""

COLOURS = {
    JobState.SUBMITTED: "yellow",
    JobState.PENDING: "yellow",
    JobState.RUNNING: "cyan",
    JobState.CONNECTED: "green",
    JobState.DRAINING: "cyan",
    JobState.ENDED: "red",
}


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the computation is: tasks done, of how many, in how many seconds."""

    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class Picture:
    """How things stand.

    Parameters
    ----------
    jobs
        All of them, ended ones included.
    nodes
        Where workers say that they are, by job id.
    workers
        How many workers a job has, by job id.
    situation
        `Cluster.describe()`.
    now
        The time on the clock of `JobRecord.submitted_at`.
    hint
        What the user may want to do about it.
    progress
        Of the computation, once it has begun.
    """

    jobs: Sequence[JobRecord] = ()
    nodes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    workers: Mapping[str, int] = dataclasses.field(default_factory=dict)
    situation: str = ""
    now: float = 0.0
    hint: str = ""
    progress: Progress | None = None


class View(Protocol):
    """Something that shows pictures while it is entered."""

    def show(self, picture: Picture) -> None:
        """Show how things stand now."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; the last picture stays."""


def view_on(console: Console) -> View:
    """Return the view that suits a console."""
    return LiveView(console) if console.is_terminal else LogView(console)


# --- on a terminal -----------------------------------------------------------------------


class LiveView:
    """A table that changes in place.

    Parameters
    ----------
    console
        A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=REFRESH)

    def show(self, picture: Picture) -> None:
        """Show how things stand now."""
        self._live.update(render(picture))

    def __enter__(self) -> Self:
        """Begin."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; the last picture stays."""
        self._live.stop()


def render(picture: Picture) -> RenderableType:
    """Return a picture as something that rich prints."""
    parts: list[RenderableType] = [_table(picture)]
    if rest := picture.jobs[:-ROWS]:
        parts.append(Text(f"… and {len(rest)} more: {counted(rest)}", style="dim"))
    if picture.progress is not None:
        parts.append(_bar(picture.progress))
    elif picture.situation:
        parts.append(Text(picture.situation, style="dim"))
    if picture.hint:
        parts.append(Text(picture.hint, style="yellow"))
    return Group(*parts)


def _table(picture: Picture) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("job", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("node")
    table.add_column("workers", justify="right")
    table.add_column("for", justify="right", no_wrap=True)
    for job in picture.jobs[-ROWS:]:
        table.add_row(
            job.job_id,
            Text(job.state, style=COLOURS[job.state]),
            reason(job),
            job.node or picture.nodes.get(job.job_id, ""),
            str(picture.workers.get(job.job_id, "")),
            duration(picture.now - job.submitted_at) if job.live else "",
        )
    return table


def _bar(progress: Progress) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        ProgressBar(total=progress.total, completed=progress.done, width=40),
        f"{progress.done:,}/{progress.total:,} tasks",
        f"{progress.rate:,.0f} tasks/s",
    )
    return grid


def reason(job: JobRecord | JobRow) -> str:
    """Say why a job is in its state, as far as that is not told by the state itself.

    Examples
    --------
    >>> reason(JobRecord("7", "default", 0.0, JobState.PENDING, reason="PENDING Resources"))
    'Resources'
    """
    if job.state is JobState.ENDED:
        code = "" if job.exit_code is None else f"exit code {job.exit_code}"
        why = ": ".join(part for part in (job.cause, job.reason) if part)
        return ", ".join(part for part in (why, code) if part)
    words = job.reason.split(maxsplit=1)
    if job.state is JobState.CONNECTED:
        return ""
    told = bool(words) and words[0].lower() == job.state
    text = " ".join(words[1:] if told else words)
    waits = job.state in WAITING and job.estimated_start
    start = f"estimated start {job.estimated_start}" if waits else ""
    return ", ".join(part for part in (text if text != "None" else "", start) if part)


def counted(jobs: Sequence[JobRecord]) -> str:
    """Count jobs by state.

    Examples
    --------
    >>> counted([JobRecord("1", "default", 0.0), JobRecord("2", "default", 0.0)])
    '2 submitted'
    """
    counts = Counter(job.state for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in JobState if counts[state])


def duration(seconds: float) -> str:
    """Write a time as people do.

    Examples
    --------
    >>> duration(7.2), duration(75), duration(7300)
    ('7 s', '1:15', '2:01:40')
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if not hours:
        return f"{minutes}:{seconds_left:02}"
    return f"{hours}:{minutes_left:02}:{seconds_left:02}"


# --- in a log ----------------------------------------------------------------------------


class LogView:
    """A line whenever there is news; for pipes, files and CI.

    Parameters
    ----------
    console
        Where to write.
    clock
        Returns the time in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begun = self._last = clock()
        self._said: dict[str, str] = {}
        self._quarter = 0

    def show(self, picture: Picture) -> None:
        """Write what has changed since the last picture."""
        jobs = counted(picture.jobs)
        if reasons := sorted({text for job in picture.jobs if (text := reason(job))}):
            jobs += f" ({'; '.join(reasons[:3])})"
        self._news("jobs", f"jobs: {jobs}" if jobs else picture.situation)
        self._news("hint", picture.hint)
        if picture.progress is not None:
            self._news_of(picture.progress)
        elif self._clock() - self._last > QUIET:
            self._write(picture.situation)

    def _news_of(self, progress: Progress) -> None:
        quarter = 4 * progress.done // progress.total
        if quarter > self._quarter:
            self._quarter = quarter
            self._write(f"{progress.done:,}/{progress.total:,} tasks, {progress.rate:,.0f} tasks/s")

    def _news(self, topic: str, text: str) -> None:
        if text and self._said.get(topic) != text:
            self._said[topic] = text
            self._write(text)

    def _write(self, text: str) -> None:
        self._last = self._clock()
        self._console.print(f"[{self._last - self._begun:5.1f} s] {text}", markup=False)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is left to be said."""
