"""The package is put together rightly: mapped folders, data files, layers of imports, its tests.

`scheduler/`, `worker/` and `templates/` stand at the top of the repository and are imported as
`jobqueue.scheduler` and so on. Three things have to agree for that: the mapping in pyproject.toml
(installed package), the links in `jobqueue/` (static tools), and the folders themselves.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]

# What starts in every worker, or in every user's session, has to be there at once
LIGHT = {
    "jobqueue": ("cryptography", "dask", "jinja2", "msgpack", "numpy", "rich", "tornado", "yaml"),
    "jobqueue.worker.process": ("dask", "jinja2", "numpy", "rich", "tornado", "yaml"),
    "jobqueue.worker.agent": ("dask", "jinja2", "numpy", "rich", "tornado", "yaml"),
}


def folder_of(package: str) -> Path:
    """Where the files of a package lie, by the mapping."""
    mapped = max((name for name in FOLDERS if f"{package}.".startswith(f"{name}.")), key=len)
    return ROOT / FOLDERS[mapped] / package[len(mapped) :].strip(".").replace(".", "/")


def packages_on_disk() -> set[str]:
    """Every folder with an `__init__.py`, under the name it is imported by."""
    found = set()
    for package, folder in FOLDERS.items():
        for here, below, files in os.walk(ROOT / folder):  # does not follow the links
            below[:] = [name for name in below if not (Path(here) / name).is_symlink()]
            if "__init__.py" in files:
                inner = Path(here).relative_to(ROOT / folder).parts
                found.add(".".join([package, *inner]))
    return found


def test_every_package_is_listed():
    """A package missing from the list works in a checkout and is absent from the wheel."""
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()


def test_every_mapped_folder_has_its_link():
    """`jobqueue/scheduler` is a relative link to the folder, for tools that read the tree."""
    for package, folder in FOLDERS.items():
        if package != "jobqueue":
            link = ROOT / package.replace(".", "/")
            assert link.is_symlink(), f"{link} is no link"
            assert os.readlink(link) == f"../{folder}"


@pytest.mark.parametrize("package", sorted(SETUPTOOLS["packages"]))
def test_data_files_travel_with_their_package(package):
    """A file that is not Python needs a line in `package-data`, or the wheel lacks it."""
    patterns = SETUPTOOLS["package-data"].get(package, [])
    for file in folder_of(package).iterdir():
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            assert any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns), file


@pytest.mark.parametrize("package", sorted(SETUPTOOLS["package-data"]))
def test_data_files_exist(package):
    """Each pattern of `package-data` stands for files that are there."""
    for pattern in SETUPTOOLS["package-data"][package]:
        assert list(folder_of(package).glob(pattern)), pattern


@pytest.mark.parametrize("module", LIGHT)
def test_import_stays_light(module):
    """Importing this brings none of the slow packages in."""
    code = f"import sys, {module}; print(*sys.modules)"
    argv = [sys.executable, "-P", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(LIGHT[module]) & set(done.stdout.split())
