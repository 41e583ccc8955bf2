"""Layers of values from code, above all files and variables, and what counts of them.

A layer lasts for good or until it is taken away. None in a layer takes back what earlier ones say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from jobqueue.config.keywords import ALIASES
from jobqueue.config.sections import ROOT, Entry, Origin, Section, Source, section_key
from jobqueue.config.spelling import normal
from jobqueue.errors import ConfigError

_NEW_NAMES = {alias.old: alias.new for alias in ALIASES}

_layers: list[Source] = []


def push(layer: Source) -> Callable[[], None]:
    """Add a layer above all others; return what takes it away again."""
    _layers.append(layer)

    def remove() -> None:
        _layers[:] = [other for other in _layers if other is not layer]

    return remove


def sources() -> list[Source]:
    """What counts of what has been set, from first to last."""
    found: list[Source] = []
    for layer in _layers:
        for name, section in layer.sections.items():
            gone = {_same(entry) for entry in section.entries if entry.written is None}
            found = [_without(source, name, gone) for source in found] if gone else found
        found.append(_given(layer))
    return [source for source in found if source.sections]


def _same(entry: Entry) -> str:
    """One name for a keyword and its old name."""
    return _NEW_NAMES.get(entry.name, entry.name)


def _without(source: Source, name: str, gone: Collection[str]) -> Source:
    return _keep(source, lambda section, entry: section != name or _same(entry) not in gone)


def _given(layer: Source) -> Source:
    return _keep(layer, lambda section, entry: entry.written is not None)


def _keep(source: Source, kept: Callable[[str, Entry], bool]) -> Source:
    sections = {
        name: Section(
            section.name, section.origin, tuple(e for e in section.entries if kept(name, e))
        )
        for name, section in source.sections.items()
    }
    return Source(source.label, {name: found for name, found in sections.items() if found.entries})


def layer_of(values: Mapping[str, Any]) -> Source:
    """Make a layer of values by dotted name, or as nested mappings.

    Raises
    ------
    ConfigError
        If a name names no key of a section.
    """
    found: dict[str, dict[str, Entry]] = {}
    for name, value in values.items():
        parts = name.split(".")
        if normal(parts[0]) == ROOT and (len(parts) > 1 or isinstance(value, Mapping)):
            parts = parts[1:]
        for section, key, item in _flatten(parts, value, name):
            entry = Entry(key, item, item, Origin("set"))
            found.setdefault(section_key(section), {})[entry.name] = entry
    return Source(
        "jobqueue.config.set",
        {
            section: Section(section, Origin("set"), tuple(entries.values()))
            for section, entries in found.items()
        },
    )


def _flatten(parts: list[str], value: Any, name: str) -> list[tuple[str, str, Any]]:
    if len(parts) == 2:
        return [(parts[0], parts[1], value)]
    if len(parts) < 2 and isinstance(value, Mapping):
        return [
            triple for key, item in value.items() for triple in _flatten([*parts, key], item, name)
        ]
    raise ConfigError(
        f"{name!r} does not name a key of a section; write "
        "jobqueue.config.set({'slurm.cores': 24})"
    )
