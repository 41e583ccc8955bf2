"""An estimate of how much memory a value takes."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any

_SAMPLE = 10
_DEPTH = 3


def sizeof(value: Any, *, depth: int = _DEPTH) -> int:
    """Estimate the bytes that a value takes.

    Arrays and the like tell by their ``nbytes``; of containers a few elements are looked at.

    Parameters
    ----------
    value
        Any object.
    depth
        How many levels of containers to look into.

    Examples
    --------
    >>> sizeof(bytes(1000)) >= 1000
    True
    """
    try:
        size = getattr(value, "nbytes", None)
        if isinstance(size, int):
            return size
        memory_usage = getattr(value, "memory_usage", None)
        if memory_usage is not None:  # pandas
            usage = memory_usage(deep=False)
            return int(getattr(usage, "sum", lambda: usage)())
        size = sys.getsizeof(value)
        if depth and isinstance(value, dict):
            return size + _sample(value.items(), len(value), depth)
        if depth and isinstance(value, list | tuple | set | frozenset):
            return size + _sample(value, len(value), depth)
        return size
    except Exception:  # a class may do as it likes in any of these
        return sys.getsizeof(type)


def _sample(values: Any, count: int, depth: int) -> int:
    if not count:
        return 0
    looked_at = [sizeof(value, depth=depth - 1) for value in islice(values, _SAMPLE)]
    return int(sum(looked_at) * count / len(looked_at))
