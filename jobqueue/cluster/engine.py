"""What is done on an engine of IPython Parallel: a job agent is started beside it, and watched.

The engine stays as it is, free for its own work: the worker is a process of its own, which ends
when its scheduler does, and which the kernel ends when the engine dies.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jobqueue.worker.agent import main as agent_main
from jobqueue.worker.launch import die_with_parent
from jobqueue.worker.shares import PLACE

LOG_TAIL: Final = 2000
"""Characters of an agent's log that are told when its worker does not come."""

_running: dict[int, Path] = {}
"""The logs of agents by process id."""

_failed: dict[int, str] = {}
"""And the last words of those that have ended, and not in order."""


def where() -> str:
    """Return the name of the engine's machine."""
    return socket.gethostname()


def start_agent(argv: Sequence[str], place: int) -> int:
    """Start a job agent; return its process id.

    Parameters
    ----------
    argv
        Its command line.
    place
        The engine's number among those of this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="jobqueue-engine-"))
    path = folder / "agent.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jobqueue.cluster.engine", str(os.getpid()), *argv],
            env={**os.environ, PLACE: str(place)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt of the engine is not the worker's
        )
    _running[process.pid] = path
    threading.Thread(target=_clear_away, args=(process, path), daemon=True).start()
    return process.pid


def _clear_away(process: subprocess.Popen[bytes], path: Path) -> None:
    if process.wait():
        _failed[process.pid] = _tail(path)
    del _running[process.pid]
    shutil.rmtree(path.parent, ignore_errors=True)


def last_words(pid: int, running: bool) -> str:
    """Return the end of an agent's log; "" if it ended in order, or runs and is not asked for."""
    if running and (path := _running.get(pid)) is not None:
        return _tail(path)
    return _failed.get(pid, "")


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-LOG_TAIL:].strip()
    except OSError:
        return ""


def main(argv: Sequence[str]) -> int:
    """Be a job agent as long as the engine lives whose process id comes first."""
    die_with_parent(int(argv[0]))
    return agent_main(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
