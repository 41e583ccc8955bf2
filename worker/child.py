"""A worker process, as its agent holds it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from jobqueue.worker.board import SharedBoard
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.exit_record import Tail
from jobqueue.worker.launch import Signs


class Child:
    """A running worker process.

    Parameters
    ----------
    slot
        Its place among the agent's workers.
    name
        The worker's name.
    process
        As `jobqueue.worker.launch.start_worker` returned it.
    board
        Where it shows what it runs, if there is such a thing.
    """

    __slots__ = ("board", "name", "process", "signs", "slot", "started", "tail", "verdict")

    def __init__(
        self,
        slot: int,
        name: str,
        process: subprocess.Popen[bytes],
        board: SharedBoard | None = None,
    ) -> None:
        self.slot = slot
        self.name = name
        self.process = process
        self.board = board
        self.started = time.time()
        self.tail = Tail()
        self.signs = Signs()
        # What its end means, and why the agent has killed it, if it has done so in its place.
        self.verdict: tuple[ExitCode, str] | None = None

    @property
    def stderr(self) -> int:
        """Where what it writes comes out."""
        assert self.process.stderr is not None
        return self.process.stderr.fileno()

    @property
    def life(self) -> int:
        """Where its signs of life come out."""
        assert self.process.stdin is not None
        return self.process.stdin.fileno()

    @property
    def life_closed(self) -> bool:
        """Whether no more of them come."""
        assert self.process.stdin is not None
        return self.process.stdin.closed

    def take_board(self) -> tuple[list[str] | None, list[str]]:
        """Return what it was running when it died, and what had ended last. Only once.

        The first is None if that is not known.
        """
        if self.board is None:
            return None, []
        running, ended = self.board.running(), self.board.ended()
        self.board.close()
        return running, ended

    def kill_group(self) -> None:
        """Kill the worker, if it still runs, and whatever its tasks have left behind.

        Also right after the worker was reaped: process ids are handed out in turns, so its own
        is not in use again already.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
