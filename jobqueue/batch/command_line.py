"""A command line that stands in a job script, or is started without a shell.

What a job starts is one argv. In a job script it is shell text, so a word is one of three kinds:

* `str`: taken literally, quoted as far as needed;
* `Expanded`: the shell on the node replaces variables in it (`$TMPDIR/$USER`); it stays one word;
* `Raw`: shell text, verbatim, which may be several words (`srun -n 1 -c 20 python`).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_QUOTING = re.compile(r"""["'\\`]""")
_TILDE = re.compile(r"^~(?=/|$)")
_BEFORE_COMMAND = re.compile(
    r"""
    (?:.*(?:&&|;)\s*)?                                  # other commands
    (?:\w+=(?:"[^"]*"|'[^']*'|[^\s"'])*\s+)*            # variables set for this one
    """,
    re.VERBOSE,
)


class Expanded(str):
    """A word in which the shell on the node expands variables."""

    __slots__ = ()


class Raw(str):
    """Shell text, verbatim."""

    __slots__ = ()


@dataclass(frozen=True)
class CommandLine:
    """One command.

    Parameters
    ----------
    groups
        Its words, an option and its value together: each group stands on a line of its own.

    Examples
    --------
    >>> CommandLine((("cat",), ("-n", "a file"))).shell_lines()
    ('cat', "-n 'a file'")
    >>> CommandLine((("cat",), ("-n", Expanded("$HOME/x")))).argv({"HOME": "/h"})
    ['cat', '-n', '/h/x']
    """

    groups: tuple[tuple[str, ...], ...]

    def shell_lines(self, *, execute: bool = False, launcher: str = "") -> tuple[str, ...]:
        """Return the command as lines for a shell, to be joined by backslashes.

        Parameters
        ----------
        execute
            Let the command take the shell's place (`exec`), so that signals reach it.
        launcher
            Shell text that starts the command, on other nodes perhaps.

        Examples
        --------
        >>> CommandLine(((Raw("A=1 python"), "x.py"),)).shell_lines(launcher="mpiexec -n 2")
        ('A=1 mpiexec -n 2', 'python x.py')
        """
        first, *rest = (" ".join(map(shell_word, group)) for group in self.groups)
        before, command = split_command(first)
        before += "exec " if execute else ""
        return (*([before + launcher, command] if launcher else [before + command]), *rest)

    def argv(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return the command's words as a shell would see them, to be started without one.

        A variable that is not set expands to nothing, as in a shell.
        """
        words: list[str] = []
        for word in (word for group in self.groups for word in group):
            if isinstance(word, Raw):
                words += shlex.split(word)
            elif isinstance(word, Expanded):
                text = _TILDE.sub("$HOME", word)
                words.append(_VARIABLE.sub(lambda m: environ.get(m[1] or m[2], ""), text))
            else:
                words.append(word)
        return words


def shell_word(word: str) -> str:
    """Return a word as it is written in a shell script.

    Examples
    --------
    >>> shell_word("a b"), shell_word(Expanded("$TMPDIR/a b")), shell_word(Raw("srun python"))
    ("'a b'", '"$TMPDIR/a b"', 'srun python')
    """
    if isinstance(word, Raw):
        return str(word)
    if isinstance(word, Expanded):
        if _QUOTING.search(word):
            return str(word)  # whoever wrote it has quoted it
        # Within quotes a shell does not expand a tilde.
        return f'"{_TILDE.sub("$HOME", word)}"'
    return shlex.quote(word)


def split_command(text: str) -> tuple[str, str]:
    """Return what stands before the command proper in a line of shell text, and the command.

    Examples
    --------
    >>> split_command("srun -n 1 python"), split_command("cd /x && OMP_NUM_THREADS=1 python")
    (('', 'srun -n 1 python'), ('cd /x && OMP_NUM_THREADS=1 ', 'python'))
    """
    match = _BEFORE_COMMAND.match(text)
    before = match[0] if match else ""
    return before, text[len(before) :]
