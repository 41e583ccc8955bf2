"""Warnings about the configuration, each told once per process and at the user's own line."""

from __future__ import annotations

import sys
import warnings

from jobqueue.errors import JobQueueDeprecationWarning, JobQueueWarning

_told: set[str] = set()


def warn(text: str) -> None:
    """Tell something that works, though perhaps not as meant."""
    _tell(text, JobQueueWarning)


def deprecated(text: str) -> None:
    """Tell of an old name that still works."""
    _tell(text, JobQueueDeprecationWarning)


def forget() -> None:
    """Begin anew, as in a fresh process."""
    _told.clear()


def _tell(text: str, category: type[Warning]) -> None:
    if text in _told:
        return
    _told.add(text)
    warnings.warn(text, category, stacklevel=_levels_to_user())


def _levels_to_user() -> int:
    """How many frames up the first one outside this package is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("jobqueue."):
        level, frame = level + 1, frame.f_back
    return level
