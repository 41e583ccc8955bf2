"""Parsers for the values of keywords: what arrives from YAML or Python → one canonical type.

A parser takes the value *as it was written* (a YAML scalar or a variable arrives as text, so that
``walltime: 12:00:00`` and ``account: 007`` are still what stands in the file) or any Python object,
and returns the canonical value. An unset value (None, an empty text) is None, or an empty list for
the parsers of lists. A parser raises `ValueError` with the fact and the accepted forms;
`jobqueue.config.resolve` adds key, file and line.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jobqueue.config.units import Clock, parse_duration, parse_memory, parse_walltime

Parser = Callable[[Any], Any]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}

# One word of a shell command line, quotes and escapes as they stand.
_SHELL_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)


def is_unset(value: object) -> bool:
    """Whether a value stands for "not set": None, or text without content."""
    return value is None or (isinstance(value, str) and not value.strip())


def anything(value: Any) -> Any:
    """Hand the value on: keywords that take Python objects."""
    return value


def text(value: Any) -> str | None:
    """One line of text; numbers and paths are written out."""
    if is_unset(value):
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    value = value.strip()
    if _CONTROL.search(value):
        raise ValueError(f"{value!r} is not one line of plain text")
    return str(value)


def count(minimum: int) -> Parser:
    """Make a parser of whole numbers that are at least `minimum`."""

    def parse(value: Any) -> int | None:
        if is_unset(value):
            return None
        number = _whole(value)
        if number is None or number < minimum:
            raise ValueError(f"{value!r} is not a whole number ≥ {minimum}")
        return number

    return parse


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        digits = value.strip()
        return int(digits) if re.fullmatch(r"[+-]?\d{1,18}", digits, re.ASCII) else None
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == value else None  # NumPy's integers and 24.0 are welcome, 2.5 is not


def switch(value: Any) -> bool | None:
    """True or false, also as YAML writes them."""
    if is_unset(value):
        return None
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{value!r} is neither true nor false")


def choice(*options: str) -> Callable[[Any], str | None]:
    """Make a parser of one word out of `options`."""

    def parse(value: Any) -> str | None:
        word = text(value)
        if word is not None and word.lower() not in options:
            raise ValueError(f"{value!r} is none of {', '.join(options)}")
        return word and word.lower()

    return parse


_PROTOCOL = choice("tls", "tcp")


def protocol(value: Any) -> str | None:
    """A transport's name, also in the form that dask writes: ``tls://``."""
    word = text(value)
    return _PROTOCOL(word and word.removesuffix("://"))


def memory(value: Any) -> int | None:
    """An amount of memory → bytes. Less than a megabyte is taken for a forgotten unit."""
    if is_unset(value):
        return None
    amount = parse_memory(value)
    if amount < 1_000_000:
        raise ValueError(f'{value!r} is {amount} bytes; was a unit forgotten, as in "{amount}GB"?')
    return amount


def duration(value: Any) -> int | float | None:
    """A length of time → seconds."""
    return None if is_unset(value) else parse_duration(value)


def walltime(clock: Clock) -> Parser:
    """Make a parser of walltimes (→ seconds) by the clock of one batch system."""

    def parse(value: Any) -> int | None:
        return None if is_unset(value) else parse_walltime(value, clock)

    return parse


def directives(value: Any) -> list[str]:
    """Directives without their prefix, each one line: from a list, one text, or a mapping."""
    return [line.strip() for line in _lines(value) if line.strip()]


def script_lines(value: Any) -> list[str]:
    """Lines of a shell script, as they are: from a list, or one text of several lines."""
    if isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)
    ):
        raise ValueError(f'{value!r} is a mapping; a script line with ": " in it needs quotes')
    return list(_lines(value))


def shell_words(value: Any) -> list[str]:
    """Words of a shell command line, quoted as they were: joined by spaces they mean the same.

    ``$TMPDIR`` stays for the shell on the node to expand.
    """
    words: list[str] = []
    for line in _lines(value):
        words += _SHELL_WORD.findall(line)
        if _SHELL_WORD.sub("", line).strip():
            raise ValueError(f"{line!r} has a quote without its partner")
    return words


