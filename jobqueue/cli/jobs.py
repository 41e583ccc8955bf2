"""`jobqueue jobs`: all jobs of a user's clusters, as a table, as lines or as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from jobqueue.cli.view import COLOURS, duration, reason
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.snapshot import JobRow
from jobqueue.cluster.survey import Fate, Seen, ask, look

LOOK = 2.0
"""Seconds between two looks at the files, for ``--watch``."""

ASK = 60.0
"""Seconds after which the batch system is asked again about what was left behind."""

SHOWN = 20
"""Jobs of one cluster in a table on a terminal, unless all are asked for."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A job and where it belongs; ``now`` is in seconds since 1970."""

    seen: Seen
    row: JobRow
    now: float


def _since(line: Line) -> str:
    until = line.row.ended if line.row.over else line.now
    if line.row.submitted is None or until is None:
        return ""
    return duration(until - line.row.submitted)


def _why(line: Line) -> str:
    text = line.row.reason if line.row.state is JobState.CONNECTED else reason(line.row)
    if line.seen.fate is Fate.GONE and not line.row.over:
        return f"left behind; {text}" if text else "left behind"
    return text


COLUMNS: Sequence[tuple[str, Callable[[Line], str]]] = (
    ("cluster", lambda line: line.seen.snapshot.cluster),
    ("job", lambda line: line.row.job_id),
    ("pool", lambda line: line.row.pool),
    ("state", lambda line: line.row.state),
    ("node", lambda line: line.row.node),
    ("workers", lambda line: str(len(line.row.workers) or "")),
    ("for", _since),
    ("reason", _why),
)
"""What is told of a job: the column's title, and how its text is found."""


def run(*, everything: bool = False, as_json: bool = False, watch: bool = False) -> int:
    """Show the jobs; return the command's exit status.

    Parameters
    ----------
    everything
        Whether to show all that is known: each job, and clusters that have ended.
    as_json
        Whether to print JSON.
    watch
        Whether to go on until Ctrl-C.
    """
    watcher = Watcher(everything)
    if as_json:
        print(json.dumps([as_dict(seen) for seen in watcher.clusters()], indent=1))
    elif watch:
        _watch(watcher)
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(watcher.table())
    else:
        print(watcher.text())
    return 0


class Watcher:
    """Looks at the clusters, and asks about those that were left behind now and then.

    Parameters
    ----------
    everything
        Whether ended jobs of clusters that are gone are of interest, too.
    """

    def __init__(self, everything: bool) -> None:
        self._everything = everything
        self._answers: dict[str, Seen] = {}  # by folder
        self._asked = float("-inf")

    def clusters(self) -> list[Seen]:
        """Return those that are of interest, oldest first."""
        found = self._asked_about(look())
        return [seen for seen in found if self._everything or _concerns(seen)]

    def _asked_about(self, found: Sequence[Seen]) -> list[Seen]:
        if time.monotonic() - self._asked > ASK:
            self._asked = time.monotonic()
            self._answers = asyncio.run(_ask_all(found))
        return [self._answers.get(_folder(seen), seen) for seen in found]

    def text(self) -> str:
        """Return all jobs as lines whose columns stand below each other."""
        lines, notes = self._picture(limit=None)
        if not lines:
            return "\n".join(notes)
        rows = [[title.upper() for title, _ in COLUMNS]]
        rows += [[tell(line) or "-" for _, tell in COLUMNS] for line in lines]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*padded, *notes])

    def table(self) -> Any:
        """Return the jobs as something that rich prints."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        lines, notes = self._picture(limit=None if self._everything else SHOWN)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title, _ in COLUMNS:
            table.add_column(
                title.upper(), overflow="fold", no_wrap=title in ("job", "state", "for")
            )
        for line in lines:
            texts = [Text(tell(line)) for _, tell in COLUMNS]
            texts[3].stylize(COLOURS[line.row.state])
            table.add_row(*texts)
        said = [Text(note, style="dim") for note in notes]
        return Group(table, *said) if lines else Group(*said)

    def _picture(self, limit: int | None) -> tuple[list[Line], list[str]]:
        """Return the jobs to show, and what is to be said about them."""
        now, lines, notes = time.time(), [], []
        for seen in self.clusters():
            rows = _most_interesting_first(seen.snapshot.jobs)
            shown = rows[:limit]
            lines += [Line(seen, row, now) for row in shown]
            notes += _notes(seen, len(rows) - len(shown))
        if not lines and not notes:
            notes = ["No jobs: no cluster of yours is running."]
        return lines, notes


def _concerns(seen: Seen) -> bool:
    """Tell whether a cluster runs, or has left something that somebody should know about."""
    if seen.fate is Fate.RUNNING:
        return True
    if seen.fate is Fate.ELSEWHERE:
        return bool(seen.snapshot.jobs)
    return bool(seen.left_behind or seen.error)


def _most_interesting_first(jobs: Sequence[JobRow]) -> list[JobRow]:
    """Return those that work, then those that wait, then those that ended, the latest first."""
    order = list(COLOURS)
    working = [row for row in jobs if not row.over]
    ended = [row for row in reversed(jobs) if row.over]
    return sorted(working, key=lambda row: -order.index(row.state)) + ended


def _notes(seen: Seen, left_out: int) -> list[str]:
    cluster, owner = seen.snapshot.cluster, seen.snapshot.owner
    notes = []
    if seen.fate is Fate.RUNNING and seen.snapshot.situation:
        notes.append(f"{cluster}: {seen.snapshot.situation}")
    if left_out:
        notes.append(f"{cluster}: {left_out} more: jobqueue jobs --all")
    if seen.error is not None:
        notes.append(f"{cluster}: as last heard of, for {seen.error}")
    if seen.left_behind:
        notes.append(
            f"{cluster}: left behind by process {owner.pid} on {owner.host}, which is gone: "
            "jobqueue cleanup cancels it"
        )
    if seen.fate is Fate.ELSEWHERE:
        notes.append(
            f"{cluster}: belongs to process {owner.pid} on {owner.host}; whether that still runs "
            "cannot be seen from here"
        )
    return notes


def _folder(seen: Seen) -> str:
    return str(seen.ledger.folder) if seen.ledger else ""


async def _ask_all(found: Sequence[Seen]) -> dict[str, Seen]:
    gone = [seen for seen in found if seen.fate is Fate.GONE]
    return {_folder(seen): await ask(seen) for seen in gone}


def as_dict(seen: Seen) -> dict[str, Any]:
    """Return a cluster as ``--json`` prints it."""
    left = {row.job_id for row in seen.left_behind}
    jobs = [{**row.to_dict(), "left_behind": row.job_id in left} for row in seen.snapshot.jobs]
    return {
        "cluster": seen.snapshot.cluster,
        "system": seen.snapshot.system,
        "fate": seen.fate,
        "host": seen.snapshot.owner.host,
        "pid": seen.snapshot.owner.pid,
        "created": seen.snapshot.created,
        "written": seen.snapshot.written,
        "situation": seen.snapshot.situation,
        "error": str(seen.error) if seen.error else None,
        "jobs": jobs,
    }


def _watch(watcher: Watcher) -> None:
    if sys.stdout.isatty():
        from rich.live import Live

        with Live(watcher.table(), auto_refresh=False) as live:
            while True:
                time.sleep(LOOK)
                live.update(watcher.table(), refresh=True)
    before = ""
    while True:
        if (text := watcher.text()) != before:
            print(text, flush=True)
            before = text
        time.sleep(LOOK)
