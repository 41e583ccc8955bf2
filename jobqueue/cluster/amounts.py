"""What one job brings, and how many jobs an amount of something is."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from jobqueue.cluster.job_spec import JobSpec
from jobqueue.config.units import format_memory, parse_memory
from jobqueue.errors import ConfigError

NODES = "nodes"
"""The resource that stands for all nodes of a job."""

UNITS = ("n", "jobs", "cores", "memory")
"""What jobs can be counted by; `n` is workers."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobSize:
    """What one job brings.

    Parameters
    ----------
    workers, threads
        Workers, and the threads of all of them.
    cores, memory
        Cores, and bytes of memory; 0 where workers have no limit.
    resources
        Amounts that each worker offers to tasks which ask for them, by name.
    nodes
        Nodes, each with an agent. Of several, the first one's first worker offers `nodes` as a
        resource: a task that takes them has the whole job for itself.

    Examples
    --------
    >>> JobSize.of(JobSpec(cores=24, memory=100 * 10**9, processes=6)).threads
    24
    """

    workers: int
    threads: int
    cores: int
    memory: int
    resources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    nodes: int = 1

    @classmethod
    def of(cls, spec: JobSpec) -> JobSize:
        """Return the size of the jobs that a specification describes."""
        return cls(
            workers=spec.processes,
            threads=spec.processes * spec.threads_per_worker,
            cores=spec.cores,
            memory=spec.memory,
            resources=_given(spec.worker_extra_args) or spec.worker_resources,
            nodes=spec.nodes,
        )

    def of_worker(self, resource: str) -> float:
        """Return how much of a resource a task can have at the most, on the worker that has most.

        Examples
        --------
        >>> size = JobSize(workers=4, threads=4, cores=4, memory=0, resources={"GPU": 2}, nodes=2)
        >>> size.of_worker("GPU"), size.of_job("GPU"), size.of_worker("nodes"), size.of_job("nodes")
        (2, 8, 2, 2)
        """
        return self._nodes if resource == NODES else self.resources.get(resource, 0)

    def of_job(self, resource: str) -> float:
        """Return how much of a resource all workers of one job have."""
        return self._nodes if resource == NODES else self.of_worker(resource) * self.workers

    @property
    def _nodes(self) -> int:
        return self.nodes if self.nodes > 1 else 0

    def of_unit(self, unit: str) -> int:
        """Return how much of a unit is in one job."""
        return {"n": self.workers, "jobs": 1, "cores": self.cores, "memory": self.memory}[unit]

    def in_words(self, unit: str) -> str:
        """Return how much of a unit is in one job, for messages."""
        amount = self.of_unit(unit)
        if unit == "memory":
            return format_memory(amount)
        noun = {"n": "worker", "jobs": "job", "cores": "core"}[unit]
        return f"{amount} {noun}{'' if amount == 1 else 's'}"


def jobs_of(size: JobSize, **amounts: object) -> int:
    """Return how many jobs a user has asked `scale` for, in one of the `UNITS`.

    Parameters
    ----------
    size
        What one job brings.
    **amounts
        By unit; one of them is not None.

    Raises
    ------
    ConfigError
        None or several are given; or it is no such amount.

    Examples
    --------
    >>> size = JobSize(workers=6, threads=24, cores=24, memory=100 * 10**9)
    >>> jobs_of(size, n=7, cores=None), jobs_of(size, memory="1 TB")
    (2, 10)
    """
    given = {unit: value for unit, value in amounts.items() if value is not None}
    called = f"scale({', '.join(f'{unit}={value!r}' for unit, value in given.items())})"
    if len(given) != 1:
        raise ConfigError(f"{called}: give exactly one of n (workers), jobs, cores, memory")
    [(unit, value)] = given.items()
    return whole_jobs(size, unit, amount_of(unit, value, called), called)


def amount_of(unit: str, value: object, called: str) -> int:
    """Check how much of a unit somebody wants.

    Parameters
    ----------
    unit
        One of `UNITS`.
    value
        A whole number from 0; memory also as text.
    called
        What to call it in an error: ``scale(cores=-1)``.

    Raises
    ------
    ConfigError
        It is no such number.
    """
    if unit == "memory":
        try:
            return parse_memory(value)
        except ValueError as error:
            raise ConfigError(f"{called}: {error}") from None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ConfigError(f"{called}: give a whole number from 0")


def whole_jobs(size: JobSize, unit: str, amount: int, called: str, *, most: bool = False) -> int:
    """Return how many jobs an amount is.

    Parameters
    ----------
    size
        What one job brings.
    unit, amount
        How much of what.
    called
        What to call it in an error.
    most
        Whether it is not to be exceeded: then it is rounded down, else up.

    Raises
    ------
    ConfigError
        Workers have no memory limit; or not even one job is within the amount.

    Examples
    --------
    >>> size = JobSize(workers=6, threads=24, cores=24, memory=100 * 10**9)
    >>> whole_jobs(size, "cores", 25, ""), whole_jobs(size, "cores", 47, "", most=True)
    (2, 1)
    """
    per_job = size.of_unit(unit)
    if not per_job:
        raise ConfigError(f"{called}: the workers have no memory limit")
    if most and 0 < amount < per_job:
        raise ConfigError(
            f"{called}: one job brings {size.in_words(unit)}, and there are whole jobs only; allow "
            "at least one, or make the jobs smaller"
        )
    return amount // per_job if most else math.ceil(amount / per_job)


def _given(words: Sequence[str]) -> dict[str, float]:
    """Return the resources that further arguments of the worker command give its workers."""
    found: dict[str, float] = {}
    for text in _texts(words):
        found = {}  # of several, the last one counts
        for item in text.strip("\"'").replace(",", " ").split():
            name, _, amount = item.partition("=")
            with contextlib.suppress(ValueError):  # the worker says what is wrong with it
                found[name] = float(amount)
    return found


def _texts(words: Sequence[str]) -> Iterator[str]:
    for word, following in zip(words, [*words[1:], ""], strict=False):
        option, equals, text = word.partition("=")
        if option == "--resources":
            yield text if equals else following
