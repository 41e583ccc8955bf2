"""All clusters of a user, and their jobs: living ones as they tell it, and what others left behind.

Of a living cluster its snapshot says everything, so that nobody asks the batch system twice. Where
a ledger's owner is gone, nobody watches the jobs any more: `ask` has the batch system tell of them.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from pathlib import Path

from jobqueue.cluster import snapshot
from jobqueue.cluster.cleanup import ask_about
from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.cluster.ledger import Ledger, list_ledgers
from jobqueue.cluster.snapshot import JobRow, Snapshot, closed_snapshots, read_snapshot
from jobqueue.errors import JobQueueError


class Fate(enum.StrEnum):
    """What has become of a cluster."""

    RUNNING = "running"
    ELSEWHERE = "elsewhere"  # on another machine: whether it runs cannot be seen from here
    GONE = "gone"  # its process ended without cleaning up
    CLOSED = "closed"  # in order


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A cluster, as others see it.

    Parameters
    ----------
    snapshot
        Its jobs.
    fate
        What has become of it.
    ledger
        Its ledger, while it is there.
    error
        Why the batch system did not tell of its jobs, if it was asked in vain.
    """

    snapshot: Snapshot
    fate: Fate
    ledger: Ledger | None = None
    error: JobQueueError | None = None

    @property
    def left_behind(self) -> list[JobRow]:
        """Jobs that nobody looks after any more."""
        return [row for row in self.snapshot.jobs if self.fate is Fate.GONE and not row.over]


_FATES = {True: Fate.RUNNING, None: Fate.ELSEWHERE, False: Fate.GONE}

_STATES = {
    Phase.PENDING: JobState.PENDING,
    Phase.RUNNING: JobState.RUNNING,
    Phase.ENDED: JobState.ENDED,
    Phase.MISSING: JobState.ENDED,
}


def look(parent: Path | None = None) -> list[Seen]:
    """Return all clusters that files tell of, oldest first, without asking anybody.

    Parameters
    ----------
    parent
        The state folder; by default the usual one.
    """
    ledgers = list_ledgers(parent)
    told = [read_snapshot(ledger.folder / snapshot.FILE) for ledger in ledgers]
    open_ones = [_seen(*each) for each in _shared_out(ledgers, told)]
    closed = [Seen(each, Fate.CLOSED) for each in closed_snapshots(parent)]
    return sorted(open_ones + closed, key=lambda seen: seen.snapshot.created)


def _shared_out(
    ledgers: Sequence[Ledger], told: Sequence[Snapshot | None]
) -> list[tuple[Ledger, Snapshot]]:
    """Return each ledger with the jobs that are to be asked for by it.

    Pools in different batch systems have a ledger each; their cluster's one snapshot lies beside
    the first.
    """
    found = [
        (ledger, one or Snapshot.of(ledger.entry))
        for ledger, one in zip(ledgers, told, strict=True)
    ]
    for place, (ledger, _) in enumerate(found):
        if told[place] is not None:
            continue
        rows: list[JobRow] = []
        for other, (neighbour, shot) in enumerate(found):
            if told[other] is not None and _related(ledger, neighbour):
                rows += [row for row in shot.jobs if _listed(row, ledger)]
                left = tuple(row for row in shot.jobs if not _listed(row, ledger))
                found[other] = neighbour, dataclasses.replace(shot, jobs=left)
        found[place] = ledger, Snapshot.of(ledger.entry, rows)
    return found


def _related(one: Ledger, other: Ledger) -> bool:
    return (one.entry.owner, one.entry.cluster) == (other.entry.owner, other.entry.cluster)


def _listed(row: JobRow, ledger: Ledger) -> bool:
    return row.job_id in ledger.entry.jobs and ledger.entry.pools.get(row.job_id) == row.pool


def _seen(ledger: Ledger, told: Snapshot) -> Seen:
    known = {row.key for row in told.jobs}
    listed = [JobRow(i, ledger.entry.pools.get(i, "")) for i in ledger.entry.jobs]
    unheard_of = [row for row in listed if row.key not in known]
    told = dataclasses.replace(told, jobs=(*told.jobs, *unheard_of))
    fate = _FATES[ledger.entry.owner.alive()]
    if fate is Fate.RUNNING and told.closed:
        fate = Fate.CLOSED  # its program goes on, and its folder was kept for somebody to read
    return Seen(told, fate, ledger)


async def ask(seen: Seen) -> Seen:
    """Return a cluster whose process is gone with its jobs as the batch system knows them.

    What it does not know any more has ended. Where it has nothing to say, a job stays as it was
    last heard of; if it does not answer at all, all of them, and `error` says so.
    """
    if seen.ledger is None or seen.fate is not Fate.GONE or not _may_exist(seen):
        return seen
    try:
        reports = {report.job_id: report for report in await ask_about(seen.ledger)}
    except JobQueueError as error:
        return dataclasses.replace(seen, error=error)
    rows = {row.key: row for row in seen.snapshot.jobs}
    for job_id, report in reports.items():
        unheard_of = JobRow(job_id, seen.ledger.entry.pools.get(job_id, ""))
        row = rows.get(unheard_of.key, unheard_of)
        rows[row.key] = row if row.over else _updated(row, report)
    told = dataclasses.replace(seen.snapshot, jobs=tuple(rows.values()))
    return dataclasses.replace(seen, snapshot=told)


def _may_exist(seen: Seen) -> bool:
    assert seen.ledger is not None
    return bool(seen.left_behind or seen.ledger.entry.doubts)


def _updated(row: JobRow, report: JobReport) -> JobRow:
    return dataclasses.replace(
        row,
        state=_STATES[report.phase],
        reason=report.reason,
        estimated_start=report.estimated_start,
        node=report.node or row.node,
        workers=(),
        cause=report.cause,
        exit_code=report.exit_code,
    )
