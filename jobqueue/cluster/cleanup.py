"""Cancelling what clusters of killed processes have left behind; their ledgers tell of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from jobqueue.batch.systems import adapter_for
from jobqueue.cluster.batch_launcher import BatchLauncher, JobFiles
from jobqueue.cluster.jobs import Phase
from jobqueue.cluster.ledger import Ledger, list_ledgers
from jobqueue.errors import BatchSystemError, JobQueueError


@dataclasses.dataclass(frozen=True, slots=True)
class Cleaned:
    """What came of one ledger.

    Parameters
    ----------
    ledger
        The ledger.
    cancelled
        Jobs that were still there.
    error
        Why it could not be cleaned up; None if it was, and its folder is removed.
    """

    ledger: Ledger
    cancelled: tuple[str, ...] = ()
    error: JobQueueError | None = None


async def cleanup(parent: Path | None = None, *, elsewhere: bool = False) -> list[Cleaned]:
    """Cancel the jobs of clusters whose process is gone, and remove their folders.

    Parameters
    ----------
    parent
        The state folder; by default the usual one.
    elsewhere
        Whether to do so as well for clusters of other machines, of which cannot be seen from here
        whether their process still runs.

    Returns
    -------
    list of Cleaned
        One for each ledger that was looked at.
    """
    gone = (False, None) if elsewhere else (False,)
    return [
        await _clean(ledger)
        for ledger in list_ledgers(parent)
        if ledger.entry.owner.alive() in gone
    ]


async def _clean(ledger: Ledger) -> Cleaned:
    try:
        launcher = _launcher(ledger)
        launcher.look_for(ledger.entry.doubts)
        listed = list(ledger.entry.jobs)
        if listed or launcher.in_doubt:
            await launcher.learn_dialect()
        reports = await launcher.query(listed) if listed or launcher.in_doubt else []
        left = tuple(r.job_id for r in reports if r.phase in (Phase.PENDING, Phase.RUNNING))
        if left:
            await launcher.cancel(left)
    except JobQueueError as error:
        return Cleaned(ledger, error=error)
    ledger.remove()
    return Cleaned(ledger, left)


def _launcher(ledger: Ledger) -> BatchLauncher:
    def no_script(array: bool) -> str:
        raise BatchSystemError("nothing is submitted while cleaning up")

    entry = ledger.entry
    adapter = adapter_for(entry.system, entry.directives).with_keywords(entry.keywords)
    files = JobFiles(no_script, logs=lambda job_id: (), exit_record=lambda job_id: None)
    return BatchLauncher(adapter, files, ledger, prefix=entry.prefix)
