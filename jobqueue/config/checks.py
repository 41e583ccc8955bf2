"""What must hold between keywords, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from jobqueue.errors import ConfigError


def default_processes(
    cores: int, *, nodes: int = 1, resources: Mapping[str, float] | None = None
) -> int:
    """How many workers share a job's cores when nobody says so.

    On a node of up to four cores: one worker each. Above: the smallest divisor of `cores` that is
    ≥ √cores, so that there are at least as many workers as threads in each and no core stays idle.
    Where the job has resources in whole numbers, each worker gets a whole number of them.

    Parameters
    ----------
    cores, resources
        Cores, and amounts of resources by name, of one job.
    nodes
        Nodes of the job; `cores` is a multiple of it.

    Raises
    ------
    ConfigError
        If a whole amount does not even divide among the nodes.

    Examples
    --------
    >>> [default_processes(cores) for cores in (1, 4, 8, 24, 36, 7)]
    [1, 4, 4, 6, 6, 7]
    >>> default_processes(8, resources={"GPU": 2}), default_processes(96, nodes=4)
    (2, 24)
    """
    check_shares(resources or {}, nodes, "nodes")
    own = cores // nodes
    usual = own if own <= 4 else next(n for n in _divisors(own) if n * n >= own)
    possible = [n for n in _divisors(own) if not _uneven(resources or {}, n * nodes)]
    return nodes * next((n for n in possible if n >= usual), possible[-1])


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def _uneven(resources: Mapping[str, float], parts: int) -> list[str]:
    """Name the whole amounts that can't be divided into so many whole ones."""
    return [name for name, amount in resources.items() if amount % 1 == 0 and amount % parts]


def check_shares(resources: Mapping[str, float], parts: int, keyword: str) -> None:
    """Refuse resources in whole numbers that the parts of a job can't share equally.

    Parameters
    ----------
    resources
        Amounts of one job, by name.
    parts, keyword
        How many parts, and which keyword says so.

    Raises
    ------
    ConfigError
        With both numbers.
    """
    for name in _uneven(resources, parts):
        amount = f"{resources[name]:g}"
        raise ConfigError(
            f"resources: {name}={amount}, a job's total, can't be shared equally by {keyword}="
            f"{parts}; give a multiple of {parts}, or {keyword} that divide {amount}"
        )


def check_nodes(nodes: int, **totals: int | None) -> None:
    """Refuse totals of a job that its nodes can't share equally.

    Raises
    ------
    ConfigError
        With both numbers.
    """
    for keyword, total in totals.items():
        if total is not None and total % nodes:
            raise ConfigError(
                f"{keyword}={total}, a job's total, can't be shared equally by nodes={nodes}; "
                f"give a multiple of {nodes}"
            )


def check_margin(margin: float | None, walltime: int | None) -> None:
    """Refuse a margin that leaves a job no time to work.

    Raises
    ------
    ConfigError
        With both lengths.
    """
    if margin is not None and walltime is not None and margin >= walltime:
        raise ConfigError(
            f"walltime_margin={margin:g} s on a walltime of {walltime} s: jobs would hand over as "
            "soon as they begin; give less"
        )


def check_processes(cores: int, processes: int) -> None:
    """Refuse more workers than cores: some would have no thread.

    Raises
    ------
    ConfigError
        With both numbers.
    """
    if processes > cores:
        raise ConfigError(
            f"processes={processes} on cores={cores}: {processes} processes on "
            f"{_of(cores, 'core')} leave some without a thread; give processes ≤ {cores}, or more "
            "cores"
        )


def idle_cores(cores: int, processes: int) -> int:
    """Cores of a job that no worker's threads use, since processes have equally many threads.

    Examples
    --------
    >>> idle_cores(6, 4)
    2
    """
    return cores % processes


def idle_warning(cores: int, processes: int) -> str | None:
    """Say how many cores a choice of processes leaves idle, if any."""
    idle = idle_cores(cores, processes)
    if not idle:
        return None
    return (
        f"processes={processes} on cores={cores} give {_of(cores // processes, 'thread')} each and "
        f"leave {_of(idle, 'core')} idle; choose a divisor of {cores}"
    )


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
