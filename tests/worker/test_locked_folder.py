"""Folders that are one process's own, and what killed ones have left."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.worker import locked_folder
from jobqueue.worker.locked_folder import make, sweep

PREFIX = "jobqueue-try-"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """One that is in use."""
    path, descriptor = make(str(tmp_path), PREFIX)
    yield Path(path)
    os.close(descriptor)


def test_it_is_private_and_has_its_name(tmp_path: Path, own: Path) -> None:
    """Nobody else may enter it, and nothing else is left where it was made."""
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert own.name.startswith(PREFIX)
    assert list(tmp_path.iterdir()) == [own]


def test_only_what_nobody_has_any_more_is_swept(tmp_path: Path, own: Path) -> None:
    """Not what is in use, is to stay, may be entered by others, or is a link."""
    (kept := tmp_path / f"{PREFIX}kept").mkdir(mode=0o700)
    (kept / "stay").touch()
    (open_to_all := tmp_path / f"{PREFIX}open").mkdir(mode=0o755)
    (elsewhere := tmp_path / "elsewhere").mkdir(mode=0o700)
    (link := tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (file := tmp_path / f"{PREFIX}file").touch()
    (left := tmp_path / f"{PREFIX}left").mkdir(mode=0o700)
    (left / "log").touch()
    assert sweep(str(tmp_path), PREFIX, kept="stay") == [str(left)]
    assert set(tmp_path.iterdir()) == {own, kept, open_to_all, elsewhere, link, file}
    assert sweep(str(tmp_path), PREFIX) == [str(kept)]
    assert sweep(str(tmp_path / "nowhere"), PREFIX) == []


def test_without_locks_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has none, a folder has another name, and whoever made it removes it."""
    monkeypatch.setattr(locked_folder, "_lock", lambda descriptor: False)
    path, descriptor = make(str(tmp_path), PREFIX)
    os.close(descriptor)
    monkeypatch.undo()
    assert not Path(path).name.startswith(PREFIX)
    assert sweep(str(tmp_path), PREFIX) == []
    locked_folder.remove(path)
    assert list(tmp_path.iterdir()) == []
