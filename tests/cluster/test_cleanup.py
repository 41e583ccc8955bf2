"""Cleaning up after programs that were killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.cleanup import cleanup
from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.ledger import Ledger, Owner
from jobqueue.errors import CommandNotFound

pytestmark = pytest.mark.usefixtures("places")


def test_what_a_killed_program_leaves_can_be_cleaned_up(
    queue: Any, wait_until: Any, places: Path, program: str
) -> None:
    """SIGKILL is the one end that jobs survive, until they notice; the ledger tells of them."""
    code = program + "wait(cluster := EmbeddedCluster(**keywords)); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    with EmbeddedCluster(cores=1, memory="1GB") as mine:
        assert asyncio.run(cleanup()) == [], "somebody's jobs were in use"
        process.kill()
        process.communicate()
        listed = {line.split()[0] for line in queue()}
        [cleaned] = asyncio.run(cleanup())
        assert cleaned.error is None
        assert set(cleaned.cancelled) == listed
        assert len(listed) == 5
        wait_until(lambda: queue() == [])
        assert len(list((places / "state").iterdir())) == 1, "the folder of the living one"
        assert mine.status == "running"


def test_what_its_nodes_saw_goes_as_well(places: Path) -> None:
    """Credentials and the environment of its jobs, though they lie in another folder."""
    shared = places / "shared"
    cluster = EmbeddedCluster(
        cores=1, memory="1GB", shared_temp_directory=str(shared), asynchronous=True
    )
    cluster._plan.open()
    [folder] = shared.iterdir()
    assert (folder / "credentials" / "worker").is_dir()
    ledger = cluster._plan.ledger
    ledger.entry.owner = Owner(ledger.entry.owner.host, "earlier boot", 1, 1)
    ledger.submitting("tag")
    ledger.submitted("tag", [])
    [cleaned] = asyncio.run(cleanup())
    assert cleaned.error is None
    assert list(shared.iterdir()) == []


def test_a_job_that_no_query_shows_is_cancelled_to_be_sure(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may wait where nobody looks; it is not said to have been there."""
    commands = places / "bin"
    commands.mkdir()
    told = places / "told"
    for name in ("squeue", "sacct", "scontrol", "scancel"):
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {told}\n')
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    ledger = Ledger.create(cluster="c", system="slurm")
    ledger.entry.owner = Owner(Owner.me().host, "earlier boot", 1, 1)
    ledger.submitted("tag", ["5"])
    [cleaned] = asyncio.run(cleanup())
    assert (cleaned.error, cleaned.cancelled) == (None, ())
    assert "scancel 5" in told.read_text().splitlines()
    assert not ledger.folder.exists()


def test_an_id_that_is_somebody_elses_by_now_is_no_error(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are used again: what no answer shows, and we may not cancel, is none of ours."""
    commands = places / "bin"
    commands.mkdir()
    told = places / "told"
    answers = {
        "squeue": "echo '{\"jobs\": []}'",
        "sacct": "exit 1",
        "scontrol": "exit 1",
        "scancel": f'echo "$*" >> {told}; '
        "echo 'scancel: error: Kill job error on job id 5: Access/permission denied' >&2; exit 210",
    }
    for name, lines in answers.items():
        (commands / name).write_text(f"#!/bin/sh\n{lines}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    ledger = Ledger.create(cluster="c", system="slurm")
    ledger.entry.owner = Owner(Owner.me().host, "earlier boot", 1, 1)
    ledger.submitted("tag", ["5"])
    [cleaned] = asyncio.run(cleanup())
    assert (cleaned.error, cleaned.cancelled) == (None, ())
    assert told.read_text() == "5\n"
    assert not ledger.folder.exists()


def test_logs_of_a_cluster_that_ended_in_order_stay(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had paused, say: its jobs are made sure of, once, and somebody reads what they said."""
    commands = places / "bin"
    commands.mkdir()
    for name in ("squeue", "sacct", "scontrol", "scancel"):
        (commands / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(commands))
    ledger = Ledger.create(cluster="c", system="slurm")
    ledger.entry.owner = Owner(Owner.me().host, "earlier boot", 1, 1)
    ledger.submitted("tag", ["5"])
    ledger.submitting("unknown")
    (ledger.folder / "logs").mkdir()
    (ledger.folder / "credentials").mkdir()
    ledger.keep()
    [cleaned] = asyncio.run(cleanup())
    assert (cleaned.error, cleaned.cancelled) == (None, ())
    assert asyncio.run(cleanup()) == []
    assert (ledger.folder / "logs").is_dir()
    assert not (ledger.folder / "credentials").exists()


def test_a_ledger_whose_batch_system_does_not_answer_is_kept(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is in the answer; a later clean-up finds the ledger again."""
    ledger = Ledger.create(cluster="c", system="slurm")
    ledger.entry.owner = Owner(Owner.me().host, "earlier boot", 1, 1)
    ledger.submitted("tag", ["5"])
    monkeypatch.setenv("PATH", "/nonexistent")
    for _ in range(2):
        [cleaned] = asyncio.run(cleanup())
        assert isinstance(cleaned.error, CommandNotFound)
