"""Grid Engine's programs, unpacked from Debian's packages; the libraries they need, installed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from layout import COMPILED_IN, PROGRAMS
from machine import WORK, LabError, apt, own_folder, run

PACKAGES = tuple(f"gridengine-{part}" for part in ("master", "exec", "client", "common"))
# A library that only this package brings → the package
LIBRARIES = {
    "libjemalloc.so.2": "libjemalloc2",
    "libhwloc.so.15": "libhwloc15",
    "libmunge.so.2": "libmunge2",
    "libtirpc.so.3": "libtirpc3",
    "libdb-5.3.so": "libdb5.3",
}


def install() -> None:
    """Install what is missing; a second call finds everything and takes no time."""
    known = run("/sbin/ldconfig", "-p")
    missing = [package for library, package in LIBRARIES.items() if f"\t{library} " not in known]
    if missing or not PROGRAMS.exists():
        apt("update", "-q")
    if missing:
        apt("install", "-y", "-q", "--no-install-recommends", *missing)
    if not PROGRAMS.exists():
        _unpack()
    if not COMPILED_IN.exists():
        COMPILED_IN.unlink(missing_ok=True)
        COMPILED_IN.symlink_to(PROGRAMS)


def install_check() -> None:
    """Say what to do where the programs are not there."""
    if not PROGRAMS.exists() or not COMPILED_IN.exists():
        raise LabError("Grid Engine is not here: run python3 ci/sge install")


def _unpack() -> None:
    own_folder(WORK)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        os.chmod(folder, 0o755)  # apt downloads as its own user
        apt("download", "-q", *PACKAGES, cwd=folder)
        target = Path(folder) / "unpacked"
        for package in Path(folder).glob("*.deb"):
            run("dpkg", "-x", package, target)
        target.chmod(0o755)
        target.rename(PROGRAMS.parents[2])
