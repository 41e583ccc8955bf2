"""What is Grid Engine's own, on the real one; the rest is in tests/real."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.batch import commands
from jobqueue.errors import BatchSystemError


def test_no_master_says_nothing_about_jobs(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that nobody answers is an error, never "no jobs"."""
    query = real.adapter.status_query([])
    with monkeypatch.context() as nowhere:
        nowhere.setenv("SGE_QMASTER_PORT", "1")
        with pytest.raises(BatchSystemError, match="unable to send message to qmaster"):
            query.parse(asyncio.run(commands.run(query.argv)))
        cancelled = asyncio.run(commands.run(("qdel", "1")))
        assert "unable to send message" in real.adapter.cancel_problem(cancelled)
