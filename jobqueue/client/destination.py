"""Where a client finds its scheduler, and as whom it connects."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from jobqueue.client.protocols import ClusterLike
from jobqueue.comm import Comm, Credentials, connect_any
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError, HandshakeRefused
from jobqueue.protocol.hello import PYTHON

if TYPE_CHECKING:
    from jobqueue.comm.loop import LoopThread

POLL = 0.2
"""Seconds between two looks whether a scheduler is there."""

SILENCE = 3.0
"""Seconds after which the log says what is waited for."""

REMOTE = ("tls://", "tcp://")

logger = logging.getLogger("jobqueue.client")


class Destination(NamedTuple):
    """A scheduler's addresses, and what a client proves itself with.

    Parameters
    ----------
    addresses
        Best first.
    credentials
        For `tls` and `tcp`.
    role
        ``"client"``, or ``"task"`` for a client inside of a task, which is its worker's.
    patient
        Whether to wait for it: it may be about to start.
    """

    addresses: tuple[str, ...]
    credentials: Credentials | None = None
    role: str = "client"
    patient: bool = False

    @property
    def lacks_credentials(self) -> bool:
        """Whether it cannot be reached without some that are not there (yet)."""
        return self.credentials is None and self.addresses[0].startswith(REMOTE)

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
    return Destination((address,), await _load(credentials), patient=address.startswith(REMOTE))


async def of_file(
    path: str | os.PathLike[str], credentials: str | os.PathLike[str] | None
) -> Destination:
    """Return the way to a scheduler by its scheduler file.

    Raises
    ------
    CommError
        It is not there.
    """
    from jobqueue.comm.scheduler_file import SchedulerFile

    found = await asyncio.to_thread(SchedulerFile.read, path)
    folder = found.folder("client") if credentials is None else credentials
    return Destination(found.addresses_for("client"), await _load(folder), patient=True)


async def _load(folder: str | os.PathLike[str] | None) -> Credentials | None:
    return None if folder is None else await asyncio.to_thread(Credentials.load, folder)


async def reach(
    find: Callable[[], Awaitable[Destination]],
    name: str,
    timeout: float,  # noqa: ASYNC109 - the error says what was tried for so long
) -> Comm:
    """Connect to a scheduler; to one by its address or file also if it starts only meanwhile.

    Parameters
    ----------
    find
        Looks for the way to it.
    name
        What the client calls itself.
    timeout
        Seconds, for all of it.

    Raises
    ------
    CommError
        It cannot be reached, or has refused this client.
    ConfigError
        It has left no credentials.
    """
    loop = asyncio.get_running_loop()
    began, told = loop.time(), False
    end = began + timeout
    while True:
        patient = True
        try:
            where = await find()
            patient = where.patient
            if where.lacks_credentials and loop.time() + POLL < end:
                raise CommError(f"no scheduler of this user has left credentials for {where}")
            return await connect_any(
                where.addresses,
                hello={"role": where.role, "name": name, "python": PYTHON},
                credentials=where.credentials,
                timeout=max(end - loop.time(), POLL),
            )
        except (AuthenticationFailed, HandshakeRefused):
            raise
        except CommError as error:
            if not patient or loop.time() + POLL >= end:
                raise
            if not told and loop.time() - began > SILENCE:
                told = True
                logger.warning("waiting %g s at most for the scheduler: %s", timeout, error)
        await asyncio.sleep(POLL)


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
