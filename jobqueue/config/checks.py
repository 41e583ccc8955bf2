"""What must hold between keywords, as pure functions."""

from __future__ import annotations

from jobqueue.errors import ConfigError


def default_processes(cores: int) -> int:
    """How many workers share a job's cores when nobody says so.

    Up to four cores: one worker each. Above: the smallest divisor of `cores` that is ≥ √cores, so
    that there are at least as many workers as threads in each and no core stays idle.

    Examples
    --------
    >>> [default_processes(cores) for cores in (1, 4, 8, 24, 36, 7)]
    [1, 4, 4, 6, 6, 7]
    """
    if cores <= 4:
        return cores
    return next(n for n in range(1, cores + 1) if n * n >= cores and cores % n == 0)


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
