"""How a cluster's jobs stand, on disk."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster import snapshot
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.jobs import JobRecord, JobState
from jobqueue.cluster.ledger import Ledger, Owner, list_ledgers
from jobqueue.cluster.snapshot import (
    FILE,
    JobRow,
    Snapshot,
    SnapshotWriter,
    closed_snapshots,
    read_snapshot,
)

JOB: dict[str, Any] = {"cores": 1, "memory": "1GB", "python": "sleep 600;"}


@pytest.fixture
def ledger(places: Path) -> Ledger:
    return Ledger.create(cluster="grid", system="slurm")


@pytest.fixture
def jobs() -> list[JobRecord]:
    """What a cluster knows of its jobs; the test changes it."""
    return [JobRecord("5_0", "default", 0.0), JobRecord("5_1", "default", 0.0)]


@pytest.fixture
def writer(ledger: Ledger, jobs: list[JobRecord]) -> SnapshotWriter:
    def logs(job: JobRecord) -> list[Path]:
        folder = ledger.folder.parent.parent / ("far" if job.pool == "far" else "")
        return [folder / f"{job.job_id}.out"]

    return SnapshotWriter(ledger.folder, ledger.entry, lambda: jobs, lambda: "2 workers", logs)


def test_a_reader_finds_each_job_as_the_cluster_knows_it(
    ledger: Ledger, writer: SnapshotWriter, jobs: list[JobRecord]
) -> None:
    """State, reason, node, workers, cause, exit code, times, and where its log lies."""
    jobs[0].state, jobs[0].reason, jobs[0].estimated_start = JobState.PENDING, "Resources", "14:05"
    jobs[1].state, jobs[1].cause, jobs[1].exit_code = JobState.ENDED, "crashed", 3
    jobs.append(JobRecord("6", "gpu", 0.0, JobState.CONNECTED, node="n1", workers=frozenset("ba")))
    jobs[2].started_at, jobs[2].expires_at = 10.0, 70.0
    writer.finish_now()
    found = read_snapshot(ledger.folder / FILE)
    assert found is not None
    assert (found.cluster, found.system, found.owner) == ("grid", "slurm", Owner.me())
    assert found.situation == "2 workers"
    waiting, ended, connected = found.jobs
    assert (waiting.state, waiting.reason, waiting.estimated_start) == (
        JobState.PENDING, "Resources", "14:05",
    )  # fmt: skip
    assert (ended.cause, ended.exit_code, ended.over) == ("crashed", 3, True)
    assert (connected.pool, connected.node, connected.workers) == ("gpu", "n1", ("a", "b"))
    assert connected.logs == (str(ledger.folder.parent.parent / "6.out"),)
    assert waiting.submitted is not None
    assert (waiting.started, waiting.expires, waiting.ended) == (None, None, None)
    assert connected.expires == pytest.approx(connected.started + 60.0)
    assert ended.ended == pytest.approx(found.written, abs=60)


def test_jobs_of_two_batch_systems_may_have_the_same_id(
    ledger: Ledger, writer: SnapshotWriter, jobs: list[JobRecord]
) -> None:
    """Each has its own log, and its own end."""
    jobs[:] = [JobRecord("7", "near", 0.0, JobState.ENDED), JobRecord("7", "far", 0.0)]
    writer.finish_now()
    found = read_snapshot(ledger.folder / FILE)
    assert found is not None
    assert [Path(log).parent.name == "far" for row in found.jobs for log in row.logs] == [0, 1]
    assert [row.ended is None for row in found.jobs] == [False, True]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reason": "Resources"}, ""),  # an answer from when it waited
        ({"reason": "Resources", "expiring": True}, "its time is nearly over"),
        ({"leaves": "SIGTERM"}, "SIGTERM"),
        ({"unwanted": True}, "no longer wanted"),
    ],
)
def test_of_a_job_that_works_is_told_why_it_will_not_go_on(
    ledger: Ledger, writer: SnapshotWriter, jobs: list[JobRecord], fields: Any, reason: str
) -> None:
    """And nothing else: that it works needs no reason."""
    jobs[:] = [JobRecord("5", "default", 0.0, JobState.CONNECTED, **fields)]
    writer.finish_now()
    found = read_snapshot(ledger.folder / FILE)
    assert found is not None
    assert [row.reason for row in found.jobs] == [reason]


def test_only_its_owner_can_read_it(ledger: Ledger, writer: SnapshotWriter) -> None:
    """As all that lies there; nothing else is left of the writing."""
    writer.finish_now()
    assert stat.S_IMODE((ledger.folder / FILE).stat().st_mode) == 0o600
    assert {path.name for path in ledger.folder.iterdir()} == {"ledger.json", FILE}


def test_what_changes_is_written_once_in_a_while(
    ledger: Ledger,
    writer: SnapshotWriter,
    jobs: list[JobRecord],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Any,
) -> None:
    """However often something changes; and nothing is written if nothing has."""
    written: list[str] = []
    monkeypatch.setattr(snapshot, "INTERVAL", 0.01)
    monkeypatch.setattr(snapshot, "write_private", lambda path, text: written.append(text))

    async def run() -> None:
        writer.start()
        for _ in range(100):
            writer.changed()
        await eventually(lambda: written)
        jobs[0].state = JobState.RUNNING
        writer.changed()
        await eventually(lambda: len(written) == 2)
        for _ in range(3):
            writer.changed()
            await asyncio.sleep(0.02)
        assert len(written) == 2
        await writer.finish()

    asyncio.run(run())
    assert len(written) == 3
    assert Snapshot.from_json(written[-1]).closed


def test_of_many_ended_jobs_the_latest_are_kept(
    ledger: Ledger, writer: SnapshotWriter, jobs: list[JobRecord]
) -> None:
    """A cluster of weeks does not write longer and longer files; whatever lives is in it."""
    jobs[:] = [JobRecord(str(n), "default", 0.0, JobState.ENDED) for n in range(1000)]
    jobs.insert(0, JobRecord("living", "default", 0.0))
    writer.finish_now()
    found = read_snapshot(ledger.folder / FILE)
    assert found is not None
    assert [row.job_id for row in found.jobs[:2]] == ["living", str(1000 - snapshot.ENDED)]


def test_a_full_disk_costs_a_cluster_a_line_in_its_log(
    ledger: Ledger, writer: SnapshotWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and nothing else."""
    ledger.remove()
    writer.finish_now()
    writer.finish_now()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No such file or directory" in caplog.text


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 9}', '{"version": 1, "owner": 3, "jobs": []}']
)
def test_what_is_no_snapshot_is_passed_over(tmp_path: Path, text: str) -> None:
    """Half a file, another program's, or one of a later version."""
    (tmp_path / FILE).write_text(text)
    assert read_snapshot(tmp_path / FILE) is None
    assert read_snapshot(tmp_path / "none") is None


