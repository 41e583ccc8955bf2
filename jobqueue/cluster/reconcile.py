"""What a pool does about its jobs: decisions only, no clock, no processes, no sockets.

``decide`` compares what is (``PoolState``, in pool.py) with what is wanted, notes in the state what
it has decided and *returns* what is to be done.  The shell around it (keeper.py, loop.py) does it.

Rules:

* ``wanted`` counts jobs.  A job counts from the moment its submission is under way until it has
  ended, we asked for its end, or its time is nearly over.  Live jobs and submissions under way
  never exceed ``wanted`` except while the excess is being taken away.
* A job whose time is nearly over (renewal.py) works on until the one in its place has come, and is
  drained then: no more jobs work than are wanted.
* A job that is held after it ran waits until another works in its place, or until its room is
  wanted for that one.
* Shrinking takes jobs that wait first, then those that run without a worker, then idle ones, then
  those that work; connected ones are drained before they are cancelled.
* One submission is under way at a time.
* ``Limits`` hold whatever is wanted: what they hold back is submitted as soon as they allow it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from jobqueue.cluster.jobs import WAITING, Happening, JobRecord, JobState
from jobqueue.cluster.pool import PoolState

CANCEL_AGAIN = 60.0
"""Seconds after which a cancelled job that is still there is cancelled again."""

ATTEMPTS = 5
"""Cancellations of a job that no answer shows; if all are refused, the ledger still tells of it."""

DRAIN_GRACE = 10.0
"""Seconds a drained job has to end by itself before it is cancelled."""


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """How busy the workers of one job are.

    Parameters
    ----------
    processing
        Tasks in their hands.
    stored_bytes
        Bytes of results they hold.
    busy
        Whether they have anything to do: tasks, or an actor.
    """

    processing: int = 0
    stored_bytes: int = 0
    busy: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Actions:
    """What is to be done now, and when to ask again at the latest.

    Parameters
    ----------
    submit
        Number of jobs to submit.
    cancel
        Ids of jobs to cancel.
    retire
        Workers to drain, by job id.
    wait_until
        Time at which ``decide`` has something new to say even if nothing happens.
    """

    submit: int = 0
    cancel: tuple[str, ...] = ()
    retire: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    wait_until: float | None = None


def decide(pool: PoolState, load: Mapping[str, Load], now: float) -> Actions:
    """Compare what is with what is wanted; note and return what to do.

    Parameters
    ----------
    pool
        The state; victims are marked in it, and a submission is noted as under way.
    load
        How busy each connected job is; a job that is not in it is idle.
    now
        Time in seconds, on the clock the pool's other times are on.
    """
    for job in pool.renewal.over(pool.live(), now):
        job.expiring = True
    cancel, retire = _shrink(pool, load, now)
    cancel += _overdue(pool, now)
    submit = _shortage(pool)
    if now < pool.next_submission:
        submit = 0
    if submit:
        pool.submits(submit, now)
    return Actions(submit, tuple(cancel), retire, _next_deadline(pool))


def _shortage(pool: PoolState) -> int:
    """Jobs to submit, were it not for the rate limit."""
    if pool.setbacks.pause or pool.submitting or pool.closing:
        return 0
    return pool.allowed(pool.wanted - len(pool.live()))


def _shrink(
    pool: PoolState, load: Mapping[str, Load], now: float
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Choose who has to go; cancel what waits, drain what is connected."""
    cancel: list[str] = []
    retire: dict[str, tuple[str, ...]] = {}
    for job in (*_excess(pool, load), *_relieved(pool, load), *_in_the_way(pool)):
        if job.unwanted:
            continue  # for two reasons
        job.unwanted = True
        if job.state is JobState.CONNECTED and not pool.closing:
            job.advance(Happening.DRAIN)
        else:
            job.cancelled_at = now
            cancel.append(job.job_id)
    for job in pool.unended():
        late = job.workers - job.retired
        if job.state is JobState.DRAINING and job.unwanted and late and job.cancelled_at is None:
            job.retired |= late  # also one that the agent restarted in the meantime
            job.drained_at = None
            retire[job.job_id] = tuple(sorted(late))
    return cancel, retire


def _excess(pool: PoolState, load: Mapping[str, Load]) -> list[JobRecord]:
    """Return those of the jobs that count who are too many."""
    live = pool.live()
    return _victims(live, load)[: max(0, len(live) - pool.goal)]


def _relieved(pool: PoolState, load: Mapping[str, Load]) -> list[JobRecord]:
    """Return those who stood in for others that have come, or that nobody wants any more."""
    # One that hands over by itself is about to end.
    standing_in = [job for job in pool.standing_in() if job.state is not JobState.DRAINING]
    working = sum(job.state is JobState.CONNECTED for job in pool.live())
    return _victims(standing_in, load)[: max(0, working + len(standing_in) - pool.goal)]


def _in_the_way(pool: PoolState) -> list[JobRecord]:
    """Return held jobs that take the room, under the limits, of those wanted in their place."""
    missing = pool.goal - len(pool.live()) - pool.submitting
    if (
        missing <= 0
        or pool.setbacks.pause
        or not (held := [job for job in pool.standing_in() if job.held])
    ):
        return []
    leaving = sum(job.unwanted for job in pool.unended())
    return held[: max(0, missing - pool.allowed(missing) - leaving)]


def _victims(live: Sequence[JobRecord], load: Mapping[str, Load]) -> list[JobRecord]:
    """Order jobs by how little is lost when they go; of equals the youngest goes first."""

    def loss(item: tuple[int, JobRecord]) -> tuple[int, int, int, int]:
        age, job = item
        if job.state in WAITING:
            return (0, 0, 0, -age)
        if job.state is JobState.RUNNING:
            return (1, 0, 0, -age)
        busy = load.get(job.job_id, Load())
        return (2 + busy.busy, busy.processing, busy.stored_bytes, -age)

    return [job for _, job in sorted(enumerate(live), key=loss)]


def _overdue(pool: PoolState, now: float) -> list[str]:
    """Jobs that were to end and are still there: to be cancelled, or cancelled again."""
    overdue = []
    for job in pool.jobs.values():
        due = _cancel_due(pool, job)
        if due is not None and now >= due:
            job.cancelled_at = now
            job.attempts += job.unaccounted
            overdue.append(job.job_id)
    return overdue


def _cancel_due(pool: PoolState, job: JobRecord) -> float | None:
    """When a job is to be cancelled (again); None if it is not."""
    # Given up, and yet it lives, or may do so.
    unsure = job.unaccounted and job.attempts < ATTEMPTS
    stray = unsure or (job.state is JobState.ENDED and bool(job.workers))
    if not (job.unwanted or stray):
        return None
    if job.cancelled_at is not None:
        return job.cancelled_at + CANCEL_AGAIN
    if pool.closing or stray:
        return float("-inf")
    return None if job.drained_at is None else job.drained_at + DRAIN_GRACE


def _next_deadline(pool: PoolState) -> float | None:
    deadlines = [due for job in pool.jobs.values() if (due := _cancel_due(pool, job)) is not None]
    deadlines += [due for job in pool.live() if (due := pool.renewal.due(job)) is not None]
    if _shortage(pool):
        deadlines.append(pool.next_submission)
    return min(deadlines, default=None)
