"""Signals that become bytes, and how a process is left as it was."""

import os
import signal
import subprocess
import sys

import pytest

from jobqueue.worker.signals import wakeup_pipe


def test_each_signal_is_a_byte() -> None:
    """In the order in which they came, and then nothing more, without waiting."""
    with wakeup_pipe([signal.SIGUSR1, signal.SIGUSR2]) as reading:
        for signum in (signal.SIGUSR2, signal.SIGUSR1):
            signal.raise_signal(signum)
        assert list(os.read(reading, 4096)) == [signal.SIGUSR2, signal.SIGUSR1]
        with pytest.raises(BlockingIOError):
            os.read(reading, 4096)


def test_afterwards_all_is_as_before() -> None:
    """Handlers and the wake-up pipe of whoever was there first come back, after an error too."""
    before = signal.getsignal(signal.SIGTERM)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        with pytest.raises(ZeroDivisionError), wakeup_pipe([signal.SIGTERM]):
            1 // (signal.getsignal(signal.SIGTERM) is before)
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        assert signal.set_wakeup_fd(-1) == writing
        os.close(reading)
        os.close(writing)


def test_more_signals_than_the_pipe_holds_do_no_harm() -> None:
    """The reader, who is woken anyway, loses bytes, and nobody waits or warns."""
    with wakeup_pipe([signal.SIGUSR1]) as reading:
        for _ in range(70_000):
            signal.raise_signal(signal.SIGUSR1)
        assert set(os.read(reading, 4096)) == {signal.SIGUSR1}


IGNORING = """
import os, signal
from jobqueue.worker.signals import wakeup_pipe
with wakeup_pipe([signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM]) as reading:
    for signum in (signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.raise_signal(signum)
    print(*map(int, os.read(reading, 4096)))
"""


def test_an_ignored_signal_stays_ignored() -> None:
    """nohup means what it says; only the death of children is always heard."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    ignore += "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    argv = [sys.executable, "-c", ignore + IGNORING]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.split() == [str(int(signal.SIGTERM)), str(int(signal.SIGCHLD))]
