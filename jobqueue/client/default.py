"""The client that dask computes with, unless it is told otherwise: the newest one that is open.

dask's configuration holds an object of ours as its ``scheduler`` for as long as there is such a
client. It does not keep any client alive.

Users set that configuration, too, in blocks that put back what they found when they end: an object
of ours among it, though all clients may have been closed meanwhile, or though clients were made
inside the block which are open still. So each of our objects knows what stood there before it, and
has a level, which grows: it stands for the clients that came while it stood there or later. One
that stands for nobody goes when a client does, or else when dask looks at it.

DataFrames and bags are shuffled by tasks meanwhile, unless the user's configuration says how:
without a client of distributed's, dask takes it that all workers share this machine's disk.
"""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from jobqueue.client.on_import import on_import
from jobqueue.errors import ClientClosed, ConfigError

if TYPE_CHECKING:
    from jobqueue.client.session import Session

SHUFFLE = "dataframe.shuffle.method"
BY_TASKS = "tasks"

_NOTHING = object()


class Standing:
    """What stands in dask's configuration: computes with the newest client.

    Parameters
    ----------
    default
        Whose it is.
    level
        It stands for the clients of this level and above.
    before
        What stood there before.
    """

    def __init__(self, default: Default, level: int, before: object) -> None:
        self.default = default
        self.level = level
        self.before = before

    @property
    def __self__(self) -> Session | None:
        """The client: dask looks there for a ``persist``."""
        return self.default.newest(self.level)

    def __bool__(self) -> bool:
        """Return whether anything is to be computed with what stands there: dask asks this first.

        If there is no client any more, that is what stood there before.
        """
        if self.default.newest(self.level) is not None:
            return True
        self.default.leave()
        return self.before is not _NOTHING and bool(self.before)

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


class _Known(weakref.ref["Session"]):
    """A client, and its level; none as long as dask is not there."""

    __slots__ = ("level",)

    level: int | None


class Default:
    """The clients that are to be dask's default, and what stands in its configuration for them."""

    def __init__(self) -> None:
        self._clients: list[_Known] = []
        self._levels = itertools.count()
        self._shuffles = False  # whether how to shuffle was said here

    def newest(self, level: int = 0) -> Session | None:
        """Return the newest open client, if any has this level; those before dask came have 0."""
        found = None
        for known in reversed(self._clients):
            client = known()
            if client is not None and client._open:
                found = found or client
                if (known.level or 0) >= level:
                    return found
        return None

    def add(self, client: Session) -> None:
        """Make a client the default."""
        known = _Known(client, self._forget)
        known.level = None
        self._clients.append(known)
        on_import("dask.config", self._enter)

    def remove(self, client: Session) -> None:
        """Let the one before it be the default again."""
        self._clients = [known for known in self._clients if known() is not client]
        self.leave()

    def remove_all(self) -> None:
        """Have nobody's be the default, in the child of a fork, where all clients are closed."""
        self._clients = []
        self.leave()

    def _forget(self, gone: weakref.ref[Session]) -> None:
        self._clients = [known for known in self._clients if known is not gone]
        self.leave()

    def _enter(self, dask_config: ModuleType) -> None:
        new = [known for known in self._clients if known.level is None]
        if not new:
            return
        config = dask_config.config
        there = config.get("scheduler", _NOTHING)
        if not self._is_own(there):
            there = config["scheduler"] = Standing(self, next(self._levels), there)
        for known in new:
            known.level = there.level
        if dask_config.get(SHUFFLE, None) is None:
            self._shuffles = True
            dask_config.set({SHUFFLE: BY_TASKS})

    def leave(self) -> None:
        """Put back what stood in dask's configuration before that which stands for nobody now."""
        dask_config = sys.modules.get("dask.config")
        if dask_config is None:
            return
        config = dask_config.config
        while self._is_own(there := config.get("scheduler")) and not self.newest(there.level):
            if there.before is _NOTHING:
                config.pop("scheduler", None)
            else:
                config["scheduler"] = there.before
        if self._shuffles and not self._clients:
            self._shuffles = False
            if dask_config.get(SHUFFLE, None) == BY_TASKS:
                dask_config.set({SHUFFLE: None})

    def _is_own(self, there: Any) -> TypeGuard[Standing]:
        return isinstance(there, Standing) and there.default is self


default = Default()
os.register_at_fork(after_in_child=default.remove_all)
