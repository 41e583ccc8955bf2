"""ARCHITECTURE.md is a true map: every module stands on it, and what stands on it exists."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
PAGE, MAP = TEXT.split("## Where things are")

HEADING = re.compile(r"^(?:### (\w+)/|\*\*(\w+)/\*\*)", re.MULTILINE)
ROW = re.compile(r"^\| (`\S+\.py`(?:, `\S+\.py`)*) \|", re.MULTILINE)


def on_the_map() -> Iterator[str]:
    """Every file that a table names, below the folder that its heading names."""
    parts = HEADING.split(MAP)[1:]
    for top, below, tables in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        folder = top or f"jobqueue/{below}"
        for row in ROW.findall(tables):
            yield from (f"{folder}/{name}" for name in re.findall(r"`(\S+)`", row))


def on_disk() -> Iterator[str]:
    """Every module, but for packages' `__init__.py`."""
    for top in ("jobqueue", "scheduler", "worker"):
        for here, below, files in os.walk(ROOT / top):
            below[:] = [name for name in below if not (Path(here) / name).is_symlink()]
            for name in files:
                path = (Path(here) / name).relative_to(ROOT).as_posix()
                if name.endswith(".py") and (
                    name != "__init__.py" or path == "jobqueue/__init__.py"
                ):
                    yield path


def test_every_module_is_on_the_map():
    """A file that is added, moved or removed changes its line in ARCHITECTURE.md, too."""
    assert sorted(on_the_map()) == sorted(on_disk())


def test_files_named_elsewhere_on_the_page_exist():
    """In the ways of a task and a job, and in the decisions, paths are those of the repository."""
    places = [ROOT, ROOT / "jobqueue", ROOT / "worker", ROOT / "scheduler"]
    for name in set(re.findall(r"`([\w/]+\.(?:py|toml|j2))`", PAGE)):
        found = any((place / name).exists() for place in places)
        assert found or any(ROOT.glob(f"jobqueue/*/{name}")), name
