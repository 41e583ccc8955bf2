"""The functions that a worker's tasks name: their pickles, and what was made of them.

They are unpickled one at a time, since that is when a worker imports what its tasks use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jobqueue.errors import SerializationError, TaskError
from jobqueue.protocol.serialize import alone, loads


class Functions:
    """Functions by the digest of their pickles; each is unpickled when it is first called.

    Attributes
    ----------
    loaded
        Those that were called already.

    Examples
    --------
    >>> from jobqueue.protocol.serialize import dumps_function
    >>> functions = Functions()
    >>> fid, pickle = dumps_function(divmod)
    >>> functions.add(fid, "divmod", pickle)
    >>> functions.load(fid)(7, 2)
    (3, 1)
    """

    def __init__(self) -> None:
        self.loaded: dict[bytes, Callable[..., Any]] = {}
        self._pickles: dict[bytes, tuple[str, bytes]] = {}

    def __len__(self) -> int:
        return len(self._pickles)

    def add(self, fid: bytes, name: str, pickle: bytes) -> None:
        """Take in a function."""
        self._pickles[fid] = (name, pickle)

    def forget(self, fids: Iterable[bytes]) -> None:
        """Drop functions that no task will name any more, unless they are sent again."""
        for fid in fids:
            self._pickles.pop(fid, None)
            self.loaded.pop(fid, None)

    def clear(self) -> None:
        """Drop all of them."""
        self._pickles.clear()
        self.loaded.clear()

    def load(self, fid: bytes) -> Callable[..., Any]:
        """Return a function.

        Raises
        ------
        SerializationError
            It cannot be unpickled here; the message names it.
        TaskError
            It is not here.
        """
        try:
            name, pickle = self._pickles[fid]
        except KeyError:
            raise TaskError(
                "this worker does not have the task's function (any more): submit the task again"
            ) from None
        with alone():
            function = self.loaded.get(fid)  # by another thread, meanwhile
            if function is None:
                try:
                    function = self.loaded[fid] = loads(pickle)
                except SerializationError as error:
                    raise SerializationError(f"function {name!r}: {error}") from error.__cause__
        return function
