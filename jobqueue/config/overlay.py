"""Values set in code, above all files and variables: `jobqueue.config.set`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from jobqueue.config.sections import ROOT, Entry, Origin, Section, Source, normal, section_key
from jobqueue.errors import ConfigError

_layers: list[Source] = []


def set(values: Mapping[str, Any] | None = None, /, **named: Any) -> ExitStack:
    """Set configuration values from code, for good or for a ``with`` block.

    Parameters
    ----------
    values
        Values by dotted name (``{"slurm.cores": 24}``) or as nested mappings
        (``{"slurm": {"cores": 24}}``); a leading ``jobqueue.`` is allowed.
    named
        The same, with ``__`` for the dot: ``slurm__cores=24``.

    Raises
    ------
    ConfigError
        If a name has no section.

    Examples
    --------
    >>> from jobqueue import config
    >>> with config.set({"slurm.queue": "debug"}):
    ...     config.resolve("slurm", {"cores": 1, "memory": "1GB"}, system="slurm").values["queue"]
    'debug'
    """
    dotted = {name.replace("__", "."): value for name, value in named.items()}
    layer = _source({**(values or {}), **dotted})
    _layers.append(layer)
    undo = ExitStack()
    undo.callback(_remove, layer)
    return undo


def _remove(gone: Source) -> None:
    _layers[:] = [layer for layer in _layers if layer is not gone]


def sources() -> list[Source]:
    """What has been set, from first to last."""
    return list(_layers)


def _source(values: Mapping[str, Any]) -> Source:
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
