"""How many jobs a load is worth: decisions only, no clock, no event loop, no scheduler.

`Adaptation.wanted` is shown the load now and then, and answers with a number of jobs. Rules:

* So many threads are wanted that the tasks which are there would be done in `target` seconds, and
  never more than there are tasks. Whole jobs; jobs that wait in the queue count as much as others.
* A task that no new job could run (bound to certain workers, or in need of what they do not have)
  is no reason for one. Which of several pools one is a reason for, sharing.py has decided before.
* More are wanted at once. Fewer are wanted only when that was so for `idle` seconds without a
  break, and no job is given up that had something to do within that time.
* As many connected jobs stay as have room for the results that are held.
* A job whose workers have all taken no tasks (short of memory, silent) for `STUCK` seconds is of no
  use to tasks that wait, and another one is wanted in its place.
* How long a task takes is known from earlier calls of its function, or guessed; but if calls of it
  have been running for longer than that and none has ended, it is taken to need as long as that.
* All of that within the bounds; and if nothing changes, the answer does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobRecord
from jobqueue.scheduler.load import Backlog, JobKey, Load

FILLED = 0.6
"""Part of its memory that a job is to have filled with results at the most."""

STUCK = 10.0
"""Seconds without a thread that takes tasks, after which a job is no longer counted on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a pool that adapts holds to.

    Parameters
    ----------
    minimum, maximum
        Jobs there are to be at least, and at most.
    target
        Seconds in which the tasks that are there should be done.
    idle
        Seconds for which jobs that are not needed are kept.
    interval
        Seconds between two looks.
    """

    minimum: int = 0
    maximum: int
    target: float = 5.0
    idle: float = 60.0
    interval: float = 1.0

    def __str__(self) -> str:
        """``adaptive, 0 to 10 jobs``."""
        return f"adaptive, {self.minimum} to {self.maximum} jobs"


def needed(
    load: Load,
    ours: Iterable[JobKey],
    size: JobSize,
    target: float,
    durations: Mapping[bytes, float] | None = None,
) -> int:
    """Return how many jobs would do all that can be done in `target` seconds.

    Parameters
    ----------
    load
        What there is to do.
    ours
        The pool's connected jobs that are to stay. Workers of others do their part.
    size
        What one job brings.
    target
        Seconds.
    durations
        By function: seconds that its calls take at least, whatever the load says.

    Examples
    --------
    >>> size = JobSize(workers=2, threads=4, cores=4, memory=0)
    >>> needed(Load([Backlog(b"f", 100, 0.5)]), (), size, 5.0)  # 50 s of work: 10 threads
    3
    """
    ours = frozenset(ours)
    tasks, seconds, others = 0, 0.0, 0
    amounts: dict[str, float] = {}
    for key, job in load.jobs.items():
        if key not in ours and not job.threads:
            continue  # about to end: what it has it will finish, or hand back
        if key not in ours:  # what they have in line is theirs to do
            running = min(job.tasks, job.threads)
            tasks += running
            seconds += job.seconds * running / max(job.tasks, 1)
            others += job.threads
            continue
        tasks += job.tasks
        seconds += job.seconds
        for name, amount in job.taken.items():
            amounts[name] = amounts.get(name, 0.0) + amount
    for entry in load.backlog:
        if not runs(entry, size):
            continue
        each = max(entry.seconds, (durations or {}).get(entry.function, 0.0))
        tasks += entry.tasks
        seconds += entry.tasks * each
        at_once = _at_once(entry.tasks, entry.tasks * each, target)
        for name, share in _shares(entry, size).items():
            amounts[name] = amounts.get(name, 0.0) + at_once * share
    jobs = math.ceil(max(0, _at_once(tasks, seconds, target) - others) / size.threads)
    for name, amount in amounts.items():
        if have := size.of_job(name):
            jobs = max(jobs, math.ceil(amount / have - 1e-9))
    return jobs


def _at_once(tasks: int, seconds: float, target: float) -> int:
    """Return how many of some tasks have to run at the same time to be done in time."""
    return min(tasks, max(math.ceil(seconds / target), 1 if tasks else 0))


def runs(entry: Backlog, size: JobSize) -> bool:
    """Return whether a new job could run such a task."""
    enough = all(amount <= size.of_worker(name) for name, amount in entry.resources.items())
    return enough and not entry.bound


def _shares(entry: Backlog, size: JobSize) -> dict[str, float]:
    """Return how much of a worker's resources one task keeps others from."""
    have = {name: size.of_worker(name) for name in entry.resources}
    return {
        name: have[name] / math.floor(have[name] / amount + 1e-9)
        for name, amount in entry.resources.items()
    }


