"""What a row of the table of keywords says, and the batch systems that rows are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jobqueue.config.values import Parser

# Configuration section → the class that reads it. LocalCluster reads none.
SYSTEMS: dict[str, str] = {
    "pbs": "PBSCluster",
    "moab": "MoabCluster",
    "slurm": "SLURMCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}

EVERY = tuple(SYSTEMS)


@dataclass(frozen=True, slots=True)
class Keyword:
    """One row of the table.

    Parameters
    ----------
    name
        Canonical name. YAML also takes it with ``-`` for ``_``.
    parse
        Brings a value to its canonical type; raises `ValueError`.
    kind
        What the user writes, in one or two words.
    meaning
        One line for the user.
    default
        Canonical value when nothing is set, or the text to show for a computed one (`computed`).
    systems
        The batch systems it is for.
    required
        A cluster can't be made without it.
    null
        What an explicit null in YAML (or an empty text) means: the default, or no value at all.
    place
        "anywhere", or "code": an argument of the constructor that YAML can't hold.
    typed
        YAML's own types are wanted, rather than the text as written.
    path
        A path that this side uses: ``~`` and variables are expanded here, and it is made absolute.
        A "file" must exist, and is relative to the YAML file that names it; a "folder" is made when
        it is needed, and is relative to the working directory.
    variable
        An environment variable that stands in when nothing is set.
    shared
        All pools of a cluster have the same value: it can't be one of a pool's keywords.
    """

    name: str
    parse: Parser
    kind: str
    meaning: str
    default: Any = None
    systems: tuple[str, ...] = EVERY
    required: bool = False
    null: Literal["default", "none"] = "default"
    place: Literal["anywhere", "code"] = "anywhere"
    typed: bool = False
    path: Literal["", "file", "folder"] = ""
    variable: str = ""
    shared: bool = False

    @property
    def spelling(self) -> str:
        """The keyword as YAML files write it."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a keyword; for a deprecated one, a warning names the new one."""

    old: str
    new: str
    systems: tuple[str, ...] = EVERY
    deprecated: bool = True
    place: Literal["anywhere", "yaml"] = "anywhere"
