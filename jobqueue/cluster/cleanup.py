"""Cancelling what clusters of killed processes have left behind; their ledgers tell of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jobqueue.batch.systems import adapter_for
from jobqueue.cluster.batch_launcher import WAITS_FOR_ACCOUNT, BatchLauncher
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.ledger import Ledger, list_ledgers
from jobqueue.cluster.sources import cancel_unseen
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
        Why it could not be cleaned up; None if it was.
    """

    ledger: Ledger
    cancelled: tuple[str, ...] = ()
    error: JobQueueError | None = None


async def cleanup(parent: Path | None = None, *, elsewhere: bool = False) -> list[Cleaned]:
    """Cancel the jobs of clusters whose process is gone, and remove their folders.

    A cluster that ended in order and left its logs to be read has its folder for a week.

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
        if ledger.entry.owner.alive() in gone and not _only_logs(ledger)
    ]


def _only_logs(ledger: Ledger) -> bool:
    return ledger.entry.closed and ledger.entry.settled


async def _clean(ledger: Ledger) -> Cleaned:
    try:
        launcher = _launcher(ledger)
        told = await _ask(launcher, ledger)
        missing = {r.job_id for r in told if r.phase is Phase.MISSING}
        over = {r.job_id for r in told if r.phase is Phase.ENDED}
        over |= {r.job_id for r in told if r.cause and r.job_id in missing}
        # Those of which nobody says that they have ended, in a state of an unknown name perhaps. A
        # job that is not shown and has left no word may wait where no query looks.
        unsure = [i for i in _all(ledger, told) if i not in over]
        shown = tuple(i for i in unsure if i not in missing)
        unseen = [i for i in unsure if i in missing]
        if shown:
            await launcher.source.cancel(shown)
        if unseen:
            await cancel_unseen(launcher.source, unseen)
    except JobQueueError as error:
        return Cleaned(ledger, error=error)
    if ledger.entry.closed:
        ledger.cleaned()
    else:
        ledger.remove()
    return Cleaned(ledger, shown)


async def ask_about(ledger: Ledger) -> list[JobReport]:
    """Ask the batch system about the jobs of a ledger, submissions in doubt included.

    Returns
    -------
    list of JobReport
        One for each job of which it has something to say.

    Raises
    ------
    BatchSystemError
        It did not answer.
    """
    return await _ask(_launcher(ledger), ledger)


async def _ask(launcher: BatchLauncher, ledger: Ledger) -> list[JobReport]:
    launcher.look_for(ledger.entry.doubts)
    if not ledger.entry.jobs and not launcher.in_doubt:
        return []
    await launcher.source.learn_dialect()
    told: list[JobReport] = []
    for _ in range(1 + WAITS_FOR_ACCOUNT):  # it may want to hear of an end more than once
        known = {report.job_id for report in told}
        told += await launcher.query([i for i in ledger.entry.jobs if i not in known])
        if len({report.job_id for report in told}) == len(_all(ledger, told)):
            break
    return told


def _all(ledger: Ledger, told: Sequence[JobReport]) -> list[str]:
    """Return the ids in a ledger, and those that were found only now."""
    return list(dict.fromkeys([*ledger.entry.jobs, *(report.job_id for report in told)]))


def _launcher(ledger: Ledger) -> BatchLauncher:
    def no_script(array: bool) -> str:
        raise BatchSystemError("nothing is submitted while cleaning up")

    entry = ledger.entry
    adapter = adapter_for(entry.system, entry.directives).with_keywords(entry.keywords)
    files = JobFiles(
        no_script,
        logs=lambda job_id: (),
        exit_record=lambda job_id: str(ledger.shared / "exit" / f"{job_id}.json"),
    )
    return BatchLauncher(adapter, files, ledger, BatchSystem(adapter, prefix=entry.prefix))
