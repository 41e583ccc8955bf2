"""How progress looks in a terminal, a log and a notebook."""

from __future__ import annotations

import io

from jobqueue.client.progress_views import Bars, Lines, Row, as_html


class Terminal(io.StringIO):
    """A file that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_is_not_flooded() -> None:
    """A line for each tenth, and one after half a minute without."""
    file = io.StringIO()
    lines = Lines(file)
    for done in range(100):
        lines.show([Row("inc", 100, done, 0)], seconds=done / 10)
    assert len(file.getvalue().splitlines()) == 10
    lines.show([Row("inc", 100, 99, 0)], seconds=60)
    lines.close()
    lines.close()
    assert file.getvalue().splitlines()[-1] == "inc 99/100 done, 1.65/s (1:00)"
    assert len(file.getvalue().splitlines()) == 11


def test_names_are_shown_as_they_are() -> None:
    """In a terminal and in a notebook they are no markup."""
    terminal = Terminal()
    bars = Bars(terminal)
    rows = [Row("[red]<b>", 2, 1, 1)]
    bars.show(rows, 3700.0)
    bars.close()
    assert "[red]<b>" in terminal.getvalue()
    assert "1:01:40" in terminal.getvalue()
    assert "<b>" not in as_html(rows, 1.0)
