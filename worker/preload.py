"""Where the user's code is found, and what of it a worker executes before its first task."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Iterable

from jobqueue.errors import ConfigError


def preload(names: Iterable[str]) -> None:
    """Import modules and execute files, in this order.

    Parameters
    ----------
    names
        Names of modules, or paths ending in ``.py``.

    Raises
    ------
    ConfigError
        Naming the one that failed, and how.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                runpy.run_path(name)
            else:
                importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"--preload {name}: {type(error).__name__}: {error}; is it on this node?"
            ) from error


def import_from(folders: Iterable[str]) -> None:
    """Have modules looked for in these folders, too, after all others."""
    sys.path.extend(f for f in folders if f not in sys.path and os.path.isdir(f))
