"""A pool's state in words: the line behind a warning, and the error for whoever waits in vain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobqueue.batch.hopeless import remedy_for
from jobqueue.cluster.jobs import WAITING, JobRecord, JobState
from jobqueue.cluster.pool import PoolState
from jobqueue.cluster.setbacks import Pause
from jobqueue.errors import BatchSystemError, WorkersUnavailable

SHOWN = 3
"""So many jobs of one kind are named in one line; the others are counted."""


def describe(pool: PoolState, *, workers: int | None, system: str) -> str:
    """Return one line about why there are as many workers as there are.

    Parameters
    ----------
    workers
        Connected workers; None leaves them out, where they have been told of before.
    system
        Name of the batch system.

    Examples
    --------
    >>> pool = PoolState()
    >>> describe(pool, workers=0, system="slurm")
    '0 workers; no jobs wanted: call scale()'
    """
    parts = [] if workers is None else [_count(workers, "worker")]
    if pool.mode and not pool.closing:
        parts.append(pool.mode)
    elif not pool.wanted and not pool.unended():
        parts.append("cluster closed" if pool.closing else "no jobs wanted: call scale()")
    running = [job for job in pool.live() if job.state is JobState.RUNNING]
    for label, jobs in (
        ("pending", _soonest_first(job for job in pool.live() if job.state in WAITING)),
        ("started without a worker yet", [job for job in running if not job.ever_connected]),
        ("deserted by all workers", [job for job in running if job.ever_connected]),
    ):
        if jobs:
            parts.append(f"{_count(len(jobs), 'job')} {label}: {_named(jobs, system)}")
    parts += hopeless(pool)
    leaving = [job for job in pool.unended() if job.unwanted]
    if leaving:
        parts.append(f"{_count(len(leaving), 'job')} leaving")
    standing_in = pool.standing_in()
    back = [job for job in standing_in if job.lost_run]
    if lost := [job for job in back if not job.held]:
        parts.append(f"{_count(len(lost), 'job')} requeued after a loss: {_named(lost, system)}")
    if held := [job for job in back if job.held]:
        parts.append(f"{_count(len(held), 'job')} held and replaced: {_named(held, system)}")
    if expiring := [job for job in standing_in if job.expiring]:
        parts.append(f"{_count(len(expiring), 'job')} near the end of the walltime")
    if pool.submitting:
        parts.append(f"{_count(pool.submitting, 'job')} being submitted")
    parts += _held_back(pool) + _trouble(pool)
    return "; ".join(parts)


def hopeless(pool: PoolState) -> list[str]:
    """Return, once for each reason, what to do about jobs that no time will start."""
    waiting = [job for job in (*pool.live(), *pool.standing_in()) if job.state in WAITING]
    reasons = dict.fromkeys(job.reason for job in waiting)
    remedies = {reason: remedy_for(reason) for reason in reasons}
    return [f"{reason} may not pass: {remedy}" for reason, remedy in remedies.items() if remedy]


def outage(pool: PoolState, *, system: str, script: str | None) -> WorkersUnavailable | None:
    """Return the error for whoever waits for workers of this pool; None if it has or may get some.

    A paused pool may still have jobs that wait, start or work; one without any is of no use.

    Parameters
    ----------
    system
        Name of the batch system.
    script
        Path of the job script that was submitted last.
    """
    if pool.live() or any(not job.held for job in pool.standing_in()):
        return None
    return shortage(pool, system=system, script=script)


def shortage(pool: PoolState, *, system: str, script: str | None) -> WorkersUnavailable | None:
    """Return the error for whoever waits for more workers than there are; None if more may come.

    Parameters and result are those of `outage`.
    """
    pause = pool.setbacks.pause
    if pause is None or pool.submitting or not pool.wanted:
        return None
    if any(job.state is not JobState.CONNECTED for job in pool.live()):
        return None
    if pause.job is not None:
        return _never_connected(pause, pause.job, system, script)
    return _refused(pause, system, script)


def _never_connected(
    pause: Pause, job: JobRecord, system: str, script: str | None
) -> WorkersUnavailable:
    lines = [
        f"{pause.failures} jobs in a row ended without a worker connecting; no more are submitted.",
        f"  last job: {system} {job}" + (f", on {job.node}" if job.node else ""),
        f"  script: {script or 'unknown'}",
    ]
    if job.log_tail:
        lines += [f"  end of its log {job.log_path}:", *_indented(job.log_tail)]
    else:
        lines.append(f"  log: {job.log_path or 'unknown'} (empty or missing)")
    lines.append("Put right what it says; then cluster.resume() or cluster.scale(...).")
    return WorkersUnavailable(
        "\n".join(lines),
        script=script,
        exit_code=job.exit_code,
        log_path=job.log_path,
        log_tail=job.log_tail,
    )


def _refused(pause: Pause, system: str, script: str | None) -> WorkersUnavailable:
    error = pause.error
    output = error.output if isinstance(error, BatchSystemError) else ""
    exit_code = error.returncode if isinstance(error, BatchSystemError) else None
    script = (error.script if isinstance(error, BatchSystemError) else None) or script
    times = "once" if pause.failures == 1 else f"{pause.failures} times in a row"
    lines = [f"submission to {system} failed {times}; no more jobs are submitted.", f"  {error}"]
    more = [line for line in output.splitlines() if line.rpartition(": ")[2] not in str(error)]
    if more:
        lines += ["  in its own words:", *_indented("\n".join(more))]
    if script:
        lines.append(f"  script: {script}")
    lines.append("Put right what it says; then cluster.resume() or cluster.scale(...).")
    return WorkersUnavailable("\n".join(lines), script=script, output=output, exit_code=exit_code)


def _held_back(pool: PoolState) -> list[str]:
    missing = pool.wanted - len(pool.live()) - pool.submitting
    held_back = missing - pool.allowed(missing)
    if held_back <= 0 or pool.closing:
        later = missing > 0 and not (pool.submitting or pool.setbacks.pause or pool.closing)
        return [f"{_count(missing, 'job')} to be submitted, not too soon after others"] * later
    by = [str(quota) for quota in pool.quotas if quota.allowed(missing) < missing]
    return [f"{_count(held_back, 'job')} held back by {' and '.join(by)}"]


def _trouble(pool: PoolState) -> list[str]:
    setbacks, pause = pool.setbacks, pool.setbacks.pause
    if pause is not None and pause.job is not None:
        return [f"paused after {pause.failures} jobs ended without a worker (last: {pause.job})"]
    if pause is not None:
        return [f"paused after {_count(pause.failures, 'failed submission')}: {pause.error}"]
    if setbacks.last_error is not None:
        return [f"last submission failed: {setbacks.last_error}"]
    if setbacks.failed_starts:
        ended = f"{_count(setbacks.failed_starts, 'job')} ended without a worker"
        return [f"{ended} (last: {setbacks.last_job})"]
    return []


def _soonest_first(jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Return jobs whose start is known before others, and those whose reason is before the rest."""
    return sorted(jobs, key=lambda job: (not job.estimated_start, not job.reason))


def _named(jobs: Sequence[JobRecord], system: str) -> str:
    names = [f"{system} {job}" for job in jobs[:SHOWN]]
    rest = len(jobs) - SHOWN
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]
