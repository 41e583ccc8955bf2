"""The ledger on disk."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.cluster.ledger import FILE, Ledger, Owner, list_ledgers, orphaned
from jobqueue.comm.scheduler_file import state_directory
from jobqueue.errors import ConfigError


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def make() -> Ledger:
    return Ledger.create(cluster="my cluster/..", system="slurm", directives=["-M galaxy"])


def test_it_survives_as_written(parent: Path) -> None:
    """What another process reads is what was noted, before and after a submission."""
    ledger = make()
    ledger.submitting("tag-1")
    assert Ledger.load(ledger.folder).entry.doubts == ["tag-1"]
    ledger.submitted("tag-1", ["5_0", "5_1", "5_2"])
    ledger.ended(["5_1", "77"])
    entry = Ledger.load(ledger.folder).entry
    assert (entry.jobs, entry.doubts) == (["5_0", "5_2"], [])
    assert (entry.system, entry.directives) == ("slurm", ("-M galaxy",))
    assert entry.owner == Owner.me()


def test_a_full_disk_is_one_clear_error(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder, and what was made of it is gone again."""

    def full(self: Ledger) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Ledger, "_write", full)
    with pytest.raises(ConfigError, match=f"{parent} cannot be used: No space left on device"):
        make()
    assert list(parent.iterdir()) == []


def test_nobody_else_can_look_into_it(parent: Path) -> None:
    """Folder and file are for their owner only, and lie below the state folder."""
    ledger = make()
    assert ledger.folder.parent == parent
    assert stat.S_IMODE(ledger.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((ledger.folder / FILE).stat().st_mode) == 0o600


def test_an_orderly_end_leaves_nothing(parent: Path) -> None:
    """The folder goes, and a late note does not bring it back."""
    ledger = make()
    ledger.remove()
    ledger.ended(["1"])
    ledger.submitted("tag", ["2"])
    assert list(parent.iterdir()) == []


def test_a_folder_of_its_own_for_the_nodes(parent: Path, tmp_path: Path) -> None:
    """The ledger tells where it is, also to other processes, and takes it along when it goes."""
    ledger = make()
    assert ledger.shared == ledger.folder
    (seen := tmp_path / "seen").mkdir()
    ledger.share(seen)
    again = Ledger.load(ledger.folder)
    assert again.shared == seen
    again.remove()
    assert not seen.exists()
    assert not ledger.folder.exists()


def test_a_living_owner_is_told_from_a_dead_one(parent: Path) -> None:
    """A process that ended, an earlier boot, and a later process of the same number are dead."""
    me = Owner.me()
    assert me.alive() is True
    assert Owner(me.host, "earlier boot", me.pid, me.started).alive() is False
    assert Owner(me.host, me.boot_id, me.pid, me.started + 1).alive() is False
    assert Owner("elsewhere", me.boot_id, me.pid, me.started).alive() is None


def test_ledgers_of_killed_processes_are_found(parent: Path) -> None:
    """After SIGKILL the list of jobs is still there, and known to be nobody's."""
    mine = make()
    code = (
        "import os; from jobqueue.cluster.ledger import Ledger\n"
        "ledger = Ledger.create(cluster='c', system='slurm')\n"
        "ledger.submitted('t', ['9'])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    (parent / "stray").mkdir()
    assert len(list_ledgers()) == 2
    [left] = orphaned()
    assert left.folder != mine.folder
    assert left.entry.jobs == ["9"]


def test_old_folders_without_jobs_are_swept_away(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failed cluster kept for its user to read does not stay for ever; jobs do."""
    kept, jobs = make(), make()
    jobs.submitted("t", ["1"])
    for ledger in (kept, jobs):
        ledger.entry.owner = Owner(Owner.me().host, "earlier boot", 1, 1)
        ledger.entry.created -= 30 * 86400
        ledger.submitting("x")
        ledger.submitted("x", [])
    make()
    assert not kept.folder.exists()
    assert jobs.folder.exists()


def test_a_state_folder_that_cannot_be_made_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the folder and the variable that moves it."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "file" / "state"))
    with pytest.raises(ConfigError, match="JOBQUEUE_STATE_DIRECTORY"):
        make()


def test_where_the_state_folder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable, then XDG's, then XDG's default."""
    monkeypatch.delenv("JOBQUEUE_STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert state_directory() == Path("/xdg/jobqueue")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_directory() == Path.home() / ".local/state/jobqueue"
