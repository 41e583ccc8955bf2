"""Where configuration is looked for, and in which order.

From low to high, the later winning value by value:

1. the defaults, which stand in `jobqueue.config.keywords`;
2. dask's places, of which only the ``jobqueue:`` key counts: ``/etc/dask`` (or
   ``$DASK_ROOT_CONFIG``), ``<sys.prefix>/etc/dask``, ``~/.config/dask``, ``$DASK_CONFIG``,
   variables such as ``DASK_JOBQUEUE__SLURM__CORES``;
3. ours: ``/etc/jobqueue``, ``<sys.prefix>/etc/jobqueue``, ``~/.config/jobqueue``,
   ``$JOBQUEUE_CONFIG`` (a file or a folder), variables such as ``JOBQUEUE__SLURM__CORES``;
4. `jobqueue.config.set` in code;
5. keywords of a constructor.

In a file, what stands below ``sites:`` and a pattern of this machine's name wins over the rest.

The files ``*.yaml``, ``*.yml`` and ``*.json`` of a folder are read in alphabetical order. All is
read anew for each cluster (a few milliseconds), so an edited file counts at once.
``JOBQUEUE_IGNORE_DASK=1`` leaves step 2 out, for whoever is given a faulty file by a site and can't
change it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobqueue.config import overlay
from jobqueue.config.hosts import Host
from jobqueue.config.keywords import SYSTEMS
from jobqueue.config.nodes import Node, parse_json, parse_yaml
from jobqueue.config.sections import (
    Entry,
    Origin,
    Problem,
    Section,
    Source,
    section_key,
    source_of_file,
)
from jobqueue.config.spelling import did_you_mean
from jobqueue.config.values import is_unset

_SUFFIXES = (".yaml", ".yml", ".json")
_VARIABLES = "environment variables"
_VARIABLE = re.compile(r"(?P<dask>DASK_JOBQUEUE__|JOBQUEUE__?)(?P<section>.+?)__(?P<key>.+)")


@dataclass(frozen=True, slots=True)
class Places:
    """The surroundings that are searched; a test gives its own.

    Parameters
    ----------
    environ
        Environment variables.
    home
        The user's home directory.
    etc
        The folder of the machine's configuration.
    prefix
        The folder of the Python installation.
    host
        The machine.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=lambda: Path(os.path.expanduser("~")))
    etc: Path = Path("/etc")
    prefix: Path = field(default_factory=lambda: Path(sys.prefix))
    host: Host = field(default_factory=Host)


@dataclass(frozen=True, slots=True)
class Config:
    """All that was found, from low to high.

    `looked` lists the files and folders that were looked at, whether they exist or not.
    """

    sources: tuple[Source, ...]
    looked: tuple[Path, ...]
    places: Places

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the shape of the files."""
        return [problem for source in self.sources for problem in source.problems]


def load(places: Places | None = None) -> Config:
    """Read all places.

    Raises
    ------
    ConfigError
        If a file is not valid YAML or JSON, with its line.
    """
    places = places or Places()
    sources: list[Source] = []
    looked: list[Path] = []
    for lenient in (True, False):
        if lenient and places.environ.get("JOBQUEUE_IGNORE_DASK", "0") not in ("", "0"):
            continue
        for path, named_by in _paths(places, lenient):
            looked.append(path)
            for source in _read_path(path, named_by, lenient, places.host):
                sources += [source, *source.here]
        sources += _variables(places.environ, lenient)
    sources += overlay.sources()
    return Config((*sources, *_unknown_sections(sources)), tuple(looked), places)


def _paths(places: Places, lenient: bool) -> Iterator[tuple[Path, str]]:
    """Files and folders, and the variable that names one (which then has to exist)."""
    name = "dask" if lenient else "jobqueue"
    root = places.environ.get("DASK_ROOT_CONFIG") if lenient else None
    yield Path(root) if root else places.etc / name, ""
    yield places.prefix / "etc" / name, ""
    yield places.home / ".config" / name, ""
    variable = f"{name.upper()}_CONFIG"
    if named := places.environ.get(variable):
        yield Path(named).expanduser(), variable


def _read_path(path: Path, named_by: str, lenient: bool, host: Host) -> Iterator[Source]:
    try:
        names = sorted(os.listdir(path))
    except NotADirectoryError:
        yield _read_file(path, lenient, host)
    except FileNotFoundError:
        if named_by:
            yield _unreadable(path, f"does not exist, though ${named_by} names it", lenient)
    except OSError as error:
        yield _unreadable(path, f"can't be read: {error.strerror}", lenient)
    else:
        for name in names:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield _read_file(path / name, lenient, host)


def _read_file(path: Path, lenient: bool, host: Host) -> Source:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return _unreadable(path, f"can't be read: {error.strerror}", lenient)
    except UnicodeDecodeError as error:
        return _unreadable(path, f"is not UTF-8 text (byte {error.start})", lenient)
    parse = parse_json if path.suffix == ".json" else parse_yaml
    return source_of_file(parse(text, str(path)), str(path), lenient=lenient, host=host)


def _unreadable(path: Path, fact: str, lenient: bool) -> Source:
    return Source(str(path), problems=(Problem(f"{path} {fact}", fatal=not lenient),))


def _variables(environ: Mapping[str, str], lenient: bool) -> Iterator[Source]:
    """The values that environment variables hold, as one source."""
    found: dict[str, list[Entry]] = {}
    for variable in sorted(environ):
        match = _VARIABLE.fullmatch(variable)
        if match is None or match["dask"].startswith("DASK") != lenient:
            continue
        node = _variable_value(environ[variable], variable)
        origin = Origin("variable", variable)
        entry = Entry(match["key"].lower(), node.written, node.typed, origin, lenient, node.items)
        found.setdefault(section_key(match["section"]), []).append(entry)
    if found:
        sections = {
            name: Section(name, entries[0].origin, tuple(entries))
            for name, entries in found.items()
        }
        yield Source(_VARIABLES, sections)


def _unknown_sections(sources: list[Source]) -> Iterator[Source]:
    """Find variables for sections that are nowhere: they would be lost without a word."""
    known = {*SYSTEMS, *(n for s in sources if s.label != _VARIABLES for n in s.sections)}
    for source in sources:
        for name, section in source.sections.items():
            if name not in known:
                text = f"{section.origin}: there is no section {name!r}{did_you_mean(name, known)}"
                problem = Problem(text, fatal=not section.entries[0].lenient)
                yield Source(_VARIABLES, problems=(problem,))


def _variable_value(text: str, variable: str) -> Node:
    """Text is taken as it is; a list or mapping is written as in YAML, on one line."""
    if is_unset(text) or text in ("null", "None"):
        return Node(None, None)
    if text.lstrip().startswith(("[", "{")):
        return parse_yaml(text, f"variable {variable}")
    return Node(text, text)