class Adaptation:
    """What is remembered from one look at the load to the next.

    Parameters
    ----------
    policy
        The bounds, and how quickly to follow.
    size
        What one job brings.

    Examples
    --------
    >>> size = JobSize(workers=1, threads=4, cores=4, memory=0)
    >>> adaptation = Adaptation(Policy(maximum=10), size)
    >>> load = Load([Backlog(b"f", 100, 60.0)])
    >>> adaptation.wanted(load, [], now=0.0), adaptation.wanted(Load(), [], now=59.0)
    (10, 10)
    >>> adaptation.wanted(Load(), [], now=61.0)
    0
    """

    def __init__(self, policy: Policy, size: JobSize) -> None:
        self.policy = policy
        self.size = size
        # What was needed, of the last `idle` seconds: each smaller than the one before it, so that
        # the first is the greatest.
        self._needs: deque[tuple[float, int]] = deque()
        # Functions of which calls run and others wait: what one took when that was last known, and
        # since when. A call that ends changes what is known.
        self._begun: dict[tuple[bytes, float], float] = {}
        # Jobs: when they last did something, and the count of turns that told it.
        self._active: dict[JobKey, tuple[float, int]] = {}
        self._stuck: dict[JobKey, float] = {}  # jobs that take no tasks: since when

    def wanted(self, load: Load, jobs: Sequence[JobRecord], now: float) -> int:
        """Return how many jobs are wanted.

        Parameters
        ----------
        load
            What there is to do.
        jobs
            The pool's jobs.
        now
            Time in seconds, on any clock that does not run backwards.
        """
        policy = self.policy
        live = [job for job in jobs if job.live]
        connected = [job.key for job in live if job.workers]
        # Those whose time is nearly over do not count, but what they do and hold has to be done and
        # held by those that come in their place.
        ours = [*connected, *(job.key for job in jobs if job.stands_in and not job.leaves)]
        need = needed(load, ours, self.size, policy.target, self._durations(load, now))
        stuck = self._look_for_stuck(load, connected, now)
        need += stuck if need else 0
        holders = [job.key for job in jobs if job.workers]  # also those that hand over
        need = max(need, min(len(ours), self._holding(load, holders)))
        kept = self._look_for_active(load, connected, now)
        return min(policy.maximum, max(policy.minimum, self._lately(need, now), kept))

    def _durations(self, load: Load, now: float) -> dict[bytes, float]:
        """Return for how long calls of functions have been running while none has ended."""
        begun = {(entry.function, entry.seconds) for entry in load.backlog if entry.begun}
        self._begun = {known: self._begun.get(known, now) for known in begun}
        return {function: now - since for (function, _), since in self._begun.items()}

    def _look_for_stuck(self, load: Load, connected: Sequence[JobKey], now: float) -> int:
        """Return how many jobs have taken no tasks for long."""
        stuck = [i for i in connected if i in load.jobs and not load.jobs[i].threads]
        self._stuck = {key: self._stuck.get(key, now) for key in stuck}
        return sum(now - since >= STUCK for since in self._stuck.values())

    def _holding(self, load: Load, holders: Sequence[JobKey]) -> int:
        """Return how many jobs have room for the results that are held."""
        stored = sum(load.jobs[key].stored_bytes for key in holders if key in load.jobs)
        if not stored:
            return 0
        return math.ceil(stored / (FILLED * self.size.memory)) if self.size.memory else 1

    def _look_for_active(self, load: Load, connected: Sequence[JobKey], now: float) -> int:
        """Return how many jobs have, or had lately, something to do."""
        active: dict[JobKey, tuple[float, int]] = {}
        for key in connected:
            job = load.jobs.get(key)
            turns = job.turns if job else 0
            since, before = self._active.get(key, (now, turns))
            if turns != before or (job and job.busy):
                since = now
            active[key] = since, turns
        self._active = active
        return sum(now - since < self.policy.idle for since, _ in active.values())

    def _lately(self, need: int, now: float) -> int:
        """Return the most that was needed within the last `idle` seconds."""
        needs = self._needs
        while needs and needs[-1][1] <= need:
            needs.pop()
        needs.append((now, need))
        while now - needs[0][0] >= self.policy.idle:
            needs.popleft()
        return needs[0][1]
