"""Where one Grid Engine lives: its folder and ports, derived from a number; where its programs are.

Nothing here touches the machine. Clusters with different numbers share no folder and no port.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from machine import WORK

# The packages are unpacked, not installed: gridengine-client has a qsub that conflicts with others.
UNPACKED = WORK / "gridengine" / "usr"
PROGRAMS = UNPACKED / "lib" / "gridengine"
SHARED = UNPACKED / "share" / "gridengine"
# Where the programs look for their own spooling library; a link to the unpacked ones.
COMPILED_IN = Path("/usr/lib/gridengine")

COMMANDS = ("qsub", "qstat", "qdel", "qacct", "qconf", "qhost", "qalter", "qmod")
SLOTS = 16  # told to Grid Engine; the machine may have fewer processors, jobs then share them
CELL = "default"


@dataclass(frozen=True)
class Lab:
    """The cluster with this number (0 to 9)."""

    number: int = 0

    def __post_init__(self) -> None:
        """Refuse a number that would give ports of another lab."""
        if not 0 <= self.number <= 9:
            raise ValueError(f"lab number {self.number}: choose 0 to 9")

    @property
    def folder(self) -> Path:
        """Everything on disk, and what `SGE_ROOT` has to name."""
        return WORK / f"sge-{self.number}"

    @property
    def commands(self) -> Path:
        """The folder with the users' commands, and nothing else, for PATH."""
        return self.folder / "commands"

    @property
    def spool(self) -> Path:
        """What the daemons remember."""
        return self.folder / "spool"

    @property
    def common(self) -> Path:
        """The cell's configuration, and its accounting."""
        return self.folder / CELL / "common"

    @property
    def port(self) -> int:
        """The master's port; the next one is the node's."""
        return 16_440 + 10 * self.number

    @property
    def variables(self) -> dict[str, str]:
        """What Grid Engine's programs have to find in their environment."""
        return {
            "SGE_ROOT": str(self.folder),
            "SGE_CELL": CELL,
            "SGE_QMASTER_PORT": str(self.port),
            "SGE_EXECD_PORT": str(self.port + 1),
        }
