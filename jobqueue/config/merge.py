"""Which entry wins for each keyword: sections over those they extend, high places over low ones.

Here names are judged. What is not known in a section is an error where the file is ours, a warning
where it lies in one of dask's folders: real files there hold keys that nobody ever read, and they
must go on working.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from jobqueue.config.keywords import (
    KEYWORDS,
    SYSTEMS,
    Alias,
    aliases_of,
    keywords_of,
)
from jobqueue.config.load import Config
from jobqueue.config.sections import (
    Entry,
    Origin,
    Problem,
    Section,
    section_key,
)
from jobqueue.config.spelling import did_you_mean, nearest
from jobqueue.config.values import is_unset
from jobqueue.config.warn import deprecated, warn
from jobqueue.errors import ConfigError

EXTENDS = "extends"

_MISSPELT = 0.8
"""How alike sections are to batch systems, by difflib, that are taken for them, misspelt."""


def gather(
    section: str | None, keywords: Mapping[str, Any], *, system: str, config: Config
) -> dict[str, Entry]:
    """Find the winning entry of each keyword that somebody has set, by canonical name.

    Raises
    ------
    ConfigError
        If a name is not known, a section doesn't exist, or a file has a wrong shape; warns of what
        can be lived with.
    """
    names = chain(section or system, system, config)
    problems = [*config.problems, *_misspelt_sections(config, names)]
    winners: dict[str, Entry] = {}
    for name in reversed(names):
        for source in config.sources:
            if found := source.sections.get(name):
                winners |= _names(system, found, problems).canonical(found.entries)
    given = [
        Entry(name, value, value, Origin("keyword"))
        for name, value in keywords.items()
        if value is not None
    ]
    winners |= _Names(system, "", problems, yaml=False).canonical(given)
    _report(problems)
    return winners


def canonical(section: Section, *, system: str, pool: bool = False) -> dict[str, Entry]:
    """Find the entries of one section by canonical name, as one batch system's cluster takes them.

    Parameters
    ----------
    pool
        Whether it is a pool's part of a section, or of a constructor's keywords.

    Raises
    ------
    ConfigError
        If a name is not known.
    """
    problems: list[Problem] = []
    found = _names(system, section, problems, pool=pool).canonical(section.entries)
    _report(problems)
    return found


def chain(section: str, system: str | None, config: Config) -> list[str]:
    """List a section and those it extends, nearest first.

    The batch system's own section need not exist, nor one of a batch system that is extended.

    Raises
    ------
    ConfigError
        If a section doesn't exist, or they extend each other in a circle.
    """
    known = {name: found for source in config.sources for name, found in source.sections.items()}
    names = [section_key(section)]
    written = section
    may_lack: set[str | None] = {system}
    asked_by = ""
    while True:
        if names[-1] not in known and names[-1] not in may_lack:
            own = [found.name for found in known.values()]
            hint = did_you_mean(written, [*own, *SYSTEMS])
            there = f"sections: {', '.join(own)}" if own else "there are none"
            raise ConfigError(
                f"{asked_by}no section {written!r} in the configuration{hint} ({there})"
                f"{_elsewhere(names[-1], config)}"
            )
        base = _extends(names[-1], config)
        if base is None:
            return names
        asked_by = f"{base.origin}: extends: {base.written}: "
        if not isinstance(base.written, str):
            raise ConfigError(f"{asked_by}write the name of one section")
        written = base.written
        names.append(section_key(written))
        if names[-1] in names[:-1]:
            circle = " → ".join(names)
            raise ConfigError(f"{asked_by}sections extend each other in a circle: {circle}")
        may_lack = set(SYSTEMS)


def _elsewhere(name: str, config: Config) -> str:
    """Tell where a section of this name stands that is not read, or on other machines only."""
    strays = [
        stray
        for source in config.sources
        for stray in source.strays
        if name in map(section_key, stray.path.split("."))
    ]
    text = ""
    for elsewhere, fact in _STRAYS.items():
        found = [each for each in strays if each.elsewhere is elsewhere][:3]
        where = ", ".join(f"`{each.path}:` at {each.origin}" for each in found)
        text += f"; {fact}: {where}" if found else ""
    return text


_STRAYS = {
    True: "found, but not for this machine",
    False: "found, but not read where it stands (write it below `jobqueue:`)",
}


def _extends(name: str, config: Config) -> Entry | None:
    said = [
        entry
        for source in config.sources
        if name in source.sections
        for entry in source.sections[name].entries
        if entry.name == EXTENDS
    ]
    return said[-1] if said and not is_unset(said[-1].written) else None


def _misspelt_sections(config: Config, used: Collection[str]) -> Iterator[Problem]:
    """Find sections that are read by nobody, since a batch system's name is misspelt.

    A section that is `used`, extended or extends another is its author's own, and so is one whose
    name holds that of a batch system: "slurm-gpu".
    """
    sections = {
        name: found
        for source in config.sources
        for name, found in source.sections.items()
        if found.origin.kind == "file"
    }
    bases = {name: _extends(name, config) for name in sections}
    extended = {section_key(str(base.written)) for base in bases.values() if base}
    for name, found in sections.items():
        if name in used or name in extended or bases[name] or any(s in name for s in SYSTEMS):
            continue
        if meant := _misspelt(name):
            yield Problem(
                f"{found.origin}: nothing reads the section '{found.name}'; did you mean "
                f"'{meant}'? If it is one of your own, choose it by config_name",
                fatal=False,
            )


def _misspelt(name: str) -> str | None:
    """The batch system that is meant by letters that are a few off, or in another order."""
    for system in SYSTEMS:
        if sorted(system) == sorted(name):
            return system
    return nearest(name, SYSTEMS, _MISSPELT)


def _report(problems: Iterable[Problem]) -> None:
    """Raise one error for all that is fatal, else warn about the rest."""
    fatal = [problem.text for problem in problems if problem.fatal]
    if fatal:
        raise ConfigError("\n".join(dict.fromkeys(fatal)))
    for problem in problems:
        warn(problem.text)


def is_empty(entry: Entry) -> bool:
    """Whether an entry is unset, or a list or mapping without members."""
    value = entry.written
    return is_unset(value) or (isinstance(value, list | tuple | dict) and not value)


def _names(system: str, section: Section, problems: list[Problem], *, pool: bool = False) -> _Names:
    label = f"{'pool' if pool else 'section'} '{section.name}': "
    yaml = section.origin.kind != "keyword"
    return _Names(system, label, problems, yaml=yaml, pool=pool)


class _Names:
    """Makes names canonical: those of a section (`yaml`), or of a constructor's keywords.

    Parameters
    ----------
    label
        What messages begin with, after file and line.
    pool
        Whether they are a pool's own, which can't hold what all pools share.
    """

    def __init__(
        self, system: str, label: str, problems: list[Problem], *, yaml: bool, pool: bool = False
    ) -> None:
        self._system = system
        self._label = label
        self._problems = problems
        self._yaml = yaml
        self._pool = pool
        self._rows = keywords_of(system)
        self._aliases = aliases_of(system, yaml=yaml)

    def canonical(self, entries: Iterable[Entry]) -> dict[str, Entry]:
        direct: dict[str, Entry] = {}
        renamed: list[tuple[Alias, Entry]] = []
        for entry in entries:
            if entry.name in self._aliases:
                renamed.append((self._aliases[entry.name], entry))
            elif self._takes(entry.name):
                direct[entry.name] = entry
            elif entry.name != EXTENDS or not (self._yaml or self._pool):
                self._problem(entry, self._unknown(entry))
        for alias, entry in renamed:
            self._rename(alias, entry, direct)
        return direct

    def _takes(self, name: str) -> bool:
        row = self._rows.get(name)
        if row is None or (self._pool and row.shared):
            return False
        return row.place == "anywhere" or not (self._yaml or self._pool)

    def _rename(self, alias: Alias, entry: Entry, direct: dict[str, Entry]) -> None:
        """Put an entry under its keyword's own name.

        An empty one beside the new name is a left-over: sites copied whole files of defaults.
        """
        rival = direct.get(alias.new)
        if entry.written is None or (rival is not None and is_empty(entry)):
            return
        if rival is None or is_empty(rival):
            direct[alias.new] = entry
        elif alias.deprecated:
            new, old = self._spell(alias.new), self._spell(entry.key)
            self._problem(entry, f"'{new}' and '{old}', its old name, are both given; keep '{new}'")
        if alias.deprecated and not is_empty(entry):
            new, old = self._spell(alias.new), self._spell(entry.key)
            deprecated(f"{self._at(entry)}'{old}' is an old name; write '{new}'")

    def _unknown(self, entry: Entry) -> str:
        key, cls = self._spell(entry.key), SYSTEMS[self._system]
        others = {SYSTEMS[s]: 0 for row in KEYWORDS if row.name == entry.name for s in row.systems}
        if self._yaml and entry.name in SYSTEMS:
            return f"'{key}' is a section; it stands one level too deep"
        if entry.name in self._rows and self._pool:
            return f"'{key}' is the same for all pools of a cluster; give it beside 'pools'"
        if entry.name in self._rows:
            return f"'{key}' can't be set here; pass it to {cls}"
        if others:
            return f"'{key}' is no keyword of {cls}, but of {', '.join(others)}"
        near = nearest(entry.key, [*self._rows, *self._aliases, EXTENDS])
        if near is not None and near in self._aliases:
            near = self._aliases[near].new
        hint = f"; did you mean '{self._spell(near)}'?" if near else ""
        return f"'{key}' is no keyword of {cls}{hint}"

    def _problem(self, entry: Entry, fact: str) -> None:
        self._problems.append(Problem(f"{self._at(entry)}{fact}", fatal=not entry.lenient))

    def _spell(self, name: str) -> str:
        """A name as its reader writes it: in YAML, or in Python."""
        return name.replace("_", "-") if self._yaml else name.replace("-", "_")

    def _at(self, entry: Entry) -> str:
        return f"{entry.origin}: {self._label}" if self._yaml else self._label
