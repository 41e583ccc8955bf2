"""What is HTCondor's own, on the real one; the rest is in tests/real."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue import Client, HTCondorCluster
from jobqueue.batch import commands
from jobqueue.errors import BatchSystemError


def test_no_schedd_says_nothing_about_jobs(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that nobody answers is an error, never "no jobs"."""
    query = real.adapter.status_query([])
    with monkeypatch.context() as nowhere:
        nowhere.setenv("_CONDOR_SCHEDD_HOST", "nosuch")
        with pytest.raises(BatchSystemError, match="condor_schedd is not"):
            query.parse(asyncio.run(commands.run(query.argv)))


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a cluster writes is where jobs see nothing of it: their /var/tmp is their own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", folder)
        yield Path(folder)


@pytest.mark.usefixtures("real")
def test_no_shared_file_system(unseen: Path, tmp_path: Path) -> None:
    """Credentials travel with the job, readable by its owner alone, and so do the user's files.

    The log comes back while the job runs, though the cluster's folder is not there.
    """
    data = tmp_path / "data.txt"
    data.write_text("mine")
    directives = {"should_transfer_files": "YES", "transfer_input_files": str(data)}
    with HTCondorCluster(
        cores=1, memory="512MB", walltime="00:10:00", job_extra_directives=directives
    ) as cluster:
        cluster.scale(jobs=1)
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=90)
            found = client.submit(_look_around, str(unseen)).result(timeout=30)
        assert "worker connected" in cluster.logs(cluster.jobs[0])
    assert found == ("0o700", "0o600", "mine", False)


def _look_around(folder: str) -> tuple[str, str, str, bool]:
    import os
    from pathlib import Path

    sandbox = Path(os.environ["_CONDOR_SCRATCH_DIR"])
    credentials = sandbox / "worker"
    return (
        oct(credentials.stat().st_mode & 0o777),
        oct((credentials / "key.pem").stat().st_mode & 0o777),
        (sandbox / "data.txt").read_text(),
        any(Path(folder).glob("*")),
    )
