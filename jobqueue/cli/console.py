"""A command's standing on its terminal: what a signal means to it, and where log lines go."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console


class Ended(BaseException):
    """A signal asks for the end, as Ctrl-C does; what is open is closed on its way up."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let what would kill this program at once end it in order instead."""

    def end(signum: int, frame: object) -> NoReturn:
        raise Ended(signum)

    previous = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def log_on(console: Console, level: int | None) -> Iterator[None]:
    """Show the package's log from a level on; None hides it, for what matters is shown anyway."""
    logger = logging.getLogger("jobqueue")
    handler: logging.Handler = logging.NullHandler()
    before = logger.level
    if level is not None:
        handler = ConsoleLog(console, level)
        logger.setLevel(min(before, level) if before else level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class ConsoleLog(logging.Handler):
    """Log lines on a console, above whatever changes there.

    Parameters
    ----------
    console
        Where to write.
    level
        From which level on.
    """

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        text = f"{record.levelname.lower()}: {record.getMessage()}"
        self._console.print(text, style="dim", markup=False, soft_wrap=True)
