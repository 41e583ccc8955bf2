"""What a lab has on disk before its first daemon starts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import conf
from layout import Lab
from machine import own_folder


def write_files(lab: Lab, *, host: str) -> None:
    """Make folders, configuration, munge's key, and the devices that stand for GPUs.

    `host` is the short host name of the machine that slurmctld runs on.
    """
    for folder in (lab.folder.parent, lab.folder):
        own_folder(folder)
    for name in ("etc", "state", "spool", "log", "run", "munge", "db", "dev"):
        (lab.folder / name).mkdir(mode=0o755)
    etc = lab.folder / "etc"
    (etc / "slurm.conf").write_text(conf.slurm_conf(lab, host))
    (etc / "gres.conf").write_text(conf.gres_conf(lab))
    (etc / "hosts").write_text(conf.hosts(lab, host))
    (etc / "cgroup.conf").write_text(conf.cgroup_conf())
    _write_secret(etc / "slurmdbd.conf", conf.slurmdbd_conf(lab, host).encode())
    for index in range(conf.GPUS):
        _null_device(lab.folder / "dev" / f"gpu{index}")
    _write_secret(lab.munge_key, os.urandom(1024))  # last: where nodes wait, they wait for this


def _write_secret(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)


def _null_device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:  # a container without that right
        path.symlink_to("/dev/null")