def test_fields_of_later_versions_do_no_harm() -> None:
    """Programs of two versions share a home."""
    row = JobRow.from_dict({"job_id": "5", "pool": "p", "state": "running", "colour": "red"})
    assert row == JobRow("5", "p", JobState.RUNNING)


def test_a_living_cluster_keeps_its_snapshot(places: Path, wait_until: Any) -> None:
    """From the first job on; it goes with the cluster, whose logs lay in the same folder."""
    with EmbeddedCluster(**JOB) as cluster:
        cluster.scale(jobs=2)

        def states() -> list[JobState]:
            [ledger] = list_ledgers()
            found = read_snapshot(ledger.folder / FILE)
            return [job.state for job in found.jobs] if found else []

        wait_until(lambda: states() == [JobState.RUNNING] * 2)
    assert list((places / "state").iterdir()) == []


def test_jobs_whose_logs_stay_can_be_found_after_an_orderly_end(
    places: Path, wait_until: Any
) -> None:
    """For those with a log directory of the user's own; of a bounded number of clusters."""
    with EmbeddedCluster(**JOB, log_directory=str(places / "logs")) as cluster:
        cluster.scale(jobs=1)
        wait_until(lambda: [job.state for job in cluster.jobs] == [JobState.RUNNING])
        [job] = cluster.jobs
    [found] = closed_snapshots()
    assert found.closed
    assert [(row.job_id, row.state) for row in found.jobs] == [(job.job_id, JobState.ENDED)]
    assert all(Path(log).parent == places / "logs" for log in found.jobs[0].logs)


def test_of_closed_clusters_the_latest_are_remembered(
    ledger: Ledger, writer: SnapshotWriter, jobs: list[JobRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of those, the jobs whose logs exist."""
    monkeypatch.setattr(snapshot, "CLOSED", 1)
    (ledger.folder.parent.parent / "5_1.out").touch()
    writer.finish_now()
    writer.keep()
    [found] = closed_snapshots()
    assert [row.job_id for row in found.jobs] == ["5_1"]

    later = Ledger.create(cluster="later", system="slurm")
    logs = [ledger.folder.parent.parent / "5_1.out"]
    other = SnapshotWriter(later.folder, later.entry, lambda: jobs, lambda: "", lambda job: logs)
    other.finish_now()
    other.keep()
    assert [each.cluster for each in closed_snapshots()] == ["later"]
