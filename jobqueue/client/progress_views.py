"""How the progress of tasks looks: bars in a terminal, lines in a log, a table in a notebook.

rich and IPython are imported by the views that draw with them, and by nothing else.
"""

from __future__ import annotations

import html
import importlib
from collections.abc import Sequence
from typing import IO, Any, Final, NamedTuple, Protocol

STEP: Final = 0.1
"""Part of all tasks after which a log gets a line."""

QUIET: Final = 30.0
"""Seconds after which it gets one all the same."""


class Row(NamedTuple):
    """How far the tasks of one name are."""

    name: str
    total: int
    finished: int
    failed: int

    @property
    def done(self) -> int:
        """Tasks that have ended, in whichever way."""
        return self.finished + self.failed

    def words(self, seconds: float) -> str:
        """Return counts and rate: ``50/100 done, 2 failed, 31/s``."""
        failed = f", {self.failed} failed" if self.failed else ""
        rate = f", {_figure(self.done / seconds)}/s" if self.done and seconds > 0 else ""
        return f"{self.done}/{self.total} done{failed}{rate}"


class View(Protocol):
    """Where it is shown."""

    def show(self, rows: Sequence[Row], seconds: float) -> None:
        """Show how far tasks are, that many seconds after the beginning."""
        ...

    def close(self) -> None:
        """Leave the last picture as it is."""
        ...


class Bars:
    """A bar for each function, in a terminal.

    Parameters
    ----------
    file
        The terminal.
    """

    def __init__(self, file: IO[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=file), auto_refresh=False)
        self._live.start()

    def show(self, rows: Sequence[Row], seconds: float) -> None:
        """See `View.show`."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for row in rows:
            colour = "red" if row.failed else "green" if row.done == row.total else "cyan"
            bar = ProgressBar(total=row.total, completed=row.done, width=40, complete_style=colour,
                              finished_style=colour)  # fmt: skip
            table.add_row(Text(row.name), bar, Text(row.words(seconds)), Text(_clock(seconds)))
        self._live.update(table, refresh=True)

    def close(self) -> None:
        """See `View.close`."""
        self._live.stop()


class Lines:
    """A line from time to time, for what is no terminal.

    Parameters
    ----------
    file
        Where they are written to.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._next = 0.0
        self._said_at = 0.0
        self._last = ""

    def show(self, rows: Sequence[Row], seconds: float) -> None:
        """See `View.show`."""
        done, total = sum(row.done for row in rows), sum(row.total for row in rows)
        part = done / total if total else 1.0
        self._last = "; ".join(f"{row.name} {row.words(seconds)}" for row in rows)
        self._last += f" ({_clock(seconds)})"
        if part >= self._next or seconds - self._said_at >= QUIET:
            self._next = part + STEP
            self._said_at = seconds
            self._say()

    def close(self) -> None:
        """See `View.close`."""
        self._say()

    def _say(self) -> None:
        if self._last:
            print(self._last, file=self._file, flush=True)
        self._last = ""


class Notebook:
    """A bar for each function, below a notebook's cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, rows: Sequence[Row], seconds: float) -> None:
        """See `View.show`."""
        ipython = importlib.import_module("IPython.display")
        picture = ipython.HTML(as_html(rows, seconds))
        if self._handle is None:
            self._handle = ipython.display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def close(self) -> None:
        """See `View.close`."""


def as_html(rows: Sequence[Row], seconds: float) -> str:
    """Return a small table with bars."""
    body = "".join(
        f"<tr><td style='text-align:left'><code>{html.escape(row.name)}</code></td>"
        f"<td><progress value='{row.done}' max='{row.total}'></progress></td>"
        f"<td style='text-align:left'>{row.words(seconds)}</td></tr>"
        for row in rows
    )
    return f"<table>{body}</table><small>{_clock(seconds)}</small>"


def _figure(rate: float) -> str:
    return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
