"""The folder of a LocalCluster: its socket, its logs, and what its workers put on disk.

It goes with the cluster. A program that is killed leaves it behind; the kernel then lifts the lock
that its owner has held on it, and the next LocalCluster of the same user removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "jobqueue-local-"
_NEW = "jobqueue-new-"

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
        sweep(Path(tempfile.gettempdir()))
        new = Path(tempfile.mkdtemp(prefix=_NEW))
        # Locked before it gets its name, lest somebody sweep it in between.
        self._lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
        if _lock(self._lock):
            self.path = new.rename(new.with_name(PREFIX + new.name.removeprefix(_NEW)))
        else:  # a file system without locks: nobody will sweep it
            self.path = new

    def __repr__(self) -> str:
        """``<LocalFolder /tmp/jobqueue-local-5f0c>``."""
        return f"<LocalFolder {self.path}>"

    def close(self, *, keep: bool) -> None:
        """Remove it, or leave it to whoever wants to see what is in it."""
        if keep:
            with contextlib.suppress(OSError):
                (self.path / KEPT).touch(0o600)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(parent: Path) -> list[Path]:
    """Remove the folders of this user's programs that are no more.

    Parameters
    ----------
    parent
        Where they are.

    Returns
    -------
    list of Path
        Those removed. What cannot be removed stays, without an error.
    """
    try:
        with os.scandir(parent) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [path for path in found if _remove_if_left(path)]


def _remove_if_left(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone
        return False
    try:
        about = os.fstat(descriptor)
        private = about.st_uid == os.geteuid() and not stat.S_IMODE(about.st_mode) & 0o077
        if not private or not _lock(descriptor) or (path / KEPT).exists():
            return False
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
