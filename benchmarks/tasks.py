"""The functions that the contenders' workers run.

They stand in an importable file of their own, so that every contender ships them by name,
and import nothing but the standard library, so that no worker is charged for more.
"""

import os
import time
from typing import Any


def identity(value: Any) -> Any:
    """Do nothing; handing the argument back lets the result be checked."""
    return value


def add(left: int, right: int) -> int:
    """Join two branches of the tree reduction."""
    return left + right


def block(length: int) -> Any:
    """Return a new array of `length` float64 numbers 0, 1, 2, …"""
    import numpy as np

    return np.arange(length, dtype=np.float64)


_kept: dict[int, Any] = {}


def kept_block(length: int) -> Any:
    """Return the `block` that this worker made when it was first asked.

    Without the time to fill new memory, what remains is the way of the bytes to the client.
    (A plain dict, as Ray takes no ``functools.cache``.)
    """
    if length not in _kept:
        _kept[length] = block(length)
    return _kept[length]


def slow_process_id() -> int:
    """Say which worker process this is, slowly enough that its neighbour gets a task, too."""
    time.sleep(0.02)
    return os.getpid()


def process_age() -> float:
    """Return the seconds since this process was started, in steps of a clock tick (10 ms).

    Field 22 of ``/proc/self/stat`` (proc(5)) and CLOCK_BOOTTIME count from the same moment.
    """
    with open("/proc/self/stat", "rb") as file:
        after_name = file.read().rpartition(b")")[2].split()
    started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
