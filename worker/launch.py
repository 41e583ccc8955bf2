"""How an agent starts a worker process, seen from both of its ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from jobqueue.worker.board import SharedBoard
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.options import WorkerOptions

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def worker_argv() -> tuple[str, ...]:
    """Return the command that runs one worker process."""
    return (sys.executable, "-m", "jobqueue.worker.process")


def start_worker(
    argv: Sequence[str], options: WorkerOptions, board: SharedBoard | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker process: the agent's end.

    Its standard input holds the options and then ends. It is a socket: what the worker writes to
    it, as signs of life, comes out of `Popen.stdin` (unbuffered and non-blocking). Its standard
    output is the agent's. Its standard error is a pipe (`Popen.stderr`, the same), so that the
    agent can keep the last lines of each worker beside copying them into the job's log.

    It has a process group of its own, so that Ctrl-C in a terminal reaches the agent alone, and
    that what a dead worker's tasks have started can be found. It stays in the agent's session:
    several batch systems know the processes of a job by that.

    If there is a board, it inherits that, and finds it by its options.

    Raises
    ------
    OSError
        If the process cannot be started.
    """
    shared = () if board is None else (board.fd,)
    options = options._replace(board=shared[0] if shared else None)
    line = options.to_json().encode() + b"\n"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Into the socket's own buffer before anybody reads: it can neither block nor break.
        ours.setblocking(False)
        if ours.send(line) != len(line):
            raise OSError(f"worker options of {len(line)} bytes do not fit into a socket")
        ours.shutdown(socket.SHUT_WR)
        process = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            pass_fds=shared,
        )
        process.stdin = open(ours.detach(), "rb", buffering=0)  # noqa: SIM115
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    return process


def show_life() -> None:
    """Show the agent that this process's event loop runs: the worker's end."""
    _show(_ALIVE)


def show_work() -> None:
    """Show the agent that this worker has found its scheduler."""
    _show(_WORKS)


def sign_off(status: int) -> None:
    """Show the agent that this worker ends in order, and with which status."""
    _show(_SIGNED_OFF + status)


def _show(sign: int) -> None:
    with contextlib.suppress(OSError):  # an agent that reads nothing has other worries
        os.write(0, bytes([sign]))


class Signs:
    """What a worker has shown its agent until now: the agent's end.

    Examples
    --------
    >>> signs = Signs()
    >>> signs.read(b".w.")
    >>> signs.worked, signs.signed_off
    (True, None)
    >>> signs.read(bytes([_SIGNED_OFF + 6]))
    >>> signs.signed_off
    6
    """

    __slots__ = ("signed_off", "worked")

    def __init__(self) -> None:
        self.worked = False
        self.signed_off: int | None = None

    def read(self, signs: bytes) -> None:
        """Take note of what came."""
        if _WORKS in signs:
            self.worked = True
        if signs and signs[-1] >= _SIGNED_OFF:
            self.signed_off = signs[-1] - _SIGNED_OFF


_ALIVE = ord(".")
_WORKS = ord("w")
_SIGNED_OFF = 128  # and above it, the status


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its agent dies: the worker's end, its first act.

    A killed agent can neither end its workers nor copy what they write; without this they would
    go on as orphans, outside of any job. It is done here and not between fork and exec, where
    Python code may deadlock.

    Parameters
    ----------
    parent_pid
        The agent's process id, `WorkerOptions.agent_pid`.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        import threading

        threading.Thread(target=_watch_parent, args=(parent_pid,), daemon=True).start()
    # The agent may have died before the line above; then the kernel has nothing left to report.
    if os.getppid() != parent_pid:
        os._exit(ExitCode.TERMINATED)


def _watch_parent(parent_pid: int) -> None:
    """End this process within a second after its parent: for kernels that don't offer it."""
    import time

    while os.getppid() == parent_pid:
        time.sleep(1.0)
    os._exit(ExitCode.TERMINATED)
