"""How an agent starts a worker process and talks with it, seen from both of its ends.

They share a socket, which is the worker's standard input until it has read its options. On it the
worker shows signs of life, and what its agent cannot see; the agent writes an order there before it
sends SIGTERM, which by itself could not say how much time is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

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

    Its standard input holds the options, in one line. It is a socket: what the worker writes to it,
    as signs of life, comes out of `Popen.stdin` (unbuffered and non-blocking), and what is written
    there are its orders. Its standard output is the agent's. Its standard error is a pipe
    (`Popen.stderr`, the same), so that the agent can keep the last lines of each worker beside
    copying them into the job's log.

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
        process = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            pass_fds=shared,
            env={**os.environ, **options.environment} if options.environment else None,
        )
        process.stdin = open(ours.detach(), "rb", buffering=0)  # noqa: SIM115
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    return process


class Order(NamedTuple):
    """What an agent tells a worker: to hand over and end.

    Parameters
    ----------
    seconds
        How long that may take.
    cause
        Why, for messages.
    """

    seconds: float
    cause: str


def give_order(process: subprocess.Popen[bytes], order: Order) -> None:
    """Tell a worker to end: the agent's end.

    A worker that cannot be told so, since its socket is full or gone, gets the signal all the same.
    """
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        os.write(process.stdin.fileno(), json.dumps(order).encode() + b"\n")
    process.send_signal(signal.SIGTERM)


class ToAgent:
    """A worker's way to its agent, and back: the worker's end.

    Parameters
    ----------
    fd
        The socket.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._read = b""

    @classmethod
    def take(cls) -> ToAgent:
        """Take it from standard input, where what tasks start must not find it."""
        fd = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(fd)

    def read_options(self) -> str:
        """Return the first line, which is there before this process is."""
        while b"\n" not in self._read:
            data = os.read(self._fd, 65536)
            if not data:
                break
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        os.set_blocking(self._fd, False)
        return line.decode()

    def orders(self) -> list[Order]:
        """Return the orders that have come."""
        with contextlib.suppress(OSError):
            while data := os.read(self._fd, 65536):
                self._read += data
        *lines, self._read = self._read.split(b"\n")
        return [Order(*json.loads(line)) for line in lines]

    def show_life(self) -> None:
        """Show that this process's event loop runs."""
        self._show(b".")

    def show_work(self) -> None:
        """Show that this worker has found its scheduler."""
        self._show(b"w")

    def show_tried(self, tried: Sequence[tuple[str, str]]) -> None:
        """Show where it has looked for a scheduler in vain: addresses, and what came of each."""
        self._show(json.dumps(tried).encode() + b"\n")

    def sign_off(self, status: int) -> None:
        """Show that this worker ends in order, and with which status."""
        self._show(bytes([_SIGNED_OFF + status]))

    def _show(self, signs: bytes) -> None:
        with contextlib.suppress(OSError):  # an agent that reads nothing has other worries
            os.write(self._fd, signs)


class Signs:
    """What a worker has shown its agent until now: the agent's end.

    Examples
    --------
    >>> signs = Signs()
    >>> signs.read(b'.w[["tcp://a:1", "refused"]]')
    >>> signs.worked, signs.signed_off, signs.tried
    (True, None, [])
    >>> signs.read(b"\\n." + bytes([_SIGNED_OFF + 6]))
    >>> signs.signed_off, signs.tried
    (6, [('tcp://a:1', 'refused')])
    """

    __slots__ = ("_line", "signed_off", "tried", "worked")

    def __init__(self) -> None:
        self.worked = False
        self.signed_off: int | None = None
        self.tried: list[tuple[str, str]] = []
        self._line = b""

    def read(self, signs: bytes) -> None:
        """Take note of what came."""
        signs, self._line = self._line + signs, b""
        while (start := signs.find(b"[")) >= 0:
            line, end, rest = signs[start:].partition(b"\n")
            if not end:
                signs, self._line = signs[:start], line
                break
            with contextlib.suppress(ValueError):  # cut, by a socket that was full
                self.tried = [(address, outcome) for address, outcome in json.loads(line)]
            signs = signs[:start] + rest
        if b"w" in signs:
            self.worked = True
        if signs and signs[-1] >= _SIGNED_OFF:
            self.signed_off = signs[-1] - _SIGNED_OFF


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
