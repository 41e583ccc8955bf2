"""Which machine this is: for the parts of a configuration that count on some machines only."""

from __future__ import annotations

import fnmatch
import functools
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A machine, by its names.

    Parameters
    ----------
    name
        Its name, as `hostname` prints it; None asks for it.
    full
        Its name with the domain; None looks it up when a pattern needs it, which may take a while.

    Examples
    --------
    >>> Host("login3").matches("login*, data[12]"), Host("login3").matches("*.site.edu")
    (True, False)
    """

    name: str | None = None
    full: str | None = None

    def matches(self, patterns: str) -> bool:
        """Tell whether one of several patterns, separated by commas, is that of this machine.

        `*`, `?` and `[ab]` are as in a shell, and case does not matter. A pattern with a dot in it
        is held against the full name as well.
        """
        return any(self._matches(pattern.strip().lower()) for pattern in patterns.split(","))

    def _matches(self, pattern: str) -> bool:
        name = (self.name or socket.gethostname()).lower()
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.split(".")[0], pattern):
            return True
        return "." in pattern and fnmatch.fnmatchcase(self._full().lower(), pattern)

    def _full(self) -> str:
        if self.full is not None:
            return self.full
        return self.name if self.name is not None else _looked_up()


@functools.cache
def _looked_up() -> str:
    return socket.getfqdn()
