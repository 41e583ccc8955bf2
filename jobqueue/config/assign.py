"""`jobqueue.config.set`: values from code, judged before they count.

A mistake raises at the line that makes it and changes nothing; found later, by a cluster, it would
stop every cluster of the program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from jobqueue.config import overlay
from jobqueue.config.keywords import ALIASES, ALL_NAMES, KEYWORDS, SYSTEMS, Keyword
from jobqueue.config.load import load
from jobqueue.config.merge import EXTENDS, canonical, chain
from jobqueue.config.pools import gather_pools
from jobqueue.config.resolve import parse
from jobqueue.config.sections import Entry, Section, Source
from jobqueue.config.spelling import did_you_mean
from jobqueue.errors import ConfigError

_SET = "jobqueue.config.set"


def set(values: Mapping[str, Any] | None = None, /, **named: Any) -> ExitStack:
    """Set configuration values from code, for good or for a ``with`` block.

    Parameters
    ----------
    values
        Values by dotted name (``{"slurm.cores": 24}``) or as nested mappings
        (``{"slurm": {"cores": 24}}``); a leading ``jobqueue.`` is allowed. None takes back what was
        set before, so that files and variables count again; ``""`` unsets what they say, too.
    named
        The same, with ``__`` for the dot: ``slurm__cores=24``.

    Raises
    ------
    ConfigError
        If a section or a key is not known, or a value is none that the key takes. Then nothing has
        been set. A section that is new says what it extends.

    Examples
    --------
    >>> from jobqueue import config
    >>> from jobqueue.config.resolve import resolve
    >>> with config.set({"slurm.queue": "debug"}):
    ...     resolve("slurm", {"cores": 1, "memory": "1GB"}, system="slurm").values["queue"]
    'debug'
    """
    dotted = {name.replace("__", "."): value for name, value in named.items()}
    layer = overlay.layer_of({**(values or {}), **dotted})
    _judge(layer)
    undo = ExitStack()
    undo.callback(overlay.push(layer))
    return undo


def _judge(layer: Source) -> None:
    """Raise ConfigError if anything in a layer can't be used."""
    before = load()
    known = {*SYSTEMS, *(name for source in before.sources for name in source.sections)}
    after = dataclasses.replace(before, sources=(*before.sources, layer))
    for name, section in layer.sections.items():
        if name not in known and all(entry.name != EXTENDS for entry in section.entries):
            hint = did_you_mean(name, known)
            new = f"; a new one says what it extends, such as {{'{name}.extends': 'slurm'}}"
            raise ConfigError(f"{_SET}: there is no section {name!r}{hint or new}")
        names = chain(name, name if name in SYSTEMS else None, after)
        system = next((each for each in names if each in SYSTEMS), None)
        if system is None:
            _judge_for_any(section)
        else:
            parse(canonical(section, system=system), system, after.places)
            for own in gather_pools(name, {}, system=system, config=after).values():
                parse(own, system, after.places)


def _judge_for_any(section: Section) -> None:
    """Judge a section that does not tell for which batch system it is: each key by itself."""
    for entry in section.entries:
        names = {entry.name, *(alias.new for alias in ALIASES if alias.old == entry.name)}
        rows = [row for row in KEYWORDS if row.name in names and row.place == "anywhere"]
        if rows:
            _parse_by_any(rows, entry)
        elif entry.name != EXTENDS:
            raise ConfigError(
                f"{_SET}: section '{section.name}': '{entry.key}' is no key of any batch system's "
                f"section{did_you_mean(entry.key, ALL_NAMES)}"
            )


def _parse_by_any(rows: Sequence[Keyword], entry: Entry) -> None:
    for row in rows:
        try:
            row.parse(entry.written)
        except ValueError as error:
            trouble = error
        else:
            return
    raise ConfigError(f"{_SET}: {entry.key}: {trouble}")
