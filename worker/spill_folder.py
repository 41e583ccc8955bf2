"""Serialized values as files, in a folder that only its owner may enter.

A file holds the pickle and the buffers beside it, each written from and read into its own memory:

    length of the pickle, number of buffers, length of each (8 bytes each, little-endian)
    the pickle, the buffers

The folder, a locked one, is made when it is first needed, inside of the worker's
``local_directory``. What a killed process has left is removed by `sweep`. Agents do so when a
worker of theirs has ended, and workers before they make a folder of their own: with that goes what
an agent left that was killed itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
from collections.abc import Iterable
from itertools import count
from typing import BinaryIO

from jobqueue.protocol.payload import Buffer, Payload, Serialized
from jobqueue.protocol.serialize import LARGE_HEAD
from jobqueue.worker import locked_folder

PREFIX = "jobqueue-spill-"
"""What the names of folders begin with that are locked while they are in use."""

_MOST_BUFFERS = 2**20  # more than any value has: the file is not ours, or damaged


class SpillFolder:
    """A folder of files with one value each. Its methods may be called from any thread.

    Parameters
    ----------
    parent
        Folder to make it in, itself made if it is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = SpillFolder(parent)
    ...     number = folder.write(b"a pickle")
    ...     folder.read(number)
    ...     folder.close()
    b'a pickle'
    """

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.path: str | None = None
        self._lock = -1  # descriptor of the folder
        self._opening = threading.Lock()
        self._closed = False
        self._numbers = count(1)

    def __repr__(self) -> str:
        """``<SpillFolder /tmp/jobqueue-spill-5f0c…>``."""
        return f"<SpillFolder {self.path or f'not yet in {self.parent}'}>"

    def _open(self) -> None:
        if self._closed:
            raise FileNotFoundError(errno.ENOENT, "the worker has ended", self.parent)
        os.makedirs(self.parent, exist_ok=True)
        sweep(self.parent)
        self.path, self._lock = locked_folder.make(self.parent, PREFIX)

    def write(self, serialized: Serialized) -> int:
        """Write a value into a new file.

        Parameters
        ----------
        serialized
            The value.

        Returns
        -------
        int
            The file's number.

        Raises
        ------
        OSError
            The disk is full, the folder gone, …; no part of the file is left then.
        """
        with self._opening:
            if self.path is None:
                self._open()
        head, buffers = _parts(serialized)
        views = [memoryview(part).cast("B") for part in (head, *buffers)]
        lengths = [len(view) for view in views]
        header = struct.pack(f"<{len(lengths) + 1}Q", lengths[0], len(buffers), *lengths[1:])
        number = next(self._numbers)
        descriptor = self._create(number)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                for part in (memoryview(header), *views):
                    while part:
                        part = part[file.write(part) :]
        except BaseException:
            self.remove([number])
            raise
        return number

    def _create(self, number: int) -> int:
        try:
            return os.open(self._file(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:  # somebody has tidied up; what was in there is lost
            self._leave()  # and the next value gets a new one
            raise

    def read(self, number: int) -> Serialized:
        """Read a value, with buffers of its own.

        Raises
        ------
        OSError
            The file is gone, too short, …
        """
        with open(self._file(number), "rb", buffering=0) as file:
            length, buffers = struct.unpack("<2Q", _read_exactly(file, 16))
            left = os.fstat(file.fileno()).st_size - 16 - length - 8 * buffers
            if buffers > _MOST_BUFFERS or left < 0:
                raise OSError(f"{file.name} is damaged")
            lengths = struct.unpack(f"<{buffers}Q", _read_exactly(file, 8 * buffers))
            if sum(lengths) != left:
                raise OSError(f"{file.name} is damaged")
            head = _read_exactly(file, length)
            if not buffers and length <= LARGE_HEAD:
                return bytes(head)
            return Payload(head, [_read_exactly(file, size) for size in lengths])

    def remove(self, numbers: Iterable[int]) -> None:
        """Remove files; those that are gone are no error."""
        for number in numbers:
            with contextlib.suppress(OSError):
                os.unlink(self._file(number))

    def close(self) -> None:
        """Remove the folder with all that is in it; another will not be made."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        with self._opening:
            path, self.path = self.path, None
            if path is not None:
                os.close(self._lock)
        if path is not None:
            locked_folder.remove(path)

    def _file(self, number: int) -> str:
        if self.path is None:
            raise FileNotFoundError(errno.ENOENT, "the folder was removed", self.parent)
        return os.path.join(self.path, str(number))


def sweep(parent: str) -> list[str]:
    """Remove what processes of this user that are no more have left in a ``local_directory``.

    Parameters and result are those of `locked_folder.sweep`.
    """
    return locked_folder.sweep(parent, PREFIX)


def _parts(serialized: Serialized) -> tuple[Buffer, tuple[Buffer, ...]]:
    if isinstance(serialized, Payload):
        return serialized.head, tuple(serialized.buffers)
    return serialized, ()


def _read_exactly(file: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise OSError(f"{file.name} is damaged")
        view = view[count:]
    return data
