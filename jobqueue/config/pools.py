"""What pools are told: each a layer of values over those of its cluster.

``pools:`` in a section, or ``pools=`` of a constructor, maps names to keywords. They are gathered
from all places like a section's own keys, the later winning value by value, and each pool is judged
like a section. A pool may extend a section, whose values then stand between the cluster's and its
own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobqueue.config.load import Config
from jobqueue.config.merge import EXTENDS, canonical, chain
from jobqueue.config.nodes import Item, from_python
from jobqueue.config.sections import Entry, Origin, Section
from jobqueue.config.values import is_unset, pools
from jobqueue.errors import ConfigError

POOLS = "pools"


def gather_pools(
    section: str, keywords: Mapping[str, Any], *, system: str, config: Config
) -> dict[str, dict[str, Entry]]:
    """Find the winning entry of each keyword of each pool.

    Parameters
    ----------
    section, keywords, system, config
        As for `jobqueue.config.merge.gather`.

    Returns
    -------
    dict
        Name of the pool, in the order of definition -> keyword -> its own entry; what a pool has
        from its cluster is not among them.

    Raises
    ------
    ConfigError
        A pool, or a keyword of one, can't be used.
    """
    names = chain(section, system, config)
    found: dict[str, dict[str, Entry]] = {}
    for entry in _entries(names, keywords, config):
        if is_unset(entry.written):
            found.clear()
            continue
        for pool, own in split(entry).items():
            found.setdefault(pool, {}).update(own)
    return {pool: _judged(pool, own, names, system, config) for pool, own in found.items()}


def own_entries(
    pool: str, keywords: Mapping[str, Any], section: str, *, system: str, config: Config
) -> dict[str, Entry]:
    """Find the entries of one more pool, which a cluster's `section` says nothing of.

    Raises
    ------
    ConfigError
        The name, or one of the keywords, can't be used for a pool.
    """
    given = {pool: keywords}
    own = split(Entry(POOLS, given, given, Origin("keyword")))[pool]
    return _judged(pool, own, chain(section, system, config), system, config)


def _judged(
    pool: str, own: Mapping[str, Entry], names: Sequence[str], system: str, config: Config
) -> dict[str, Entry]:
    return {**_extended(pool, own, names, system, config), **_canonical(pool, own, system)}


def _entries(names: Sequence[str], keywords: Mapping[str, Any], config: Config) -> Iterator[Entry]:
    """Yield all that is said about pools, from low to high."""
    for name in reversed(names):
        for source in config.sources:
            section = source.sections.get(name)
            yield from (e for e in (section.entries if section else ()) if e.name == POOLS)
    if (given := keywords.get(POOLS)) is not None:
        yield Entry(POOLS, given, given, Origin("keyword"))


def split(entry: Entry) -> dict[str, dict[str, Entry]]:
    """Take one mapping of pools apart.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        pools(entry.written)
    except ValueError as error:
        where = "" if entry.origin.kind == "keyword" else f"{entry.origin}: "
        raise ConfigError(f"{where}{entry.key}: {error}") from None
    items = entry.items or from_python(entry.written).items or ()
    return {item.key: dict(_keywords(item, entry)) for item in items}


def _keywords(pool: Item, entry: Entry) -> Iterator[tuple[str, Entry]]:
    for item in pool.node.items or ():
        own = Entry(
            item.key,
            item.node.written,
            item.node.typed,
            dataclasses.replace(entry.origin, line=item.line),
            entry.lenient,
            item.node.items,
        )
        if own.written is not None or own.origin.kind != "keyword":  # None: not given
            yield own.name, own


def _canonical(pool: str, own: Mapping[str, Entry], system: str) -> dict[str, Entry]:
    """Judge the names of a pool's keywords, place by place: each may have old names of its own."""
    found: dict[str, Entry] = {}
    for yaml in (True, False):
        entries = tuple(e for e in own.values() if (e.origin.kind != "keyword") is yaml)
        if entries:
            section = Section(pool, entries[0].origin, entries)
            found |= canonical(section, system=system, pool=True)
    return found


def _extended(
    pool: str, own: Mapping[str, Entry], names: Sequence[str], system: str, config: Config
) -> dict[str, Entry]:
    """Find what a pool has of the section that it extends, if the cluster has it not anyway."""
    entry = own.get(EXTENDS)
    if entry is None or is_unset(entry.written):
        return {}
    found: dict[str, Entry] = {}
    try:
        extended = chain(str(entry.written), None, config)
    except ConfigError as error:
        where = "" if entry.origin.kind == "keyword" else f"{entry.origin}: "
        raise ConfigError(f"{where}pool {pool!r}: extends: {error}") from None
    for name in reversed(extended):
        for source in config.sources if name not in names else ():
            if section := source.sections.get(name):
                kept = tuple(e for e in section.entries if e.name != POOLS)
                found |= _canonical(pool, {e.name: e for e in kept}, system)
    return found
