"""What `Cluster.adapt` is told, as a policy; and what is wrong with it, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.amounts import JobSize, amount_of, whole_jobs
from jobqueue.config.units import parse_duration
from jobqueue.errors import ConfigError

IDLE_TIMEOUT = "60s"
TARGET_DURATION = "5s"
INTERVAL = "1s"

_KEYWORDS = {
    end: {end: "n", f"{end}_jobs": "jobs", f"{end}_cores": "cores", f"{end}_memory": "memory"}
    for end in ("minimum", "maximum")
}


def policy_of(size: JobSize, most_jobs: int, given: Mapping[str, object]) -> Policy:
    """Return the policy that keywords of `Cluster.adapt` describe.

    Parameters
    ----------
    size
        What one job brings.
    most_jobs
        The maximum if none is given.
    given
        The keywords; None stands for the default.

    Raises
    ------
    ConfigError
        They contradict each other, or one of them cannot be used.
    """
    given = {name: value for name, value in given.items() if value is not None}
    interval = _seconds("interval", given.get("interval", INTERVAL))
    minimum, least = _bound("minimum", given, size)
    maximum, most = _bound("maximum", given, size)
    if maximum is None:
        maximum = max(most_jobs, minimum or 0)
    elif maximum == 0:
        raise ConfigError(f"adapt({most}): no task could ever run; scale(0) ends all jobs")
    if minimum is not None and minimum > maximum:
        raise ConfigError(
            f"adapt({least}, {most}): that is at least {_jobs(minimum)} and at most "
            f"{_jobs(maximum)}; one job brings {size.in_words('n')}, {size.in_words('cores')}"
            + (f", {size.in_words('memory')}" if size.memory else "")
        )
    return Policy(
        minimum=minimum or 0,
        maximum=maximum,
        target=_seconds("target_duration", given.get("target_duration", TARGET_DURATION)),
        idle=_idle(given, interval),
        interval=interval,
    )


def _bound(end: str, given: Mapping[str, object], size: JobSize) -> tuple[int | None, str]:
    """Return a bound in jobs, None if it is not given, and how it was given."""
    units = {
        name: unit
        for name, unit in _KEYWORDS[end].items()
        if name in given and given[name] != math.inf  # dask's word for "any number"
    }
    words = ", ".join(f"{name}={given[name]!r}" for name in units)
    if len(units) > 1:
        raise ConfigError(
            f"adapt({words}): give one of {end} (workers), {end}_jobs, {end}_cores, {end}_memory"
        )
    for name, unit in units.items():
        called = f"adapt({words})"
        amount = amount_of(unit, given[name], called)
        return whole_jobs(size, unit, amount, called, most=end == "maximum"), words
    return None, ""


def _idle(given: Mapping[str, object], interval: float) -> float:
    """Return how long jobs are kept; dask counts looks at the load."""
    count = given.get("wait_count")
    if count is None:
        return _seconds("idle_timeout", given.get("idle_timeout", IDLE_TIMEOUT))
    if "idle_timeout" in given:
        raise ConfigError(
            f"adapt(idle_timeout={given['idle_timeout']!r}, wait_count={count!r}): give one of "
            "them; wait_count counts intervals"
        )
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigError(f"adapt(wait_count={count!r}): give a whole number from 1")
    return count * interval


def _seconds(name: str, value: object) -> float:
    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise ConfigError(f"adapt({name}={value!r}): {error}") from None


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
