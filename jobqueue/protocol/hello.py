"""What clients and workers say of themselves when they connect to a scheduler."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""This interpreter's version: pickled functions only run on the same."""


class WorkerFacts(NamedTuple):
    """What a scheduler wants to know of a worker.

    Parameters
    ----------
    name
        Unique in its cluster.
    nthreads
        Tasks that may run at the same time.
    addresses
        Where other workers get its results, best first.
    memory_limit
        Bytes, or None for no limit.
    job_id
        The batch system's id of its job, or None.
    host
        The node's name.
    pid
        Its process.
    resources
        Amounts that tasks may ask for, by name.
    agent
        The process of the job agent that watches it, reports how it ended if that was not in order,
        and starts another under its name; 0 if there is none.
    pool
        The pool that its job belongs to, or "".
    time_left
        Seconds until its job ends, counted from this hello (clocks of machines differ); None if it
        has no end that is known.
    """

    name: str
    nthreads: int
    addresses: tuple[str, ...] = ()
    memory_limit: int | None = None
    job_id: str | None = None
    host: str = ""
    pid: int = 0
    resources: Mapping[str, float] = {}
    agent: int = 0
    pool: str = ""
    time_left: float | None = None

    @property
    def origin(self) -> tuple[object, ...]:
        """What stays the same if the same worker connects again, or is started again."""
        return (self.host, self.agent) if self.agent else (self.host, self.pid, self.addresses)

    def to_hello(self) -> dict[str, Any]:
        """Return the hello of a worker with these facts."""
        return {"role": "worker", "python": PYTHON, **self._asdict()}

    @classmethod
    def from_hello(cls, hello: Mapping[str, Any]) -> WorkerFacts:
        """Read what `to_hello` made.

        Raises
        ------
        ValueError
            If something is missing or no worker can be so.
        """
        try:
            facts = cls(**{field: hello[field] for field in cls._fields})
        except KeyError as error:
            raise ValueError(f"a worker did not say its {error}") from error
        if not isinstance(facts.name, str) or not isinstance(facts.nthreads, int):
            raise ValueError(f"a worker said it was {facts.name!r} with {facts.nthreads!r} threads")
        if facts.nthreads < 1:
            raise ValueError(f"worker {facts.name!r} has {facts.nthreads} threads")
        return facts._replace(addresses=tuple(facts.addresses))


def refusal(hello: Mapping[str, Any]) -> str | None:
    """Return why a scheduler will not have this peer, or None if it will."""
    python = hello.get("python")
    if python != PYTHON:
        return (
            f"the {hello.get('role')} runs Python {python}, the scheduler Python {PYTHON}: what "
            "one pickles the other cannot run; start both in the same environment"
        )
    if hello.get("role") == "worker":
        try:
            WorkerFacts.from_hello(hello)
        except ValueError as error:
            return str(error)
    return None
