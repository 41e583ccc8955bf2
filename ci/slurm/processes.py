"""The lab's daemons: their environment, how they are started and found."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from layout import Lab
from machine import live_processes, name_of, strings_of

DAEMONS = ("slurmctld", "slurmscriptd", "slurmdbd", "mariadbd", "munged")


def environment(lab: Lab) -> dict[str, str]:
    """Give the whole environment of a daemon.

    Jobs inherit from the node daemon, so nothing of the caller's shell may leak in.
    """
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "SLURM_CONF": str(lab.conf),
        "MYSQL_UNIX_PORT": str(lab.database_socket),
    }


def start(lab: Lab, log: str, argv: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """Start a daemon that stays in the foreground, in a session of its own."""
    with open(lab.folder / "log" / f"{log}.out", "ab") as out:
        return subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=lab.folder,
            env=environment(lab),
            start_new_session=True,
        )


def daemons(lab: Lab) -> list[int]:
    """Find the daemons of this lab that run on the machine itself."""
    mark = str(lab.folder).encode() + b"/"
    return [pid for pid in live_processes() if name_of(pid) in DAEMONS and mark in strings_of(pid)]
