"""What an agent has done beside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.errands import Errands


def errands(folder: Path, log: Any) -> Errands:
    options = AgentOptions((f"unix://{folder}/nobody",), "jq", death_timeout=5.0)
    return Errands(options, str(folder), Log(log.fileno()))


def test_what_could_not_be_told_is_in_the_log(folder: Path) -> None:
    """And the agent does not wait for it longer than it wants to."""
    with (folder / "log").open("w+b") as log:
        beside = errands(folder, log)
        beside.report("w-0", "killed", True, [], ["task"], 4711)
        beside.finish(30.0)
        log.seek(0)
        assert b"scheduler not told of a worker's end worker=w-0 error=" in log.read()


def test_what_a_worker_left_on_disk_is_removed(folder: Path) -> None:
    """The log says what."""
    code = (
        "import os, sys\n"
        "from jobqueue.worker.spill_folder import SpillFolder\n"
        "SpillFolder(sys.argv[1]).write(b'x'); os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    (left,) = os.listdir(folder)
    with (folder / "log").open("w+b") as log:
        beside = errands(folder, log)
        beside.sweep()
        beside.finish(30.0)
        log.seek(0)
        assert f"removed what a worker left on disk path={folder}/{left}" in log.read().decode()
    assert os.listdir(folder) == ["log"]


def test_the_answer_comes_with_a_signal(folder: Path, wait_until: Callable[..., Any]) -> None:
    """It wakes the agent's main thread, whatever that waits for."""
    woken: list[int] = []
    previous = signal.signal(signal.SIGCHLD, lambda signum, frame: woken.append(signum))
    try:
        with (folder / "log").open("w+b") as log:
            beside = errands(folder, log)
            beside.look_for_scheduler()
            wait_until(lambda: woken)
        assert "nobody" in beside.answers.popleft()
    finally:
        signal.signal(signal.SIGCHLD, previous)
