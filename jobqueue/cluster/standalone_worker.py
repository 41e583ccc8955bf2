"""`jobqueue.Worker`: a worker in this process, whose tasks run in threads beside the program."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, NamedTuple

from jobqueue.client.protocols import ClusterLike
from jobqueue.cluster.standalone import Standalone
from jobqueue.cluster.threads import off_loop
from jobqueue.comm.addresses import parse_address
from jobqueue.comm.credentials import Credentials
from jobqueue.comm.scheduler_file import POLL, SchedulerFile, find_credentials
from jobqueue.config.units import parse_memory
from jobqueue.errors import AuthenticationFailed, CommError, ConfigError, JobQueueError
from jobqueue.worker.limits import available_cpus
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.worker import Worker as Server

logger = logging.getLogger("jobqueue.worker")

_Path = str | os.PathLike[str]

_numbers = itertools.count()


class Worker(Standalone):
    """A worker that lives in this process.

    It is up when the scheduler was reached, or could not be reached at first: then it goes on
    trying in the background, so it may be started before its scheduler.

    Parameters
    ----------
    address
        A `Scheduler`, a cluster, or an address such as ``tls://login1:8786``.
    scheduler_file
        Path of a scheduler's file, instead of an address; may be written later.
    nthreads
        Tasks that run at the same time; by default as many as this process may use CPUs.
    memory_limit
        Bytes, or text such as ``"4 GiB"``; by default none, since other things live in this
        process. It is compared with what the whole process uses.
    data
        Where results are kept: a mapping of keys to values; a dict by default.
    name
        Unique among the scheduler's workers; made of host and process by default.
    resources
        Amounts that tasks may ask for, by name.
    credentials
        Folder with a worker's credentials, for an address; by default what the user's own
        scheduler of that address left.
    local_directory
        Folder for what it puts on disk.
    interface
        Network interface for other workers to connect to.
    death_timeout
        Seconds without a scheduler after which it ends; None for never.
    asynchronous
        Whether to live in the running event loop: then ``await Worker(…)`` or ``async with``.

    Raises
    ------
    CommError
        The scheduler refuses it.
    ConfigError
        A value that cannot be used.

    Examples
    --------
    >>> with Worker("tls://login1:8786", nthreads=2, resources={"GPU": 1}):  # doctest: +SKIP
    ...     input("Enter ends it. ")
    """

    def __init__(
        self,
        address: ClusterLike | str | None = None,
        *,
        scheduler_file: _Path | None = None,
        nthreads: int | None = None,
        memory_limit: int | str | None = None,
        data: MutableMapping[str, Any] | None = None,
        name: str | None = None,
        resources: Mapping[str, float] | None = None,
        credentials: _Path | None = None,
        local_directory: _Path | None = None,
        interface: str | None = None,
        death_timeout: float | None = None,
        asynchronous: bool = False,
    ) -> None:
        if nthreads is not None and nthreads < 1:
            raise ConfigError(f"nthreads={nthreads!r}: a worker has at least one thread")
        options = WorkerOptions(
            addresses=(),
            name=name or f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}",
            nthreads=nthreads or available_cpus(),
            memory_limit=_bytes(memory_limit),
            local_directory=None if local_directory is None else os.fspath(local_directory),
            interface=interface,
            resources=dict(resources or {}),
            death_timeout=math.inf if death_timeout is None else death_timeout,
            agent_pid=os.getpid(),
        )
        find = _finder(address, scheduler_file, credentials)
        self._core = Core(options, find, data)
        super().__init__(self._core, asynchronous=asynchronous)

    @property
    def name(self) -> str:
        """Its name."""
        return self._core.options.name

    def __repr__(self) -> str:
        """``Worker('login1-4711-0', running, 4 threads)``."""
        return f"Worker({self.name!r}, {self.status}, {self._core.options.nthreads} threads)"


class Place(NamedTuple):
    """Where a scheduler is, and what a worker of its proves itself with."""

    addresses: tuple[str, ...]
    credentials: Credentials | None


class Core:
    """All of a `Worker` that runs.

    Parameters
    ----------
    options
        Everything but the scheduler's addresses.
    find
        Returns where the scheduler is; CommError if that is not known yet.
    data
        Where results are kept.
    """

    def __init__(
        self,
        options: WorkerOptions,
        find: Callable[[], Place],
        data: MutableMapping[str, Any] | None,
    ) -> None:
        self.options = options
        self.title = f"worker={options.name}"
        self.status = "created"
        self._find = find
        self._data = data
        self._server: Server | None = None
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns when the scheduler was reached, or tried for once."""
        self.status = "starting"
        tried = asyncio.Event()
        self._work = asyncio.create_task(self._run(tried))
        waiting = asyncio.create_task(tried.wait())
        try:
            await asyncio.wait({self._work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if self._work.done():
                self._work.result()
        except BaseException:
            self._work.cancel()
            self.status = "failed"
            raise
        finally:
            waiting.cancel()
        if self.status == "starting":
            self.status = "running"

    async def _run(self, tried: asyncio.Event) -> None:
        try:
            place = await self._look(tried)
            options = self.options._replace(addresses=place.addresses)
            self._server = Server(
                options,
                data=self._data,
                credentials=place.credentials,
                tried=tried,
                shares_process=True,
            )
            await self._server.run()
            if self._server.search.refusal is not None:
                raise self._server.search.refusal
        except JobQueueError as error:
            if not tried.is_set():
                raise  # whoever starts it hears of it
            logger.error("worker ends name=%s cause=%s", self.options.name, error)
        finally:
            self.status = "closed"

    async def _look(self, tried: asyncio.Event) -> Place:
        """Find out where the scheduler is, which may take until it has started."""
        end = time.monotonic() + self.options.death_timeout
        while True:
            try:
                return await off_loop(self._find)
            except AuthenticationFailed:
                raise
            except CommError:
                if time.monotonic() > end:
                    raise
            tried.set()
            await asyncio.sleep(POLL)

    async def close(self) -> None:
        """Hand over what is only here, and end."""
        if self._work is None or self._work.done():
            return
        self.status = "closing"
        if self._server is None:  # still looking
            self._work.cancel()
        else:
            self._server.leave("its program closes it")
        await asyncio.wait({self._work})

    def abandon(self) -> None:
        """Do nothing: its threads end with the process."""
        self.status = "closed"


def _finder(
    address: ClusterLike | str | None, scheduler_file: _Path | None, credentials: _Path | None
) -> Callable[[], Place]:
    if (address is None) == (scheduler_file is None):
        raise ConfigError(
            f"Worker({address!r}, scheduler_file={scheduler_file!r}): give a scheduler, a cluster "
            "or an address; or a scheduler file"
        )
    if scheduler_file is not None:
        return partial(_from_file, scheduler_file, credentials)
    if isinstance(address, str):
        parse_address(address)
        return partial(_from_address, address, credentials)
    assert address is not None
    return partial(_from_object, address)


def _from_object(cluster: ClusterLike) -> Place:
    scheduler = cluster.scheduler
    own = scheduler.credentials
    return Place(tuple(scheduler.addresses), None if own is None else own.others["worker"])


def _from_file(path: _Path, credentials: _Path | None) -> Place:
    found = SchedulerFile.read(path)
    folder = found.folder("worker") if credentials is None else credentials
    return Place(found.addresses, None if folder is None else Credentials.load(folder))


def _from_address(address: str, credentials: _Path | None) -> Place:
    folder = find_credentials(address, "worker") if credentials is None else credentials
    if folder is None and parse_address(address).scheme in ("tls", "tcp"):
        raise CommError(
            f"no running scheduler of this user has left credentials for {address}: is the address "
            "right, and the scheduler running? else pass their folder"
        )
    return Place((address,), None if folder is None else Credentials.load(folder))


def _bytes(memory_limit: int | str | None) -> int | None:
    if not memory_limit:
        return None
    try:
        return parse_memory(memory_limit)
    except ValueError as error:
        raise ConfigError(f"memory_limit={memory_limit!r}: {error}") from None
