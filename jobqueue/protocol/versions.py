"""Which software a process runs on, to be compared between the processes of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

PACKAGES: Final = ("jobqueue", "cloudpickle", "msgpack", "numpy", "pandas", "dask")
"""Packages whose versions matter where values are pickled at one end and read at the other."""


def versions(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return what this process runs on.

    Parameters
    ----------
    packages
        Names of more packages to look for.

    Returns
    -------
    dict
        ``"host"``: the system; ``"packages"``: the version of each package, Python's among them,
        and None for those that are not there.

    Examples
    --------
    >>> versions()["packages"]["jobqueue"]
    '0.1.0'
    """
    import platform  # few programs ask, and these take long to import
    from importlib.metadata import PackageNotFoundError, version

    uname = platform.uname()
    found: dict[str, str | None] = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (*PACKAGES, *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    host = {"OS": uname.system, "OS-release": uname.release, "machine": uname.machine}
    return {"host": host, "packages": found}
