"""Folders that are one process's own: the kernel holds a lock on each as long as that lives.

A process that is killed leaves its folder behind without a lock, and so `sweep` knows what nobody
will use again.
"""

from __future__ import annotations

import fcntl
import os
import stat

_NEW = "jobqueue-new-"
"""What names begin with before there is a lock, and on file systems that know none: nobody sweeps
these."""


def make(parent: str, prefix: str) -> tuple[str, int]:
    """Make a folder of mode 0700, and lock it.

    Parameters
    ----------
    parent
        The folder to make it in.
    prefix
        What its name is to begin with, where it can be locked.

    Returns
    -------
    tuple of str and int
        Its path, and the descriptor that holds the lock, to be closed when it is not used any more.

    Raises
    ------
    OSError
        It cannot be made.
    """
    token = os.urandom(4).hex()  # short: a socket's path, which may be in it, must be
    path = os.path.join(parent, _NEW + token)
    os.mkdir(path, 0o700)
    # Locked before it gets its name, lest somebody sweep it in between.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    if _lock(descriptor):
        new, path = path, os.path.join(parent, prefix + token)
        os.rename(new, path)
    return path, descriptor


def sweep(parent: str, prefix: str, *, kept: str | None = None) -> list[str]:
    """Remove the folders of processes of this user that are no more.

    Parameters
    ----------
    parent
        Where they are.
    prefix
        What their names begin with.
    kept
        Name of a file in folders that are to stay.

    Returns
    -------
    list of str
        Those removed. What cannot be removed stays, without an error.
    """
    try:
        with os.scandir(parent) as entries:
            found = [entry.path for entry in entries if entry.name.startswith(prefix)]
    except OSError:
        return []
    return [path for path in found if _remove_if_left(path, kept)]


def remove(path: str) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    import shutil  # imported late, as the agent, which sweeps, is to start light

    shutil.rmtree(path, ignore_errors=True)


def _remove_if_left(path: str, kept: str | None) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone
        return False
    try:
        about = os.fstat(descriptor)
        private = about.st_uid == os.geteuid() and not stat.S_IMODE(about.st_mode) & 0o077
        if not private or not _lock(descriptor):
            return False
        if kept is not None and os.path.exists(os.path.join(path, kept)):
            return False
        remove(path)
        return not os.path.exists(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
