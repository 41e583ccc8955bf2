"""What is HTCondor's own, on the real one; the rest is in tests/real."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.batch import commands
from jobqueue.errors import BatchSystemError


def test_no_schedd_says_nothing_about_jobs(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that nobody answers is an error, never "no jobs"."""
    query = real.adapter.status_query([])
    with monkeypatch.context() as nowhere:
        nowhere.setenv("_CONDOR_SCHEDD_HOST", "nosuch")
        with pytest.raises(BatchSystemError, match="condor_schedd is not"):
            query.parse(asyncio.run(commands.run(query.argv)))
