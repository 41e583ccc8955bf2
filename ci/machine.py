"""What the labs need of the machine: commands, waiting, processes as they really run, packages.

Linked into each lab's folder, since a lab is run as `python3 ci/NAME`. Processes are found by
looking at what runs, never through a file of process ids: such a file goes stale, and process 1 of
a container may not reap, which makes a dead daemon look alive.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

WORK = Path("/tmp/jobqueue-ci")
PATIENCE = 180  # seconds: a busy machine may be slow; what has failed is seen by its end
APT_OPTIONS = ("Acquire::Retries=3", "APT::Sandbox::User=root", "DPkg::Lock::Timeout=300")


class LabError(Exception):
    """The lab can't do what was asked; the message says what to look at."""


@dataclass(frozen=True)
class NumberedLab:
    """One of the ten labs of a kind that can be up side by side."""

    kind: ClassVar[str]

    number: int = 0

    def __post_init__(self) -> None:
        """Refuse a number that would give names, addresses or ports of another lab."""
        if not 0 <= self.number <= 9:
            raise ValueError(f"lab number {self.number}: choose 0 to 9")

    @property
    def name(self) -> str:
        """What its folder, and what else belongs to it alone, is called."""
        return f"{self.kind}-{self.number}"

    @property
    def folder(self) -> Path:
        """Everything on disk: configuration, state, sockets, logs."""
        return WORK / self.name


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


def wait_for(
    condition: Callable[[], bool], what: str, by: subprocess.Popen[bytes] | None = None
) -> None:
    """Poll until the condition holds; raise once it is late, or who brings it about has ended."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if by is not None and by.poll() is not None:
            raise LabError(f"waited for {what}: what was started has ended with {by.returncode}")
        if time.monotonic() > deadline:
            raise LabError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.02)


def kill(find: Callable[[], list[int]], what: str) -> None:
    """End processes without warning and wait until none is found."""
    for pid in find():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not find(), f"{what} to end")


def live_processes() -> list[int]:
    """Give the ids of all processes that have not ended."""
    return [
        int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _state(entry) not in "ZX"
    ]


def name_of(pid: int) -> str:
    """Give the name of a process's program, "" if it has ended."""
    return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()


def strings_of(pid: int) -> bytes:
    """Give a process's command line and environment, each string ended by a zero byte."""
    return _read(f"/proc/{pid}/cmdline") + _read(f"/proc/{pid}/environ")


def own_folder(folder: Path) -> None:
    """Make a folder, or refuse one of somebody else's."""
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise LabError(f"{folder} belongs to someone else: move it away")


def apt(*arguments: str, cwd: str | None = None) -> None:
    """Run apt-get, which asks nothing and waits its turn."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    argv = ["apt-get", *(f"-o{option}" for option in APT_OPTIONS), *arguments]
    subprocess.run(argv, check=True, env=environment, cwd=cwd, stdout=subprocess.DEVNULL)


def _state(pid: str) -> str:
    # "123 (a name) S 1 …": the name may itself hold blanks and parentheses
    stat = _read(f"/proc/{pid}/stat").decode(errors="replace")
    return stat.rpartition(") ")[2][:1] or "X"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
