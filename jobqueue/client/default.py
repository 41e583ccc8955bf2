"""The client that dask computes with, unless it is told otherwise: the newest one that is open.

dask's configuration holds one object of ours as its ``scheduler`` for as long as there is such a
client. It does not keep any client alive.

DataFrames and bags are shuffled by tasks meanwhile, unless the user's configuration says how:
without a client of distributed's, dask takes it that all workers share this machine's disk.
"""

from __future__ import annotations

import os
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from jobqueue.client.on_import import on_import
from jobqueue.errors import ClientClosed, ConfigError

if TYPE_CHECKING:
    from jobqueue.client.session import Session

SHUFFLE = "dataframe.shuffle.method"
BY_TASKS = "tasks"

_NOTHING = object()


class _Found(NamedTuple):
    """What stood in dask's configuration when clients came, and is put back when they have gone."""

    before: object
    clients: list[weakref.ref[Session]]


class Default:
    """What stands in dask's configuration."""

    def __init__(self) -> None:
        self._clients: list[weakref.ref[Session]] = []
        self._found: list[_Found] = []  # the last, and innermost, holds now
        self._shuffles = False  # whether how to shuffle was said here

    @property
    def __self__(self) -> Session | None:
        """The client: dask looks there for a ``persist``."""
        for ref in reversed(self._clients):
            client = ref()
            if client is not None and client._open:
                return client
        return None

    def __call__(self, dsk: Any, keys: Any, **kwargs: Any) -> Any:
        """Compute as dask asks."""
        client = self.__self__
        if client is None:
            raise ClientClosed(
                "there is no open client to compute with: make a new one, or have dask compute by "
                "itself, with dask.config.set(scheduler=None)"
            )
        if client.asynchronous:
            raise ConfigError(
                "dask cannot await the asynchronous client that it is to compute with: use "
                "'await client.compute(collection)', or make the client with set_as_default=False"
            )
        return cast(Any, client).get(dsk, keys, **kwargs)

    def add(self, client: Session) -> None:
        """Make a client the default."""
        self._clients.append(weakref.ref(client, self._forget))
        on_import("dask.config", self._enter)

    def remove(self, client: Session) -> None:
        """Let the one before it be the default again."""
        self._clients = [ref for ref in self._clients if ref() is not client]
        self._leave()

    def remove_all(self) -> None:
        """Have nobody's be the default, in the child of a fork, where all clients are closed."""
        self._clients = []
        self._leave()

    def _forget(self, gone: weakref.ref[Session]) -> None:
        if gone in self._clients:
            self._clients.remove(gone)
        self._leave()

    def _enter(self, dask_config: ModuleType) -> None:
        new = [ref for ref in self._clients if not any(ref in one.clients for one in self._found)]
        if not new:
            return
        config = dask_config.config
        before = config.get("scheduler", _NOTHING)
        if self._found and before is self:
            self._found[-1].clients.extend(new)
            return
        self._found.append(_Found(_NOTHING if before is self else before, new))
        config["scheduler"] = self
        if dask_config.get(SHUFFLE, None) is None:
            self._shuffles = True
            dask_config.set({SHUFFLE: BY_TASKS})

    def _leave(self) -> None:
        dask_config = sys.modules.get("dask.config")
        if dask_config is None:
            return
        config = dask_config.config
        while self._found and not any(ref in self._clients for ref in self._found[-1].clients):
            before = self._found.pop().before
            if config.get("scheduler") is not self:  # it was set to something else meanwhile
                continue
            if before is _NOTHING:
                del config["scheduler"]
            else:
                config["scheduler"] = before
        if not self._found and self._shuffles:
            self._shuffles = False
            if dask_config.get(SHUFFLE, None) == BY_TASKS:
                dask_config.set({SHUFFLE: None})


default = Default()
os.register_at_fork(after_in_child=default.remove_all)
