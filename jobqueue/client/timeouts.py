"""Time limits as users write them."""

from __future__ import annotations

import datetime

from jobqueue.errors import ConfigError
from jobqueue.protocol.quantities import parse_seconds

Timeout = float | str | datetime.timedelta | None
"""Seconds, text such as ``"10s"`` or ``"2 min"``, or None for as long as it takes."""


def seconds(timeout: Timeout) -> float | None:
    """Return a time limit in seconds.

    Raises
    ------
    ConfigError
        It is none.

    Examples
    --------
    >>> seconds("1.5 min"), seconds(None)
    (90.0, None)
    """
    if timeout is None or isinstance(timeout, int | float):
        return timeout
    if isinstance(timeout, datetime.timedelta):
        return timeout.total_seconds()
    if isinstance(timeout, str):
        try:
            return parse_seconds(timeout)
        except ValueError:
            pass
    raise ConfigError(f"timeout={timeout!r}: it is seconds, text such as '10s' or '2 min', or None")
