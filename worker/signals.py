"""Signals as bytes on a pipe, so that one selector can wait for them beside everything else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def wakeup_pipe(signums: Iterable[signal.Signals]) -> Iterator[int]:
    """Turn signals into bytes, one for each with its number, for the length of a block.

    Wants the main thread. A signal that this process was started to ignore, as by nohup, stays
    ignored; SIGCHLD is not meant by such orders and comes anyway.

    Parameters
    ----------
    signums
        The signals.

    Yields
    ------
    int
        The reading end of the pipe, which does not block.

    Examples
    --------
    >>> with wakeup_pipe([signal.SIGUSR1]) as reading:
    ...     signal.raise_signal(signal.SIGUSR1)
    ...     list(os.read(reading, 4096)) == [signal.SIGUSR1]
    True
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    heard = [s for s in signums if s == signal.SIGCHLD or signal.getsignal(s) != signal.SIG_IGN]
    previous_fd = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    previous = {signum: signal.signal(signum, _wake_only) for signum in heard}
    try:
        yield reading
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(reading)
        os.close(writing)


def _wake_only(signum: int, frame: object) -> None:
    """Do nothing: that the signal came stands in the pipe."""
