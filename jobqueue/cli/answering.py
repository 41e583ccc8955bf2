"""Which batch system answers: commands on PATH alone don't make one.

Debian's slurm-client without a configuration, or a node that the controller does not know, have
`sbatch` as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from jobqueue.batch import commands
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.systems import adapter_for
from jobqueue.cli.systems import System
from jobqueue.errors import BatchSystemError

PATIENCE = 5.0
"""Seconds that a batch system has for its answer."""

NOBODYS = "0"
"""The id of no job: a server that says so has answered, and has not listed all jobs of a site."""


def silence(adapter: BatchAdapter, *, patience: float = PATIENCE) -> str:
    """Ask a batch system for the status of no job; return why it did not answer, "" if it did.

    Parameters
    ----------
    adapter
        The batch system.
    patience
        Seconds that each of its commands has.

    Returns
    -------
    str
        The last line of what it said, for that is where commands say what it all came to.
    """
    try:
        asyncio.run(_ask(adapter, patience))
    except BatchSystemError as error:
        said = error.output.strip().rpartition("\n")[2].strip()
        if error.returncode is not None and said:
            return said
        # No answer, or no command: the fact alone, for its remedy is for those without a choice.
        return str(error).partition(";")[0]
    return ""


async def _ask(adapter: BatchAdapter, patience: float) -> None:
    query = adapter.status_query([NOBODYS])
    completed = await commands.run(query.argv, timeout=patience)
    while simpler := adapter.fallback(completed):
        adapter = simpler
        query = adapter.status_query([NOBODYS])
        completed = await commands.run(query.argv, timeout=patience)
    query.parse(completed)


def choose(
    candidates: Sequence[System],
    *,
    silence: Callable[[BatchAdapter], str] = silence,
) -> tuple[System, tuple[str, ...]]:
    """Return the first system that answers, and a line about each that did not.

    Parameters
    ----------
    candidates
        Systems, best first. The last one is not asked: there is nothing to be had in its place,
        and its own errors say more.
    silence
        Asks a batch system.
    """
    passed: list[tuple[System, str]] = []
    for system in candidates[:-1]:
        why = silence(adapter_for(system.name))
        if not why:
            break
        passed.append((system, why))
    taken = candidates[len(passed)]
    return taken, tuple(
        f"{system.title} is installed here but does not answer ({why}), so {taken.title} is used. "
        f"To insist: jobqueue demo --cluster {system.name}"
        for system, why in passed
    )
