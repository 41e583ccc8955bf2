"""One section and a constructor's keywords → the validated values that a cluster is made from.

A value of a wrong type is an error wherever it stands, but only if it wins: nothing can be made of
it, and a guess would be worse.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobqueue.config import checks
from jobqueue.config.keywords import SYSTEMS, Keyword, default_of, keywords_of
from jobqueue.config.load import Config, Places, load
from jobqueue.config.merge import gather
from jobqueue.config.pools import POOLS, gather_pools, own_entries
from jobqueue.config.sections import Entry, Origin, section_key
from jobqueue.config.spelling import nearest
from jobqueue.config.values import is_unset
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError

_DEFAULT = Origin("default")


@dataclass(frozen=True)
class Resolved:
    """What a cluster is made from.

    Parameters
    ----------
    system
        The batch system: a key of `jobqueue.config.keywords.SYSTEMS`.
    section
        The configuration section that was read.
    values
        Every keyword of the batch system → its canonical value: counts as int, memory in bytes,
        walltime in seconds (None: the batch system's own limit), `death_timeout` in seconds, lists
        of text; None is unset.
    origins
        Where each value came from.
    pools
        The further pools by name, in the order of definition, each with all its values.
    entries
        What somebody has set, by keyword.
    config
        What was loaded.

    Examples
    --------
    >>> resolved = resolve("slurm", {"cores": 24, "memory": "100GB"}, system="slurm")
    >>> resolved.values["processes"], resolved.threads
    (6, 4)
    """

    system: str
    section: str
    values: dict[str, Any]
    origins: Mapping[str, Origin]
    pools: Mapping[str, Resolved] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict, repr=False)
    config: Config | None = field(default=None, repr=False)

    def place(self, keyword: str) -> str:
        """Return what a message about a keyword's value begins with: file and line, if it has them.

        "" for what was given in code: whoever reads the message sees it there.
        """
        origin = self.origins.get(keyword, _DEFAULT)
        return f"{origin}: " if origin.kind in ("file", "variable") else ""

    @property
    def threads(self) -> int:
        """Threads of each worker."""
        return int(self.values["cores"]) // int(self.values["processes"])


def resolve(
    section: str | None,
    keywords: Mapping[str, Any],
    *,
    system: str,
    config: Config | None = None,
) -> Resolved:
    """Merge defaults, configuration and keywords, and check the outcome.

    Parameters
    ----------
    section
        The section to read (`config_name`); None for the batch system's own.
    keywords
        What the constructor was given; None stands for "not given", an empty text for "unset".
    system
        The batch system: a key of `jobqueue.config.keywords.SYSTEMS`.
    config
        What was loaded; None reads all places now.

    Raises
    ------
    ConfigError
        One error that says which keyword, or which file, line and key, what is wrong, and what to
        write.

    Examples
    --------
    >>> resolve("slurm", {"cores": 4, "memory": "16GiB"}, system="slurm").values["memory"]
    17179869184
    """
    config = load() if config is None else config
    section = section or system
    entries = gather(section, keywords, system=system, config=config)
    values, origins = parse(entries, system, config.places)
    _check_required(values, entries, section, system, config)
    _settle(values, origins)
    pools = {
        name: _pool(name, own, entries, system, section, config)
        for name, own in gather_pools(section, keywords, system=system, config=config).items()
    }
    values["pools"] = {name: pool.values for name, pool in pools.items()}
    return Resolved(system, section, values, origins, pools, entries, config)


def resolve_pool(cluster: Resolved, name: str, keywords: Mapping[str, Any]) -> Resolved:
    """Return what a pool is made from: the values of its cluster, but for these.

    Parameters
    ----------
    cluster
        What its cluster was made from.
    name
        The pool's name.
    keywords
        Its own keywords, as in ``pools=`` of a cluster; ``extends`` names a section.

    Returns
    -------
    Resolved
        Whose values hold every keyword of the batch system, like those of a cluster, and the pool's
        name as `pool`.

    Raises
    ------
    ConfigError
        The name or a keyword can't be used for a pool.

    Examples
    --------
    >>> cluster = resolve("slurm", {"cores": 4, "memory": "16GiB"}, system="slurm")
    >>> resolve_pool(cluster, "wide", {"cores": 24}).values["processes"]
    6
    """
    config = load() if cluster.config is None else cluster.config
    system, section = cluster.system, cluster.section
    own = own_entries(name, keywords, section, system=system, config=config)
    return _pool(name, own, cluster.entries, system, section, config)


def _pool(
    name: str,
    own: Mapping[str, Entry],
    clusters: Mapping[str, Entry],
    system: str,
    section: str,
    config: Config,
) -> Resolved:
    entries = {**clusters, **own}
    for keyword, words in _ASKED_FOR.items():
        told = clusters.get(keyword)
        if told is not None and not is_unset(told.written) and keyword not in own:
            for changed in (word for word in words if word in own):
                warn(
                    f"pool {name!r} has {changed} of its own, but jobs still ask for "
                    f"{keyword}={told.written}, as the cluster's do ({told.origin}); give it for "
                    'the pool, too, or unset it there by ""'
                )
    try:
        values, origins = parse({**entries, POOLS: _NO_POOLS}, system, config.places)
        _settle(values, origins)
    except ConfigError as error:
        raise ConfigError(f"pool {name!r}: {error}") from None
    values["pool"] = name
    return Resolved(system, section, values, origins, {}, entries, config)


# What stands in directives in place of what follows from other keywords.
_ASKED_FOR = {
    "resource_spec": ("cores", "memory", "nodes"),
    "job_cpu": ("cores",),
    "ncpus": ("cores",),
    "job_mem": ("memory",),
    "mem": ("memory",),
}
_NO_POOLS = Entry("pools", None, None, _DEFAULT)


def parse(
    entries: Mapping[str, Entry], system: str, places: Places
) -> tuple[dict[str, Any], dict[str, Origin]]:
    """Bring each keyword of a batch system to its canonical value, and tell where it came from.

    Raises
    ------
    ConfigError
        One line for each value that is not what its keyword takes.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    wrong: list[str] = []
    for name, row in keywords_of(system).items():
        values[name], origins[name] = default_of(row), _DEFAULT
        entry = entries.get(name) or _from_variable(row, places)
        if entry is None or (is_unset(entry.written) and row.null == "default"):
            continue
        try:
            values[name], origins[name] = _value(row, entry, places), entry.origin
        except ValueError as error:
            where = "" if entry.origin.kind == "keyword" else f"{entry.origin}: "
            wrong.append(f"{where}{entry.key}: {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return values, origins


def _value(row: Keyword, entry: Entry, places: Places) -> Any:
    value = row.parse(entry.typed if row.typed else entry.written)
    if value is None or not row.path:
        return value
    path = _expand(value, places)
    if row.path == "folder":
        return os.path.abspath(path)
    in_file = entry.origin.kind == "file"
    path = os.path.abspath(Path(entry.origin.where).parent / path if in_file else path)
    if not os.path.isfile(path):
        raise ValueError(f"there is no file {path}")
    return path


def _from_variable(row: Keyword, places: Places) -> Entry | None:
    text = places.environ.get(row.variable) if row.variable else None
    return Entry(row.name, text, text, Origin("variable", row.variable)) if text else None


def _expand(path: str, places: Places) -> str:
    """Replace ``~`` and variables by what they are on this side, where the path is used."""

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in places.environ:
            return places.environ[name]
        if name == "USER":  # containers and cron jobs lack it
            import getpass

            return getpass.getuser()
        raise ValueError(f"{path!r}: the variable {name} is not set here, where the path is used")

    expanded = re.sub(r"\$(?:\{(\w+)\}|(\w+))", variable, path)
    if expanded == "~" or expanded.startswith("~/"):
        return f"{places.home}{expanded[1:]}"
    return os.path.expanduser(expanded)


_EXAMPLES = {"cores": "24", "memory": '"100GB"'}


def _check_required(
    values: Mapping[str, Any],
    entries: Mapping[str, Entry],
    section: str,
    system: str,
    config: Config,
) -> None:
    rows = keywords_of(system).values()
    missing = [row for row in rows if row.required and values[row.name] is None]
    if not missing:
        return
    names = " and ".join(row.name for row in missing)
    python = ", ".join(f"{row.name}={_EXAMPLES[row.name]}" for row in missing)
    yaml = " and ".join(f"`{row.spelling}: {_EXAMPLES[row.name]}`" for row in missing)
    empty = [str(entries[row.name].origin) for row in missing if row.name in entries]
    without = f" (left empty at {', '.join(empty)})" if empty else ""
    raise ConfigError(
        f"{SYSTEMS[system]} needs {names}{without}: pass {python}, or write {yaml} below "
        f"{_section_place(section, config)}{_not_read(section, system, config)}"
    )


def _section_place(section: str, config: Config) -> str:
    """Where a value for this section can be written: in the file that has it, or a new one."""
    found = [source.sections.get(section_key(section)) for source in reversed(config.sources)]
    files = [s.origin for s in found if s is not None and s.origin.kind == "file"]
    if files:
        return f"`{section}:` at {files[0]}"
    return f"`jobqueue:` and `{section}:` in {config.places.home}/.config/jobqueue/jobqueue.yaml"


def _not_read(section: str, system: str, config: Config) -> str:
    """Point at what was perhaps meant: a section of a similar name, or one in a wrong place."""
    similar = {
        f"`{found.name}:` at {found.origin} (choose it by config_name)": None
        for source in config.sources
        for name, found in source.sections.items()
        if name not in SYSTEMS and name != section_key(section) and nearest(section, [name])
    }
    strays = [stray for source in config.sources for stray in source.strays]
    ours = [stray for stray in strays if stray.path.endswith(f".{system}")]
    meant = [*similar, *(f"`{s.path}:` at {s.origin}" for s in ours or strays)]
    if not meant:
        return ""
    more = f" and {len(meant) - 3} more" if len(meant) > 3 else ""
    return f". Found, but not read where it stands: {', '.join(meant[:3])}{more}"


def _settle(values: dict[str, Any], origins: Mapping[str, Origin]) -> None:
    """Choose what depends on other values where it is open, and hold them against each other."""
    _settle_processes(values, origins)
    with _told(origins, "walltime_margin", "walltime"):
        checks.check_margin(values["walltime_margin"], values["walltime"])


def _settle_processes(values: dict[str, Any], origins: Mapping[str, Origin]) -> None:
    """Choose the number of processes where it is open, and hold it against the cores."""
    cores, processes, nodes = values["cores"], values["processes"], values["nodes"]
    resources = values["resources"]
    with _told(origins, "cores", "processes", "nodes"):
        checks.check_nodes(nodes, cores=cores, processes=processes)
    with _told(origins, "resources", "nodes", "processes"):
        if processes is None:
            values["processes"] = checks.default_processes(cores, nodes=nodes, resources=resources)
            return
        checks.check_shares(resources, processes, "processes")
    with _told(origins, "cores", "processes"):
        checks.check_processes(cores, processes)
    if idle := checks.idle_warning(cores, processes):
        warn(idle)


@contextlib.contextmanager
def _told(origins: Mapping[str, Origin], *names: str) -> Iterator[None]:
    """Say of an error where the values that it is about come from."""
    try:
        yield
    except ConfigError as error:
        told = {str(origins[name]): 0 for name in names if origins[name].kind != "default"}
        told.pop("keyword", None)
        raise ConfigError(": ".join([*([", ".join(told)] if told else []), str(error)])) from None
