"""What a worker is and has, as the tasks that it runs may ask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.peers import PeerServer
from jobqueue.worker.store import Store


class Data(Mapping[str, Any]):
    """The results and copies of results that a worker has, by key; to be read, not changed.

    Parameters
    ----------
    store
        Where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: str) -> Any:
        return self._store.get(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.keys())

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: object) -> bool:
        return key in self._store

    def __repr__(self) -> str:
        """``<Data of 3 results>``: without reading any from disk."""
        return f"<Data of {len(self)} results>"


class Facts:
    """The part of `jobqueue.worker.worker.Worker` that tells tasks where they are.

    Parameters
    ----------
    options
        What the worker was told at its beginning.
    store
        Where its results are.
    server
        Where its peers reach it.
    """

    def __init__(self, options: WorkerOptions, store: Store, server: PeerServer) -> None:
        self.options = options
        self.name = options.name
        self._store = store
        self._server = server

    @property
    def id(self) -> str:
        """Its name, which no other worker of the cluster has."""
        return self.name

    @property
    def address(self) -> str:
        """Where its peers reach it, the best of several addresses."""
        return next(iter(self._server.addresses), "")

    @property
    def nthreads(self) -> int:
        """How many tasks it runs at a time."""
        return self.options.nthreads

    @property
    def memory_limit(self) -> int | None:
        """Bytes it may use; None if nobody has set a limit."""
        return self.options.memory_limit

    @property
    def local_directory(self) -> str:
        """The folder for what it puts on disk."""
        return self.options.local_directory or tempfile.gettempdir()

    @property
    def data(self) -> Mapping[str, Any]:
        """The results that it has, by key; to be read only."""
        return Data(self._store)
