"""Where the user's code is found, and what of it a worker executes before its first task."""

from __future__ import annotations

import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jobqueue.errors import ConfigError

SETUP = "dask_setup"
"""The function of a preloaded module that wants the worker; the name that such files have it by."""


class Setup(NamedTuple):
    """A preloaded module's function that wants the worker, and where it is from."""

    name: str
    function: Callable[[Any], Any]

    async def call(self, worker: object) -> None:
        """Call it, and await it if that is wanted.

        Raises
        ------
        ConfigError
            It failed.
        """
        try:
            result = self.function(worker)
            if inspect.isawaitable(result):
                await result
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"--preload {self.name}: {SETUP}(worker) raised {type(error).__name__}: {error}"
            ) from error


def preload(names: Iterable[str]) -> list[Setup]:
    """Import modules and execute files, in this order.

    Parameters
    ----------
    names
        Names of modules, or paths ending in ``.py``.

    Returns
    -------
    list of Setup
        What of them is to be called with the worker once there is one.

    Raises
    ------
    ConfigError
        Naming the one that failed, and how.
    """
    setups = []
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
        if callable(function := contents.get(SETUP)):
            setups.append(Setup(name, function))
    return setups


def import_from(folders: Iterable[str]) -> None:
    """Have modules looked for in these folders, too, after all others."""
    sys.path.extend(f for f in folders if f not in sys.path and os.path.isdir(f))
