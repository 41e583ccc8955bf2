"""Fixtures: folders of the test's own, clusters that were there, a console that can be read."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jobqueue.cluster.ledger import Ledger, Owner
from jobqueue.cluster.snapshot import FILE, JobRow, Snapshot


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


@pytest.fixture
def cluster_files(places: Path) -> Callable[..., Ledger]:
    """Leave a cluster's files behind: `cluster_files(*rows, owner=..., closed=...)`."""

    def leave(*rows: JobRow, owner: Owner | None = None, **told: Any) -> Ledger:
        ledger = Ledger.create(cluster="grid", system="slurm")
        ledger.entry.owner = owner or Owner.me()
        for row in rows:
            ledger.submitted("tag", [] if row.over else [row.job_id], pool=row.pool)
        snapshot = Snapshot.of(ledger.entry, rows, **told)
        (ledger.folder / FILE).write_text(snapshot.to_json())
        return ledger

    return leave


@pytest.fixture
def squeue(places: Path) -> Callable[[str], None]:
    """Have a Slurm whose squeue prints some lines: `squeue("5|RUNNING|None|N/A|n1|")`."""

    def install(listed: str) -> None:
        for name in ("squeue", "scancel", "sacct", "scontrol"):
            file = places / "bin" / name
            said = listed if name == "squeue" else ""
            file.write_text(f"#!{places}/bin/bash\nprintf '{said}'\n")
            file.chmod(0o755)

    return install
