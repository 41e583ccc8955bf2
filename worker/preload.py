"""Where the user's code is found, and what a worker executes of it before and after all tasks."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jobqueue.errors import ConfigError

logger = logging.getLogger("jobqueue.worker")

SETUP, TEARDOWN = "dask_setup", "dask_teardown"
"""The functions of a preloaded module that want the worker; the names that such files have them
by."""

Function = Callable[[Any], Any]


class Preloaded(NamedTuple):
    """A preloaded module's functions that want the worker, and where they are from."""

    name: str
    setup: Function | None
    teardown: Function | None

    async def set_up(self, worker: object) -> None:
        """Call the one for the worker's beginning, and await it if that is wanted.

        Raises
        ------
        ConfigError
            It failed.
        """
        try:
            await _call(self.setup, worker)
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"--preload {self.name}: {SETUP}(worker) raised {type(error).__name__}: {error}"
            ) from error

    async def tear_down(self, worker: object) -> None:
        """Call the one for the worker's orderly end; if it fails, the worker ends all the same."""
        try:
            await _call(self.teardown, worker)
        except (Exception, SystemExit) as error:
            logger.warning("--preload %s: %s(worker) failed error=%r", self.name, TEARDOWN, error)


async def _call(function: Function | None, worker: object) -> None:
    result = None if function is None else function(worker)
    if inspect.isawaitable(result):
        await result


def preload(names: Iterable[str]) -> list[Preloaded]:
    """Import modules and execute files, in this order.

    Parameters
    ----------
    names
        Names of modules, or paths ending in ``.py``.

    Returns
    -------
    list of Preloaded
        What of them is to be called with the worker once there is one, and at its end.

    Raises
    ------
    ConfigError
        Naming the one that failed, and how.
    """
    preloaded = []
    for name in names:
        try:
            if name.endswith(".py"):
                contents = runpy.run_path(name)
            else:
                contents = vars(importlib.import_module(name))
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"--preload {name}: {type(error).__name__}: {error}; is it on this node?"
            ) from error
        functions = [contents.get(wanted) for wanted in (SETUP, TEARDOWN)]
        preloaded.append(Preloaded(name, *(one if callable(one) else None for one in functions)))
    return preloaded


def import_from(folders: Iterable[str]) -> None:
    """Have modules looked for in these folders, too, after all others."""
    sys.path.extend(f for f in folders if f not in sys.path and os.path.isdir(f))
