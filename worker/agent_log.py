"""The agent's log: one line per fact, with key=value, in the job's log among its workers' lines."""

from __future__ import annotations

import os
import re
import time

_PLAIN = re.compile(r"[^\s\"'\\=]+")


def log_line(fact: str, /, **fields: object) -> str:
    """Format one line.

    Parameters
    ----------
    fact
        A few words.
    **fields
        What belongs to it. None is left out.

    Examples
    --------
    >>> log_line("worker ended", worker="a-0", cause="exit 1: crashed", job=None)
    'jobqueue agent: worker ended worker=a-0 cause="exit 1: crashed"'
    """
    words = [f"jobqueue agent: {fact}"]
    words += [f"{key}={_quote(value)}" for key, value in fields.items() if value is not None]
    return " ".join(words)


def _quote(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'["\\]', r"\\\g<0>", text.replace("\n", " ")) + '"'


class Log:
    """Writes lines and the output of workers to a file descriptor, unbuffered.

    It never fails: an agent whose log's disk is full, or whose reader is gone, goes on working.

    Parameters
    ----------
    fd
        Where to; standard error, which batch systems make the job's log.
    """

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd

    def line(self, fact: str, /, **fields: object) -> None:
        """Write one line, with the time in front of it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.write(f"{stamp} {log_line(fact, **fields)}\n".encode(errors="replace"))

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass
