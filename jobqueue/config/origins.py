"""What a section gives, value by value, and from which file and line: for whoever debugs a site."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jobqueue.config.checks import default_processes
from jobqueue.config.keywords import SYSTEMS, Keyword, keywords_of
from jobqueue.config.load import Config, load
from jobqueue.config.merge import chain, gather
from jobqueue.config.pools import POOLS, gather_pools
from jobqueue.config.resolve import parse
from jobqueue.config.sections import Entry, section_key
from jobqueue.config.units import format_memory, format_walltime
from jobqueue.errors import ConfigError


def explain(section: str, *, system: str | None = None, config: Config | None = None) -> str:
    """Say what a cluster made from a section would be told, and where each value comes from.

    Parameters
    ----------
    section
        Name of the section: ``"slurm"``, or one of your own.
    system
        The batch system, if neither the section's name nor what it extends tells it.
    config
        What was loaded; None reads all places now.

    Returns
    -------
    str
        Lines of keyword, value and origin, then the places that were searched.

    Raises
    ------
    ConfigError
        Whatever a cluster made from the section would complain about, missing values apart.

    Examples
    --------
    >>> print(explain("slurm").splitlines()[0])
    SLURMCluster, section 'slurm'
    """
    config = load() if config is None else config
    names = chain(
        section, section_key(section) if section_key(section) in SYSTEMS else None, config
    )
    system = system or next((name for name in names if name in SYSTEMS), None)
    if system not in SYSTEMS:
        raise ConfigError(
            f"which batch system is section {section!r} for? "
            f"Give system=, one of {', '.join(SYSTEMS)}"
        )
    entries = gather(section, {}, system=system, config=config)
    pools = gather_pools(section, {}, system=system, config=config)
    lines = [f"{SYSTEMS[system]}, section " + ", which extends ".join(map(repr, names))]
    lines += _rows(entries, system, config)
    for name, own in pools.items():
        lines.append(f"pool {name!r}, as above but for")
        lines += _rows({**entries, **own}, system, config, only=own)
    lines.append("Searched, the later winning:")
    lines += [f"  {path}{'' if path.exists() else ' (absent)'}" for path in config.looked]
    return "\n".join(lines)


def _rows(
    entries: Mapping[str, Entry],
    system: str,
    config: Config,
    *,
    only: Collection[str] | None = None,
) -> list[str]:
    """Write values and where they come from: all of them, or a few and what follows from these."""
    values, origins = parse(entries, system, config.places)
    if values["processes"] is None and values["cores"] is not None:
        values["processes"] = default_processes(
            values["cores"], nodes=values["nodes"], resources=values["resources"]
        )
    rows = [
        (row.spelling, _show(row, values[name]), str(origins[name]))
        for name, row in keywords_of(system).items()
        if row.place == "anywhere" and (only is None or name in only or name == "processes")
    ]
    key_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return [f"  {key:{key_width}}  {value:{value_width}}  {told}" for key, value, told in rows]


def _show(row: Keyword, value: Any) -> str:
    if value is None:
        return "missing" if row.required else "-"
    if row.name == POOLS:
        return ", ".join(value) or "-"
    if row.kind == "memory":
        return format_memory(value)
    if row.kind == "time" and isinstance(value, int):
        return format_walltime(value)
    return str(value)
