"""The folder of a LocalCluster: its socket, its logs, and what its workers put on disk.

It goes with the cluster. What a killed program has left, the next LocalCluster of the same user
removes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from jobqueue.worker import locked_folder

PREFIX = "jobqueue-local-"

KEPT = "kept"
"""Name of a file in folders that were kept for somebody to look at."""


class LocalFolder:
    """A folder of mode 0700 among the temporary files, since a socket's path has to be short.

    Raises
    ------
    OSError
        It cannot be made.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        locked_folder.sweep(parent, PREFIX, kept=KEPT)
        path, self._lock = locked_folder.make(parent, PREFIX)
        self.path = Path(path)

    def __repr__(self) -> str:
        """``<LocalFolder /tmp/jobqueue-local-5f0c>``."""
        return f"<LocalFolder {self.path}>"

    def close(self, *, keep: bool) -> None:
        """Remove it, or leave it to whoever wants to see what is in it."""
        if keep:
            with contextlib.suppress(OSError):
                (self.path / KEPT).touch(0o600)
        else:
            locked_folder.remove(str(self.path))
        os.close(self._lock)
