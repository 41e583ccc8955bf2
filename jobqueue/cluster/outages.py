"""Several pools in words: one line, and what is told whoever waits for workers in vain. Pure.

A pool that is paused is no reason to despair for whoever another pool may serve. So there are two
kinds of news: that no pool brings workers any more, which concerns everybody who waits; and that
some do not, which concerns those who wait for tasks that no other could run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.pool import PoolState
from jobqueue.errors import WorkersUnavailable

Resources = Sequence[tuple[str, float]]


class Member(Protocol):
    """What is read of one pool."""

    @property
    def state(self) -> PoolState: ...  # noqa: D102
    @property
    def size(self) -> JobSize: ...  # noqa: D102

    def describe(self, workers: int | None = None) -> str:
        """Return one line about why it has as many workers as it has."""

    def outage(self) -> WorkersUnavailable | None:
        """Return why it has no workers and will get none."""

    def shortage(self) -> WorkersUnavailable | None:
        """Return why it will get no more than it has."""


def describe_pools(pools: Sequence[Member], workers: int | None) -> str:
    """Return one line about why there are as many workers as there are; None leaves them out."""
    if len(pools) == 1:
        return pools[0].describe(workers)
    parts = [] if workers is None else [f"{workers} worker{'' if workers == 1 else 's'}"]
    for pool in pools:
        connected = sum(job.state is JobState.CONNECTED for job in pool.state.unended())
        told = pool.describe() or f"{connected} job{'' if connected == 1 else 's'} connected"
        parts.append(f"pool {pool.state.name}: {told}")
    return "; ".join(parts)


def judge_of(
    pools: Iterable[Member], names: frozenset[str] | None, resources: Resources
) -> WorkersUnavailable | None:
    """Return why nobody comes for a task, if a pool that could run it is out; None if one may.

    Parameters
    ----------
    pools
        All pools.
    names
        Names of workers that the task demands, among them ``pool:NAME``; None if any will do.
    resources
        Amounts that it needs, by name.
    """
    able = [
        pool
        for pool in pools
        if (names is None or f"pool:{pool.state.name}" in names)
        and all(amount <= pool.size.of_worker(name) for name, amount in resources)
    ]
    return outage_of(able)


def outage_of(pools: Sequence[Member]) -> WorkersUnavailable | None:
    """Return the error for whoever waits for any worker; None if there are some, or may be."""
    return _together([pool for pool in pools if _counts(pool)], lambda pool: pool.outage())


def shortage_of(pools: Sequence[Member]) -> WorkersUnavailable | None:
    """Return the error for whoever waits for more workers than there are; None if more may come."""
    counted = [pool for pool in pools if _counts(pool) and not _complete(pool.state)]
    return _together(counted, lambda pool: pool.shortage())


def _counts(pool: Member) -> bool:
    """Tell whether anything is expected of a pool."""
    state = pool.state
    return bool(state.wanted or state.live() or state.submitting or state.mode)


def _complete(state: PoolState) -> bool:
    """Tell whether a pool has what it is to have: no more is expected of it, nothing is wrong."""
    live = state.live()
    connected = all(job.state is JobState.CONNECTED for job in live)
    return state.setbacks.pause is None and connected and len(live) >= state.wanted > 0


def _together(
    pools: Sequence[Member], error_of: Callable[[Member], WorkersUnavailable | None]
) -> WorkersUnavailable | None:
    """Return one error if all pools have one, else None."""
    errors = [(pool.state.name, error_of(pool)) for pool in pools]
    told = [(name, error) for name, error in errors if error is not None]
    if not told or len(told) < len(pools):
        return None
    if len(told) == 1:
        return told[0][1]
    last = told[-1][1]
    return WorkersUnavailable(
        "\n".join(f"pool {name}: {error}" for name, error in told),
        script=last.script,
        output=last.output,
        exit_code=last.exit_code,
        log_path=last.log_path,
        log_tail=last.log_tail,
    )
