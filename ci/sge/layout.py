"""Where one Grid Engine lives: its folder and ports, derived from a number; where its programs are.

Nothing here touches the machine. Clusters with different numbers share no folder and no port.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from machine import WORK, NumberedLab

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
class Lab(NumberedLab):
    """The cluster with this number (0 to 9); `SGE_ROOT` has to name its folder."""

    kind: ClassVar[str] = "sge"

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
