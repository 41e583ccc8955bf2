"""One section and a constructor's keywords → the validated values that a cluster is made from.

Keywords win over `jobqueue.config.set`, that over variables and files, those over the defaults. A
section may say ``extends: other``; whatever stands in it, in whichever file, wins over the section
that it extends.

What is not known in a section is an error where the file is ours, a warning where it lies in one of
dask's folders: real files there hold keys that nobody ever read, and they must go on working. A
value of a wrong type is an error wherever it stands, but only if it is used: nothing can be made of
it, and a guess would be worse.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobqueue.config import checks
from jobqueue.config.keywords import (
    KEYWORDS,
    SYSTEMS,
    Keyword,
    aliases_of,
    default_of,
    keywords_of,
)
from jobqueue.config.load import Config, load
from jobqueue.config.sections import (
    Entry,
    Origin,
    Problem,
    did_you_mean,
    nearest,
    section_key,
)
from jobqueue.config.values import is_unset
from jobqueue.config.warn import deprecated, warn
from jobqueue.errors import ConfigError

EXTENDS = "extends"
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

    @property
    def threads(self) -> int:
        """Threads of each worker."""
        return int(self.values["cores"]) // int(self.values["processes"])

    def is_default(self, name: str) -> bool:
        """Whether nobody has set this keyword."""
        return self.origins[name].kind == "default"


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
    entries = gather(section, keywords, system=system, config=config)
    values, origins = _parse(entries, system, config)
    _check_required(values, section or system, system, config)
    _settle_processes(values, origins)
    return Resolved(system, section or system, values, origins)


def gather(
    section: str | None, keywords: Mapping[str, Any], *, system: str, config: Config
) -> dict[str, Entry]:
    """Find the winning entry of each keyword that somebody has set, by canonical name."""
    problems = list(config.problems)
    winners: dict[str, Entry] = {}
    for name in reversed(chain(section or system, config, required=section not in (None, system))):
        for source in config.sources:
            if found := source.sections.get(name):
                winners |= _canonical(found.entries, found.name, system, problems)
    given = tuple(
        Entry(name, value, value, Origin("keyword"))
        for name, value in keywords.items()
        if value is not None
    )
    winners |= _canonical(given, None, system, problems)
    report(problems)
    return winners


def chain(section: str, config: Config, *, required: bool) -> list[str]:
    """List a section and those it extends, nearest first.

    Raises
    ------
    ConfigError
        If one of them doesn't exist, or they extend each other in a circle.
    """
    known = {name: found for source in config.sources for name, found in source.sections.items()}
    names = [section_key(section)]
    asked_by = ""
    while True:
        name = names[-1]
        if name not in known and (asked_by or required) and name not in SYSTEMS:
            hint = did_you_mean(name, [*known, *SYSTEMS])
            there = f" (sections: {', '.join(known)})" if known else " (no sections at all)"
            raise ConfigError(
                f"{asked_by}there is no section {name!r} in the configuration{hint}{there}"
            )
        base = _extends(name, config)
        if base is None:
            return names
        asked_by = f"{base.origin}: extends: {base.written}: "
        if not isinstance(base.written, str):
            raise ConfigError(f"{asked_by}write the name of one section")
        if section_key(base.written) in names:
            raise ConfigError(
                f"{asked_by}sections extend each other in a circle: {' → '.join(names)}"
            )
        names.append(section_key(base.written))


def _extends(name: str, config: Config) -> Entry | None:
    said = [
        entry
        for source in config.sources
        if name in source.sections
        for entry in source.sections[name].entries
        if entry.name == EXTENDS
    ]
    return said[-1] if said and not is_unset(said[-1].written) else None


def report(problems: Iterable[Problem]) -> None:
    """Raise one error for all that is fatal, warn about the rest."""
    fatal = [problem.text for problem in problems if problem.fatal]
    if fatal:
        raise ConfigError("\n".join(dict.fromkeys(fatal)))
    for problem in problems:
        warn(problem.text)


def _canonical(
    entries: Iterable[Entry], section: str | None, system: str, problems: list[Problem]
) -> dict[str, Entry]:
    """The entries of one section of one source (or the keywords) by canonical name."""
    rows = keywords_of(system)
    aliases = aliases_of(system, yaml=section is not None)
    direct: dict[str, Entry] = {}
    renamed: list[Entry] = []
    for entry in entries:
        if entry.name in aliases:
            renamed.append(entry)
        elif entry.name in rows and (section is None or rows[entry.name].place == "anywhere"):
            direct[entry.name] = entry
        elif section is None or entry.name != EXTENDS:
            problems.append(_unknown(entry, section, system))
    for entry in renamed:
        alias = aliases[entry.name]
        if entry.written is None or (_empty(entry) and alias.new in direct):
            continue  # a left-over of the packaged defaults that sites copied
        if alias.new in direct and not _empty(direct[alias.new]) and alias.deprecated:
            new, old = spell(alias.new, section), spell(entry.key, section)
            text = f"{_at(entry, section)}{new} and {old}, its old name, are both given; keep {new}"
            problems.append(Problem(text, fatal=not entry.lenient))
        elif alias.deprecated or alias.new not in direct:
            direct[alias.new] = entry
        if alias.deprecated and not _empty(entry):
            new, old = spell(alias.new, section), spell(entry.key, section)
            deprecated(f"{_at(entry, section)}{old} is an old name; write {new}")
    return direct


def _empty(entry: Entry) -> bool:
    return is_unset(entry.written) or entry.written in ([], {}, ())


def spell(name: str, section: str | None) -> str:
    """A keyword's name as its reader writes it: in YAML, or in Python."""
    return name.replace("_", "-") if section is not None else name.replace("-", "_")


