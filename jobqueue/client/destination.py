"""Where a client finds its scheduler, and as whom it connects."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobqueue.client.protocols import ClusterLike
from jobqueue.comm import Credentials
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError

if TYPE_CHECKING:
    from jobqueue.comm.loop import LoopThread

POLL = 0.2
"""Seconds between two looks whether a scheduler file is there."""


@dataclass(frozen=True)
class Destination:
    """A scheduler's addresses, and what a client proves itself with.

    Parameters
    ----------
    addresses
        Best first.
    credentials
        For `tls` and `tcp`.
    role
        ``"client"``, or ``"task"`` for a client inside of a task, which is its worker's.
    """

    addresses: tuple[str, ...]
    credentials: Credentials | None = None
    role: str = "client"

    def __str__(self) -> str:
        return ", ".join(self.addresses)


def of_cluster(cluster: ClusterLike, loop: LoopThread | None) -> Destination:
    """Return the way to a cluster of this process.

    Parameters
    ----------
    cluster
        The cluster.
    loop
        The thread that the client lives on; None if that is the user's event loop.
    """
    scheduler = cluster.scheduler
    if cluster.loop is loop:
        return Destination((scheduler.local_address,))
    own = scheduler.credentials  # it lives in another event loop
    return Destination(
        tuple(scheduler.client_addresses), None if own is None else own.others["client"]
    )


async def of_address(address: str, credentials: str | os.PathLike[str] | None) -> Destination:
    """Return the way to a scheduler by its address.

    Without credentials, those are taken that one of the user's own schedulers left at that address.
    """
    # Imported late: most clients are given a cluster.
    from jobqueue.comm.scheduler_file import find_credentials

    if credentials is None:
        credentials = await asyncio.to_thread(find_credentials, address, "client")
    return Destination((address,), await _load(credentials))


async def of_file(
    path: str | os.PathLike[str],
    credentials: str | os.PathLike[str] | None,
    timeout: float,  # noqa: ASYNC109 - the file is looked for again and again
) -> Destination:
    """Return the way to a scheduler by its scheduler file, which may be written only later.

    Raises
    ------
    CommError
        It is not there within `timeout` seconds.
    """
    from jobqueue.comm.scheduler_file import SchedulerFile

    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        try:
            found = await asyncio.to_thread(SchedulerFile.read, path)
            break
        except AuthenticationFailed:
            raise
        except CommError:
            if loop.time() >= end:
                raise
            await asyncio.sleep(POLL)
    folder = found.folder("client") if credentials is None else credentials
    return Destination(found.addresses_for("client"), await _load(folder))


async def _load(folder: str | os.PathLike[str] | None) -> Credentials | None:
    return None if folder is None else await asyncio.to_thread(Credentials.load, folder)


def check_cluster(cluster: ClusterLike, asynchronous: bool) -> None:
    """Refuse what is no cluster, or one that a client cannot use.

    Raises
    ------
    ConfigError
        Saying why.
    """
    if not hasattr(cluster, "scheduler"):
        raise ConfigError(
            f"{cluster!r} is neither a cluster nor an address: pass a cluster object or text like "
            "'tls://10.0.0.1:4000'"
        )
    status = getattr(cluster, "status", "running")
    if status in ("closing", "closed", "failed"):
        raise ConfigError(f"{cluster!r} is {status}: make a new cluster")
    if cluster.loop is None and not asynchronous:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise ConfigError(
                f"{cluster!r} lives in the running event loop, which a synchronous client would "
                "hold up: use Client(cluster, asynchronous=True)"
            )
