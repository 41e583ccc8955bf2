"""The tree of one file → its sections, and what is wrong with its shape.

The shape that counts is ``jobqueue:`` at the top, sections below it, keys below those. Sections
that are for some machines only stand below ``sites:`` and a pattern of host names. Real files
miss it in a few ways (a section's keys beside it instead of below, no ``jobqueue:``, host names on
top), and then values that somebody wrote down would be lost without a word. So each deviation is
found here and told with file, line and remedy.

How strict: our own folders hold nothing but our configuration, and everything unknown there is an
error. Files in dask's folders were written for other programs too and work today, so what is not
known there must not stop them: it is told in a warning. The exception is a mis-indented section:
its values are plainly meant, and no cluster can be made as its author wished; that is an error in
both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from jobqueue.config.hosts import Host
from jobqueue.config.keywords import ALL_NAMES, SYSTEMS
from jobqueue.config.nodes import Item, Node
from jobqueue.config.spelling import did_you_mean, nearest, normal

ROOT = "jobqueue"
SITES = "sites"

# Top levels that other programs own and that real files hold beside ours.
_FOREIGN = frozenset(
    """
    admin array config coiled dask dask_gateway dataframe dataset diagnostics distributed gateway
    kubernetes labextension logging optimization rmm scheduler temporary_directory tokenize ucx
    visualization worker yarn
    """.split()  # noqa: SIM905 - a list of 23 quoted words is hard to read
)

# A mapping that holds two of these is meant as a section.
_SIGNATURE = frozenset({"cores", "memory", "processes", "queue", "walltime"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from."""

    kind: Literal["default", "file", "variable", "set", "keyword"]
    where: str = ""
    line: int | None = None

    def __str__(self) -> str:
        match self.kind:
            case "file":
                return self.where if self.line is None else f"{self.where}:{self.line}"
            case "variable":
                return f"variable {self.where}"
            case "set":
                return "jobqueue.config.set"
            case kind:
                return kind


@dataclass(frozen=True, slots=True)
class Entry:
    """One value somebody gave for a key.

    `key` is as written; `lenient` means that it comes from a place shared with dask. `items` are
    the entries of a mapping in a file.
    """

    key: str
    written: Any
    typed: Any
    origin: Origin
    lenient: bool = False
    items: tuple[Item, ...] | None = None

    @property
    def name(self) -> str:
        """The key as a Python name."""
        return normal(self.key)


