"""Warnings about the configuration: whom they reach, and how often."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from jobqueue.config.warn import deprecated, forget, warn
from jobqueue.errors import JobQueueDeprecationWarning, JobQueueWarning


def test_warnings_point_at_the_users_own_line(site: Any) -> None:
    """Not at a line of this package."""
    with pytest.warns(JobQueueDeprecationWarning) as told:
        site.values(extra="--x")
    assert "jobqueue/config/" not in told[0].filename


def test_warnings_are_told_once(site: Any) -> None:
    """A loop over clusters doesn't repeat them."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            site.values(extra="--x")
    assert len(told) == 1


def test_each_text_is_told_once() -> None:
    """Two warnings are two, the same one again is none, until all is forgotten."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for text in ("one", "another", "one"):
            warn(text)
        forget()
        warn("one")
    assert [str(warning.message) for warning in told] == ["one", "another", "one"]


def test_the_kind_says_whether_something_is_old() -> None:
    """So that users can silence the one and keep the other."""
    with pytest.warns(JobQueueWarning, match="odd"):
        warn("odd")
    with pytest.warns(JobQueueDeprecationWarning, match="old"):
        deprecated("old")
