"""What `jobqueue doctor` does on a node: look around, and tell.

A worker imports this by name, so it takes nothing from the rest of the command line. The same
`facts` are gathered at home, to be compared.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jobqueue.comm import Credentials, connect
from jobqueue.errors import JobQueueError
from jobqueue.protocol.hello import PYTHON
from jobqueue.protocol.running import host
from jobqueue.worker.limits import available_cpus, available_memory

PACKAGES = ("jobqueue", "cloudpickle", "msgpack", "numpy", "pandas", "pyarrow", "scipy")
"""What both ends have to understand alike; those that are installed are compared."""

PATIENCE = 5.0
"""Seconds for each address of the scheduler."""

LIMITS: Mapping[str, int] = {
    "open files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "virtual memory": resource.RLIMIT_AS,
}


def look_around(tokens: Sequence[str], local_directory: str | None) -> dict[str, Any]:
    """Return what a job on this node can tell; runs as a task.

    Parameters
    ----------
    tokens
        Files that were written where the cluster was made.
    local_directory
        Where its workers are to put what does not fit into memory, as it was given.
    """
    worker = host()
    return {
        "facts": facts(local_directory),
        "tokens": {path: read(path) for path in tokens},
        "addresses": asyncio.run(reach(worker.scheduler_addresses, worker.credentials)),
    }


def clock() -> float:
    """Return the time, in seconds since 1970."""
    return time.time()


def facts(local_directory: str | None = None) -> dict[str, Any]:
    """Return what may be different on another machine."""
    folder = os.path.expandvars(local_directory) if local_directory else tempfile.gettempdir()
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "packages": dict(_versions(PACKAGES)),
        "limits": {name: resource.getrlimit(number)[0] for name, number in LIMITS.items()},
        "cpus": available_cpus(),
        "memory": available_memory(),
        "node_memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk": _disk(folder),
    }


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _disk(folder: str) -> dict[str, Any]:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return {"folder": folder, "free": None, "kind": "", "error": str(error)}
    return {"folder": folder, "free": free, "kind": file_system(folder), "error": ""}


def file_system(folder: str, mounts: str = "/proc/self/mounts") -> str:
    """Return the kind of file system that a folder is on, "" if that cannot be seen.

    Parameters
    ----------
    folder
        An existing folder.
    mounts
        A file in the format of ``/proc/self/mounts``.
    """
    path, best, kind = os.path.realpath(folder), -1, ""
    try:
        with open(mounts) as file:
            rows = [line.split() for line in file]
    except OSError:
        return ""
    for _, point, name, *_ in rows:
        below = path == point or path.startswith(point.rstrip("/") + "/")
        if below and len(point) >= best:
            best, kind = len(point), name
    return kind


def read(path: str) -> dict[str, str]:
    """Return the text of a file, or why it cannot be read."""
    try:
        with open(path) as file:
            return {"text": file.read(), "error": ""}
    except OSError as error:
        return {"text": "", "error": error.strerror or str(error)}


async def reach(
    addresses: Sequence[str], credentials: Credentials | None
) -> list[tuple[str, float | None, str]]:
    """Try each address of the scheduler: all at the same time, then those that answer by itself.

    Returns
    -------
    list of (address, seconds, error)
        Seconds that a connection and its handshake took, None where there is none; then why.
    """
    tried = await asyncio.gather(*(_reach(address, credentials) for address in addresses))
    return [one if one[1] is None else await _reach(one[0], credentials) for one in tried]


async def _reach(address: str, credentials: Credentials | None) -> tuple[str, float | None, str]:
    began = time.monotonic()
    try:
        comm = await connect(
            address,
            hello={"role": "agent", "python": PYTHON},
            credentials=credentials,
            timeout=PATIENCE,
        )
    except JobQueueError as error:
        return address, None, " ".join(str(error).split())
    seconds = time.monotonic() - began
    comm.close()
    await comm.wait_closed()
    return address, seconds, ""
