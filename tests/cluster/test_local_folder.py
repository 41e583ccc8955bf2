"""The folder of a LocalCluster goes with it; what killed programs leave goes with the next one."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue import LocalCluster
from jobqueue.cluster.local_folder import PREFIX, LocalFolder


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders for temporary files are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder() -> Iterator[LocalFolder]:
    """One that is in use."""
    folder = LocalFolder()
    yield folder
    folder.close(keep=False)


def test_it_is_private_and_goes(parent: Path, folder: LocalFolder) -> None:
    """Nobody else may enter it, and nothing is left."""
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert folder.path.name.startswith(PREFIX)
    (folder.path / "log").touch()
    assert str(folder.path) in repr(folder)
    other = LocalFolder()
    other.close(keep=False)
    assert list(parent.iterdir()) == [folder.path]


def test_the_next_one_takes_away_what_is_left(parent: Path, folder: LocalFolder) -> None:
    """But what was kept to be looked at."""
    kept = LocalFolder()
    kept.close(keep=True)
    (parent / f"{PREFIX}left").mkdir(mode=0o700)
    LocalFolder().close(keep=False)
    assert set(parent.iterdir()) == {folder.path, kept.path}


def test_what_a_killed_program_left_goes_with_the_next_cluster(parent: Path) -> None:
    """Its folder is there as long as nobody makes a LocalCluster, and then no longer."""
    script = textwrap.dedent(
        """
        import os, signal, tempfile, sys
        tempfile.tempdir = sys.argv[1]
        from jobqueue import LocalCluster
        cluster = LocalCluster(n_workers=0)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script, parent], check=False)
    assert done.returncode == -signal.SIGKILL
    [left] = parent.iterdir()
    with LocalCluster(n_workers=0):
        [own] = parent.iterdir()
        assert own != left
    assert list(parent.iterdir()) == []
