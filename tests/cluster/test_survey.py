"""All clusters of a user, as files and the batch system tell of them."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.cleanup import cleanup
from jobqueue.cluster.jobs import JobState
from jobqueue.cluster.ledger import Ledger, Owner
from jobqueue.cluster.snapshot import FILE, JobRow, Snapshot
from jobqueue.cluster.survey import Fate, ask, look
from jobqueue.errors import CommandNotFound

GONE = Owner(Owner.me().host, "earlier boot", 42, 1)
ELSEWHERE = Owner("another.machine", "boot", 42, 1)

Make = Callable[..., Ledger]


@pytest.fixture
def made(places: Path) -> Make:
    """Make a cluster's files: `made(owner, *rows, listed=..., closed=...)`."""

    def make(
        owner: Owner, *rows: JobRow, listed: tuple[str, ...] = (), closed: bool = False
    ) -> Ledger:
        ledger = Ledger.create(cluster="grid", system="slurm")
        ledger.entry.owner = owner
        ledger.submitted("tag", listed or [row.job_id for row in rows])
        (ledger.folder / FILE).write_text(Snapshot.of(ledger.entry, rows, closed=closed).to_json())
        return ledger

    return make


def test_what_has_become_of_a_cluster(made: Make) -> None:
    """It runs, it is gone, it was closed; of another machine's that cannot be seen."""
    row = JobRow("5", "default", JobState.PENDING)
    made(Owner.me(), row)
    made(GONE, row)
    made(ELSEWHERE, row)
    made(Owner.me(), dataclasses.replace(row, state=JobState.ENDED), closed=True)
    found = look()
    assert [seen.fate for seen in found] == [
        Fate.RUNNING,
        Fate.GONE,
        Fate.ELSEWHERE,
        Fate.CLOSED,
    ]
    assert [len(seen.left_behind) for seen in found] == [0, 1, 0, 0]


def test_jobs_that_only_the_ledger_knows_are_told_of(made: Make) -> None:
    """The program was killed between a submission and the next snapshot, or there is none."""
    ledger = made(GONE, JobRow("5", "default", JobState.RUNNING), listed=("5", "6"))
    [seen] = look()
    assert [row.job_id for row in seen.left_behind] == ["5", "6"]
    (ledger.folder / FILE).unlink()
    [seen] = look()
    assert [row.job_id for row in seen.left_behind] == ["5", "6"]


def test_pools_in_two_batch_systems_are_asked_for_where_they_are(made: Make) -> None:
    """One snapshot tells of both; each job stands at the ledger by which it can be cancelled."""
    ended = JobRow("4", "far", JobState.ENDED)
    here, there = JobRow("5", "default", JobState.RUNNING), JobRow("5", "far", JobState.PENDING)
    made(GONE, here, there, ended, listed=("5", "4"))
    far = Ledger.create(cluster="grid", system="slurm", directives=["-M far"])
    far.entry.owner = GONE
    far.submitted("tag", ["5"], pool="far")
    first, second = look()
    assert first.snapshot.jobs == (here, ended, JobRow("4", "default"))
    assert second.snapshot.jobs == (there,)
    assert second.ledger is not None
    assert second.ledger.folder == far.folder


def test_a_batch_system_that_does_not_answer_changes_nothing(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs stay as they were last heard of, and the error is told beside them."""
    made(GONE, JobRow("5", "default", JobState.RUNNING, node="n1"))
    monkeypatch.setenv("PATH", "/nonexistent")
    [seen] = look()
    asked = asyncio.run(ask(seen))
    assert isinstance(asked.error, CommandNotFound)
    assert asked.snapshot == seen.snapshot


def test_nobody_asks_about_a_cluster_that_runs(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has asked itself; nor where all jobs are known to have ended."""
    monkeypatch.setenv("PATH", "/nonexistent")
    made(Owner.me(), JobRow("5", "default", JobState.RUNNING))
    made(GONE, JobRow("5", "default", JobState.ENDED))
    for seen in look():
        assert asyncio.run(ask(seen)) is seen


def test_the_batch_system_tells_what_became_of_what_was_left_behind(
    queue: Any, wait_until: Any, places: Path, program: str
) -> None:
    """Jobs of a killed program that run, that wait, and that have ended meanwhile."""
    code = program + "wait(cluster := EmbeddedCluster(**keywords)); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    [seen] = look()
    assert seen.fate is Fate.RUNNING
    process.kill()
    process.communicate()
    states = {line.split()[0]: line.split()[1].lower() for line in queue()}
    [seen] = look()
    asked = asyncio.run(ask(seen))
    assert {row.job_id: row.state for row in asked.left_behind} == states
    assert sorted(states.values()) == ["pending"] + ["running"] * 4
    asyncio.run(cleanup())
    wait_until(lambda: queue() == [])
    assert look() == []
    assert asyncio.run(ask(seen)).left_behind == [], "the batch system knows of their end"
