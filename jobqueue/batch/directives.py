"""Directives: the options of a batch system's submit command, as they stand in a job script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_DIRECTIVE = re.compile(r"(?P<option>--[^\s=]+|-\w)(?P<separator>[=\s]*)(?P<value>.*)", re.DOTALL)
# HTCondor's, whose names are the same in any case.
_ATTRIBUTE = re.compile(r"(?P<option>\+?[A-Za-z]\w*)\s*(=\s*(?P<value>.*))?", re.DOTALL)


def split(directive: str) -> tuple[str, str]:
    """Return option and value of a directive.

    Examples
    --------
    >>> split("--mem=27G"), split("-n 1"), split("-n1"), split("--exclusive")
    (('--mem', '27G'), ('-n', '1'), ('-n', '1'), ('--exclusive', ''))
    >>> split("RequestMemory = 27000")
    ('requestmemory', '27000')
    """
    directive = directive.strip()
    if match := _DIRECTIVE.fullmatch(directive):
        return match["option"], match["value"].strip()
    if match := _ATTRIBUTE.fullmatch(directive):
        return match["option"].lower(), (match["value"] or "").strip()
    return directive, ""


def option_value(directives: Iterable[str], option: str, aliases: Mapping[str, str]) -> str:
    """Return the value of the last directive with this (long) option, "" if there is none."""
    value = ""
    for directive in directives:
        name, text = split(directive)
        if aliases.get(name, name) == option:
            value = text.strip("'\"")
    return value


def options_of(directives: Iterable[str], aliases: Mapping[str, str]) -> frozenset[str]:
    """Return the (long) options that some directives give.

    Examples
    --------
    >>> sorted(options_of(["-t 10", "--signal=USR1@60"], {"-t": "--time"}))
    ['--signal', '--time']
    """
    names = (split(directive)[0] for directive in directives)
    return frozenset(aliases.get(name, name) for name in names)


def without(
    lines: Sequence[str], skip: Sequence[str], *, prefix: str, aliases: Mapping[str, str]
) -> list[str]:
    """Return the directive lines of a script but for those to be skipped.

    An entry of `skip` is an option (`-n`, `--mem`), an option with the name of its resource
    (`-l walltime`), or a whole directive (`-n 1`); each may begin with the prefix.

    Parameters
    ----------
    lines
        Lines of a script.
    prefix
        What a directive's line begins with, `#SBATCH` for instance.
    aliases
        Short option -> long option: skipping either drops both.

    Examples
    --------
    >>> without(["#SBATCH -n 1", "#SBATCH -o a-n/b"], ["-n"], prefix="#SBATCH", aliases={})
    ['#SBATCH -o a-n/b']
    """
    skipped = {name for entry in skip for name in _names(_bare(entry, prefix), aliases)[:1]}
    return [
        line
        for line in lines
        if not line.startswith(prefix) or skipped.isdisjoint(_names(_bare(line, prefix), aliases))
    ]


def _bare(text: str, prefix: str) -> str:
    return " ".join(text.strip().removeprefix(prefix).split())


def _names(directive: str, aliases: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return what a directive may be called, most exact first."""
    option, value = split(directive)
    option = aliases.get(option, option)
    key = value.partition("=")[0]
    return list(
        dict.fromkeys([(option, value), (option, key), (option,)] if value else [(option,)])
    )
