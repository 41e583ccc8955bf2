"""A made-up machine whose configuration folders a test fills, without touching the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from jobqueue.config import warn as config_warn
from jobqueue.config.hosts import Host
from jobqueue.config.load import Config, Places, load
from jobqueue.config.resolve import Resolved, resolve


class Site:
    """Folders and variables of one user on one machine."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.etc = root / "etc"
        self.prefix = root / "prefix"
        self.host = Host("login1", "login1.site.edu")
        self.environ: dict[str, str] = {"USER": "ada"}

    def write(self, folder: str, text: str, name: str = "jobqueue.yaml") -> Path:
        """Write a file; `folder` begins with home, etc or prefix: ``etc/dask``."""
        path = self.home.parent / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def ours(self, text: str, name: str = "jobqueue.yaml") -> Path:
        """Write a file into ~/.config/jobqueue."""
        return self.write("home/.config/jobqueue", text, name)

    def dask(self, text: str, name: str = "jobqueue.yaml") -> Path:
        """Write a file into ~/.config/dask."""
        return self.write("home/.config/dask", text, name)

    def load(self) -> Config:
        """Read everything."""
        return load(Places(self.environ, self.home, self.etc, self.prefix, self.host))

    def resolve(
        self, section: str | None = None, system: str = "slurm", **keywords: Any
    ) -> Resolved:
        """Resolve a section of this machine."""
        return resolve(section, keywords, system=system, config=self.load())

    def values(self, section: str | None = None, system: str = "slurm", **keywords: Any) -> Any:
        """Resolve with cores and memory given, and return the values."""
        return self.resolve(section, system, **{"cores": 4, "memory": "8GB", **keywords}).values


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty machine."""
    return Site(tmp_path)


@pytest.fixture(autouse=True)
def _fresh_warnings() -> Iterator[None]:
    config_warn.forget()
    yield
    config_warn.forget()
