"""The Debian packages of the lab."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from layout import TORQUE
from machine import WORK, apt, run

# A command that only this package brings → the package
PACKAGES = {
    "slurmctld": "slurm-wlm",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "ip": "iproute2",
    "unshare": "util-linux",
    "ps": "procps",
    "perl": "perl",
}
WRAPPERS = "slurm-wlm-torque"
WRAPPER_LIBRARIES = ["libslurm-perl", "libslurmdb-perl", "libswitch-perl"]


def install() -> None:
    """Install what is missing; a second call finds everything and takes no time."""
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    wrappers = TORQUE / "usr" / "bin" / "qsub"
    if not wrappers.exists():
        missing += WRAPPER_LIBRARIES
    if missing:
        apt("update", "-q")
        apt("install", "-y", "-q", "--no-install-recommends", *missing)
    if not wrappers.exists():
        _unpack_wrappers()


def _unpack_wrappers() -> None:
    # Not installed: the package conflicts with Grid Engine's client, which has a qsub of its own
    WORK.mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        os.chmod(folder, 0o755)  # apt downloads as its own user
        apt("download", "-q", WRAPPERS, cwd=folder)
        (package,) = Path(folder).glob("*.deb")
        run("dpkg", "-x", package, TORQUE)
    for command in ("sbatch", "salloc", "srun"):  # qsub looks for them in its own folder
        (TORQUE / "usr" / "bin" / command).symlink_to(Path("/usr/bin", command))