@dataclass(frozen=True, slots=True)
class Section:
    """One section of one source."""

    name: str
    origin: Origin
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the configuration; a fatal one is an error, the others are warnings."""

    text: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A mapping that looks like a section and stands where nobody reads it.

    `elsewhere` says that it is read, on machines whose names are like a pattern of ``sites:``.
    """

    path: str
    origin: Origin
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What one place (a file, the variables, `jobqueue.config.set`) holds.

    `here` is what a file has for this machine alone, from low to high; the paths of the sections
    that are for other machines only are among the `strays`.
    """

    label: str
    sections: dict[str, Section] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    strays: tuple[Stray, ...] = ()
    here: tuple[Source, ...] = ()


def source_of_file(root: Node, path: str, *, lenient: bool, host: Host | None = None) -> Source:
    """Find the sections of a file and the faults of its shape.

    Parameters
    ----------
    root
        The whole document.
    path
        For messages.
    lenient
        Whether the file lies in a folder shared with dask.
    host
        The machine for which the file is read.
    """
    reader = _FileReader(path, lenient, host or Host())
    reader.read(root)
    return Source(
        path,
        reader.sections,
        tuple(reader.problems),
        tuple(reader.strays),
        tuple(Source(path, sections) for sections in reader.here),
    )


class _FileReader:
    def __init__(self, path: str, lenient: bool, host: Host) -> None:
        self._path = path
        self._lenient = lenient
        self._host = host
        self.sections: dict[str, Section] = {}
        self.here: list[dict[str, Section]] = []
        self._beside_root: list[tuple[Item, str]] = []
        self.problems: list[Problem] = []
        self.strays: list[Stray] = []

    def read(self, root: Node) -> None:
        if root.written is None:
            return
        if root.items is None:
            self._problem(root.line, f"the file must begin with '{ROOT}:'", fatal=True)
            return
        for item in root.items:
            if normal(item.key) == ROOT:
                self._read_root(item)
            elif not self._read_named_after_machines(item):
                self.strays += self._strays(item, item.key)
                self._top_level(item)
        if self._beside_root:
            self._not_root(self._beside_root)

    def _not_root(self, entries: list[tuple[Item, str]]) -> None:
        """Say once what is wrong with sections that stand below other keys than the root."""
        item, inner = entries[0]
        also = f", nor are {len(entries) - 1} more keys" if len(entries) > 1 else ""
        self._problem(
            item.line,
            f"'{item.key}' is not '{ROOT}'{also}; if it is a name of machines, write it below "
            f"'{ROOT}:' and '{SITES}:', as '{item.key}*:'; else write its section {inner!r} "
            f"below '{ROOT}:' under a name of its own, and choose it by config_name",
        )

    def _read_named_after_machines(self, item: Item) -> bool:
        """Read an entry that begins this machine's name, and tell whether it is one.

        In files of dask's folders, sites have names of machines at the top, which code of their own
        reads.
        """
        if not self._lenient or not _holds_systems(item) or not self._host.matches(f"{item.key}*"):
            return False
        self.here.append(self._sections_of(item))
        return True

    def _top_level(self, item: Item) -> None:
        """An entry beside ``jobqueue:``."""
        name = normal(item.key)
        misspelt = nearest(item.key, [ROOT]) is not None and _holds_systems(item)
        if name in ALL_NAMES or (name in SYSTEMS and _holds_keywords(item)):
            below = f"'{ROOT}:'" if name in SYSTEMS else f"'{ROOT}:' and a section such as 'slurm:'"
            self._problem(
                item.line,
                f"'{item.key}' stands at the top level and is not read; put it below {below}",
            )
        elif name in _FOREIGN or (self._lenient and not misspelt):
            return
        elif not misspelt and (meant := self._strays(item, item.key)):
            self._beside_root.append((item, meant[0].path.rpartition(".")[2]))
        else:
            hint = did_you_mean(item.key, [ROOT]) or f"; only '{ROOT}' is read here"
            self._problem(item.line, f"unknown top level '{item.key}'{hint}")

    def _read_root(self, root: Item) -> None:
        if root.node.written is None:
            return
        if root.node.items is None:
            self._problem(root.line, f"'{ROOT}:' must hold sections such as 'slurm:'", fatal=True)
            return
        misplaced: list[Item] = []
        for item in root.node.items:
            if normal(item.key) in ALL_NAMES:
                misplaced.append(item)
            elif normal(item.key) == SITES:
                self._read_sites(item)
            elif item.node.items is not None or item.node.written is None:
                self._read_section(item)
            else:
                hint = did_you_mean(item.key, ALL_NAMES)
                self._problem(item.line, f"'{item.key}' below '{ROOT}:' is not a section{hint}")
        if misplaced:
            self._misplaced(root.node.items, misplaced)

    def _read_sites(self, sites: Item) -> None:
        """Sections for some machines: a mapping from patterns of host names to sections."""
        if sites.node.items is None and sites.node.written is not None:
            self._problem(
                sites.line, f"'{SITES}:' must hold patterns of host names, such as 'login*:'"
            )
        for site in sites.node.items or ():
            if site.node.items is None or any(normal(i.key) in ALL_NAMES for i in site.node.items):
                self._problem(
                    site.line,
                    f"'{site.key}' below '{SITES}:' must be a pattern of host names, and hold "
                    "sections such as 'slurm:'",
                )
            elif self._host.matches(site.key):
                self.here.append(self._sections_of(site))
            else:
                self.strays += [
                    Stray(f"{SITES}.{site.key}.{inner.key}", self._origin(inner.line), True)
                    for inner in site.node.items
                ]

    def _sections_of(self, item: Item) -> dict[str, Section]:
        """Read the sections of one site, apart from those for all."""
        general, self.sections = self.sections, {}
        for inner in item.node.items or ():
            if inner.node.items is not None or inner.node.written is None:
                self._read_section(inner)
            else:
                self._problem(inner.line, f"'{inner.key}' below '{item.key}:' is not a section")
        own, self.sections = self.sections, general
        return own

    def _misplaced(self, items: tuple[Item, ...], misplaced: list[Item]) -> None:
        """Keys of a section that stand beside it."""
        empty = [item.key for item in items if item.node.written is None and item not in misplaced]
        first, several = misplaced[0], len(misplaced) > 1
        what = f"'{first.key}'" + (f" and {len(misplaced) - 1} more keys" if several else "")
        beside = f"beside '{empty[0]}:', which is empty" if empty else "where sections stand"
        it = "them" if several else "it"
        remedy = f"indent {it} below '{empty[0]}:'" if empty else f"indent {it} below a section"
        stand = "stand" if several else "stands"
        self._problem(first.line, f"{what} below '{ROOT}:' {stand} {beside}; {remedy}", fatal=True)

    def _read_section(self, item: Item) -> None:
        name = section_key(item.key)
        if name in self.sections:
            self._problem(
                item.line, f"the section '{item.key}' is here for the second time; join them"
            )
        entries: dict[str, Entry] = {}
        for inner in item.node.items or ():
            entry = Entry(
                inner.key,
                inner.node.written,
                inner.node.typed,
                self._origin(inner.line),
                self._lenient,
                inner.node.items,
            )
            twice = entries.get(entry.name)
            if twice and twice.written != entry.written and (twice.written or entry.written):
                self._problem(
                    inner.line,
                    f"'{inner.key}' in section '{item.key}' is here for the second time (first at "
                    f"line {twice.origin.line}); remove one",
                )
            entries[entry.name] = entry
            if normal(inner.key) not in ALL_NAMES:
                self.strays += self._strays(inner, f"{ROOT}.{item.key}.{inner.key}")
        self.sections[name] = Section(item.key, self._origin(item.line), tuple(entries.values()))

    def _strays(self, item: Item, path: str) -> list[Stray]:
        return [Stray(where, self._origin(line)) for where, line in _section_like(item, path)]

    def _origin(self, line: int | None) -> Origin:
        return Origin("file", self._path, line)

    def _problem(self, line: int | None, text: str, *, fatal: bool = False) -> None:
        self.problems.append(Problem(f"{self._origin(line)}: {text}", fatal or not self._lenient))


def section_key(name: str) -> str:
    """The name under which a section is found.

    ``-``, ``_`` and case don't matter, so that a variable can name any section.
    """
    return normal(name).lower()


def _holds_keywords(item: Item) -> bool:
    return any(normal(inner.key) in ALL_NAMES for inner in item.node.items or ())


def _holds_systems(item: Item) -> bool:
    return any(normal(inner.key) in SYSTEMS for inner in item.node.items or ())


def _section_like(item: Item, path: str, depth: int = 3) -> Iterator[tuple[str, int | None]]:
    if item.node.items is None or depth == 0:
        return
    names = {normal(inner.key) for inner in item.node.items}
    if len(names & _SIGNATURE) >= 2:
        yield path, item.line
        return
    for inner in item.node.items:
        yield from _section_like(inner, f"{path}.{inner.key}", depth - 1)
