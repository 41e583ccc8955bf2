"""Processes and waiting: run a command, find the lab's daemons, end them, wait for a condition.

Daemons are found by looking at what runs, never through a file of process ids: such a file goes
stale, and process 1 of a container may not reap, which makes a dead daemon look alive.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from layout import Lab

DAEMONS = ("slurmctld", "slurmscriptd", "slurmdbd", "mariadbd", "munged")


class LabError(Exception):
    """The lab can't do what was asked; the message says what to look at."""


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and give what it printed; its own words become the error."""
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, env=env)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(map(str, argv))} ended with {done.returncode}: {words}")
    return done.stdout


def succeeds(*argv: str | Path, env: dict[str, str] | None = None) -> bool:
    """Tell whether a command ends with 0."""
    return not subprocess.run(
        [str(arg) for arg in argv], capture_output=True, env=env, check=False
    ).returncode


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


def start(lab: Lab, log: str, argv: Sequence[str | Path]) -> int:
    """Start a daemon that stays in the foreground, in a session of its own; give its id."""
    with open(lab.folder / "log" / f"{log}.out", "ab") as out:
        return subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=lab.folder,
            env=environment(lab),
            start_new_session=True,
        ).pid


def daemons(lab: Lab) -> list[int]:
    """Find the daemons of this lab that run on the machine itself."""
    mark = str(lab.folder).encode() + b"/"
    return [pid for pid in _live_processes() if _name(pid) in DAEMONS and mark in _strings(pid)]


def kill(find: Callable[[], list[int]], what: str) -> None:
    """End processes without warning and wait until none is found."""
    for pid in find():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not find(), 10, f"{what} to end")


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until the condition holds, or raise saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


def _live_processes() -> list[int]:
    return [
        int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _state(entry) not in "ZX"
    ]


def _state(pid: str) -> str:
    # "123 (a name) S 1 …": the name may itself hold blanks and parentheses
    stat = _read(f"/proc/{pid}/stat").decode(errors="replace")
    return stat.rpartition(") ")[2][:1] or "X"


def _name(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()


def _strings(pid: int) -> bytes:
    return _read(f"/proc/{pid}/cmdline") + _read(f"/proc/{pid}/environ")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