def _at(entry: Entry, section: str | None) -> str:
    return "" if section is None else f"{entry.origin}: section '{section}': "


def _unknown(entry: Entry, section: str | None, system: str) -> Problem:
    key = spell(entry.key, section)
    cls = SYSTEMS[system]
    others = sorted({SYSTEMS[s] for row in KEYWORDS if row.name == entry.name for s in row.systems})
    if section is not None and entry.name in SYSTEMS:
        fact = f"'{key}' is a section of its own; it stands one level too deep"
    elif section is not None and entry.name in keywords_of(system):
        fact = f"'{key}' can't be set in a file; pass it to {cls}"
    elif others:
        fact = f"'{key}' is no keyword of {cls}, but of {', '.join(others)}"
    else:
        # A near old name is told as the new one.
        aliases = aliases_of(system, yaml=section is not None)
        near = nearest(entry.key, [*keywords_of(system), *aliases, EXTENDS])
        near = aliases[near].new if near is not None and near in aliases else near
        hint = f"; did you mean '{spell(near, section)}'?" if near else ""
        fact = f"'{key}' is no keyword of {cls}{hint}"
    return Problem(f"{_at(entry, section)}{fact}", fatal=not entry.lenient)


def _parse(
    entries: Mapping[str, Entry], system: str, config: Config
) -> tuple[dict[str, Any], dict[str, Origin]]:
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    wrong: list[str] = []
    for name, row in keywords_of(system).items():
        entry = entries.get(name) or _from_variable(row, config)
        values[name], origins[name] = default_of(row), _DEFAULT
        if entry is None:
            continue
        try:
            value = row.parse(entry.typed if row.typed else entry.written)
            if row.path and value is not None:
                value = _expand_path(value, _base(row, entry), config.places.environ)
        except ValueError as error:
            wrong.append(f"{_where(entry)}: {error}")
            continue
        if not _empty(entry) or row.null == "none":
            values[name], origins[name] = value, entry.origin
        elif entry.written is not None:
            origins[name] = entry.origin
    if wrong:
        raise ConfigError("\n".join(wrong))
    return values, origins


def _where(entry: Entry) -> str:
    if entry.origin.kind == "keyword":
        return entry.key
    return f"{entry.origin}: {entry.key}"


def _from_variable(row: Keyword, config: Config) -> Entry | None:
    text = config.places.environ.get(row.variable) if row.variable else None
    return Entry(row.name, text, text, Origin("variable", row.variable)) if text else None


def _base(row: Keyword, entry: Entry) -> Path:
    if row.path == "beside" and entry.origin.kind == "file":
        return Path(entry.origin.where).resolve().parent
    return Path.cwd()


def _expand_path(text: str, base: Path, environ: Mapping[str, str]) -> str:
    """Make a path absolute on this side, where ``~`` and variables must have values."""

    def variable(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in environ:
            return environ[name]
        if name == "USER":  # absent in containers and under cron
            return getpass.getuser()
        raise ValueError(f"{text!r}: the variable {name} is not set here, where the path is made")

    path = re.sub(r"\$(?:\{(\w+)\}|(\w+))", variable, text)
    if path.startswith("~/") or path == "~":
        path = environ.get("HOME", os.path.expanduser("~")) + path[1:]
    return os.path.abspath(base / os.path.expanduser(path))


def _check_required(values: Mapping[str, Any], section: str, system: str, config: Config) -> None:
    missing = [
        row for row in keywords_of(system).values() if row.required and values[row.name] is None
    ]
    if not missing:
        return
    names = " and ".join(row.name for row in missing)
    python = ", ".join(f"{row.name}={_EXAMPLES[row.name]}" for row in missing)
    yaml = ", ".join(f"{row.spelling}: {_EXAMPLES[row.name]}" for row in missing)
    raise ConfigError(
        f"{SYSTEMS[system]} needs {names}: pass {python}, or write {yaml} below 'jobqueue:' and "
        f"'{section}:' in {config.places.home}/.config/jobqueue/jobqueue.yaml"
        f"{_unread_sections(section, system, config)}"
    )


_EXAMPLES = {"cores": "24", "memory": '"100GB"'}


def _unread_sections(section: str, system: str, config: Config) -> str:
    """Point at what was perhaps meant: a section with a similar name, or one in a wrong place."""
    meant: list[str] = []
    for source in config.sources:
        for name, found in source.sections.items():
            if name not in SYSTEMS and name != section_key(section) and nearest(section, [name]):
                meant.append(f"a section {found.name!r} at {found.origin}")
        strays = [stray for stray in source.strays if stray.path.endswith(f".{system}")]
        meant += [f"{stray.path!r} at {stray.origin}" for stray in strays or source.strays]
    if not meant:
        return ""
    more = f", and {len(meant) - 3} more" if len(meant) > 3 else ""
    return (
        f". Not read, since not below 'jobqueue:' or not of this name: {', '.join(meant[:3])}{more}"
    )


def _settle_processes(values: dict[str, Any], origins: Mapping[str, Origin]) -> None:
    cores, processes = values["cores"], values["processes"]
    if processes is None:
        values["processes"] = checks.default_processes(cores)
        return
    try:
        checks.check_processes(cores, processes)
    except ConfigError as error:
        told = {str(origins[name]) for name in ("cores", "processes")} - {"keyword", "default"}
        raise ConfigError(f"{', '.join(sorted(told))}: {error}" if told else str(error)) from None
    if idle := checks.idle_cores(cores, processes):
        warn(
            f"processes={processes} on cores={cores} give {cores // processes} threads each and "
            f"leave {idle} {'core' if idle == 1 else 'cores'} idle; choose a divisor of {cores}"
        )