def texts(value: Any) -> list[str]:
    """Several texts, each one line: from a list or one text."""
    if isinstance(value, Mapping):
        raise ValueError(f"{value!r} is a mapping; write a list")
    return directives(value)


def attributes(value: Any) -> dict[str, str]:
    """Names and values (HTCondor's attributes): from a mapping, or lines ``name = value``."""
    if isinstance(value, Mapping):
        pairs = {str(name): _scalar(item) for name, item in value.items()}
    else:
        pairs = {}
        for line in directives(value):
            name, equals, item = line.partition("=")
            if not equals:
                raise ValueError(f'{line!r} is not of the form "name = value"')
            pairs[name.strip()] = item.strip()
    return pairs


def amounts(value: Any) -> dict[str, int | float]:
    """Amounts by name: from a mapping, or text such as ``GPU=2, licence=0.5``."""
    if isinstance(value, Mapping):
        pairs = [(str(name).strip(), item) for name, item in value.items()]
    else:
        words = [word for line in _lines(value) for word in line.replace(",", " ").split()]
        pairs = [(name, amount) for name, _, amount in (word.partition("=") for word in words)]
    return {_resource(name): _amount(name, item) for name, item in pairs}


def pools(value: Any) -> dict[str, dict[str, Any]]:
    """Keywords by pool: a mapping whose values are mappings, or nothing."""
    if is_unset(value):
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a mapping from names of pools to their keywords")
    found: dict[str, dict[str, Any]] = {}
    for name, own in value.items():
        if not isinstance(own, Mapping) and not is_unset(own):
            raise ValueError(f"{name}: {own!r} is not a mapping of keywords, as in {{cores: 8}}")
        found[pool_name(name)] = dict(own) if isinstance(own, Mapping) else {}
    return found


def pool_name(name: object) -> str:
    """A pool's name, which stands in command lines, in lists of workers, and in messages."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise ValueError(
            f"{name!r} is no name of a pool: letters, digits and any of _ . - make one"
        )
    if name == "default":
        raise ValueError("the pool 'default' is there already: it has the cluster's own keywords")
    return name


def _resource(name: str) -> str:
    if not re.fullmatch(r"[^\s=,'\"]+", name):
        raise ValueError(f"{name!r} is no name of a resource; write one word, as in GPU: 2")
    return name


def _amount(name: str, value: Any) -> int | float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name}: {value!r} is no amount; write a number above 0, as in GPU: 2")
    return int(number) if number.is_integer() else number


def options(value: Any) -> dict[str, Any]:
    """A mapping from names to Python values; ``-`` in a name is ``_``."""
    if is_unset(value):
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is not a mapping")
    return {str(name).replace("-", "_"): item for name, item in value.items()}


def worker_command(value: Any) -> str | None:
    """The command of a worker; dask's own, which sites copied from its defaults, means ours."""
    command = text(value)
    if command is None or command in {"distributed.cli.dask_worker", "dask worker", "dask-worker"}:
        return None
    if re.match(r"(distributed|dask)\b|dask[_-]", command):
        raise ValueError(f"{value!r} starts a worker of dask's, which can't work for jobqueue")
    return command


def _lines(value: Any) -> Iterator[str]:
    """Flatten what is accepted where a list of lines is wanted.

    A mapping is what YAML makes of ``{-C casper}`` (a key without a value) or ``-C: casper``.
    """
    if is_unset(value):
        return
    if isinstance(value, str):
        yield from value.splitlines()
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(str(name) if is_unset(item) else f"{name} {_scalar(item)}")
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for item in value:
            yield from (
                [""] if item == "" else _lines(item if isinstance(item, Mapping) else _scalar(item))
            )
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, os.PathLike):
        return os.fspath(value) if isinstance(os.fspath(value), str) else repr(value)
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"{value!r} is not a line of text")
