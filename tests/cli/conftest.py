"""Fixtures: folders of the test's own, and a console whose text can be read."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a cluster reads and writes is in the test's own folder; no batch system is on PATH."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JOBQUEUE_STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("JOBQUEUE_EMBEDDED_DIRECTORY", str(tmp_path / "embedded"))
    (tmp_path / "bin").mkdir()
    for command in ("bash", "sleep"):  # enough for a job script
        (tmp_path / "bin" / command).symlink_to(str(shutil.which(command)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for variable in ("SLURM_CONF", "DASK_CONFIG", "JOBQUEUE_CONFIG", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def console() -> Console:
    """A console that is no terminal; ``console.file.getvalue()`` is what was written."""
    return Console(file=io.StringIO(), width=100, highlight=False)


@pytest.fixture
def terminal() -> Console:
    """A console that takes itself for a terminal."""
    return Console(
        file=io.StringIO(), width=100, force_terminal=True, color_system=None, highlight=False
    )
