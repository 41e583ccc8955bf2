"""A worker process, as its agent holds it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable

from jobqueue.worker.agent_log import Log
from jobqueue.worker.board import SharedBoard
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.exit_record import Tail
from jobqueue.worker.launch import Signs

# Reads of 64 KiB that empty the largest pipe there is, and some.
_PIPE_READS = 20


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

    __slots__ = (
        "_log",
        "_on_life",
        "_selector",
        "board",
        "name",
        "process",
        "signs",
        "slot",
        "started",
        "tail",
        "verdict",
    )

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

    def listen(
        self, selector: selectors.BaseSelector, log: Log, on_life: Callable[[int], object]
    ) -> None:
        """Have what it writes read when there is something.

        Parameters
        ----------
        selector
            Waits for it; the data of its keys are to be called.
        log
            What it writes to standard error is copied there.
        on_life
            Called with its slot when it has shown that it lives.
        """
        process = self.process
        assert process.stdin is not None
        assert process.stderr is not None
        self._selector, self._log, self._on_life = selector, log, on_life
        selector.register(process.stderr, selectors.EVENT_READ, self._copy_stderr)
        selector.register(process.stdin, selectors.EVENT_READ, self._read_signs)

    def hear_to_the_end(self) -> None:
        """Take in what is left of what it wrote, after its end."""
        self._read_signs()
        self._close_signs()
        self._copy_stderr(to_the_end=True)

    def _read_signs(self) -> None:
        assert self.process.stdin is not None
        if self.process.stdin.closed:
            return
        try:
            signs = os.read(self.process.stdin.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError:
            signs = b""
        if signs:
            self.signs.read(signs)
            self._on_life(self.slot)
        else:
            self._close_signs()  # as the worker has done with its end

    def _close_signs(self) -> None:
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            self._selector.unregister(self.process.stdin)
            self.process.stdin.close()

    def _copy_stderr(self, *, to_the_end: bool = False) -> None:
        """Copy what it wrote to the log, and keep the last of it."""
        stderr = self.process.stderr
        assert stderr is not None
        if stderr.closed:
            return
        for _ in range(_PIPE_READS):
            try:
                data = os.read(stderr.fileno(), 65536)
            except BlockingIOError:
                break
            if not data:
                self._close_stderr()
                return
            self.tail.add(data)
            self._log.write(data)
            if not to_the_end:
                return
        # A process that a task has put into a group of its own may hold the pipe open; it is no
        # longer a worker's, and what it writes is nobody's.
        self._close_stderr()

    def _close_stderr(self) -> None:
        assert self.process.stderr is not None
        self._selector.unregister(self.process.stderr)
        self.process.stderr.close()

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

    def drop(self) -> None:
        """Kill it, and hear and keep nothing of it any more."""
        self.kill_group()
        self.take_board()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        for stream in (self.process.stdin, self.process.stderr):
            if stream is not None:
                stream.close()
