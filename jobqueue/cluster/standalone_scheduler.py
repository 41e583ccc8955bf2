"""`jobqueue.Scheduler`: a scheduler by itself in this process; workers come on their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from jobqueue.cluster.standalone import Standalone
from jobqueue.cluster.threads import off_loop
from jobqueue.comm.addresses import interface_address, parse_address
from jobqueue.comm.credentials import Credentials
from jobqueue.comm.scheduler_file import SchedulerFile, publish, withdraw
from jobqueue.errors import ConfigError
from jobqueue.scheduler.info import WorkerInfo
from jobqueue.scheduler.server import Scheduler as Server
from jobqueue.scheduler.state import ALLOWED_FAILURES, WORKER_TTL


class Scheduler(Standalone):
    """A scheduler, to which workers and clients connect from wherever they are.

    It listens with certificates of its own. Their workers' and clients' parts lie in the user's
    home folder while it runs (`jobqueue.comm.scheduler_file`), so the same user's workers and
    clients find them by the address alone, on every machine that sees that folder.

    Parameters
    ----------
    host
        Name or IP address of this machine to listen on; by default all of them.
    port
        Where to listen; 0 takes a free one.
    interface
        Network interface to listen on, such as ``ib0``, instead of `host`.
    protocol
        ``"tls"``, or ``"tcp"``: the same proof of membership, and nothing encrypted.
    client_host, client_port, client_interface
        Where clients are to connect, if not where workers do. With any of them there are two
        listeners, and neither takes the other's peers.
    name
        For messages.
    scheduler_file
        A file to write, which tells workers and clients all they need.
    event_log
        A file that gets a line of JSON for everything that happens.
    worker_ttl
        Seconds of silence after which a worker's tasks are run by others.
    allowed_failures
        Workers that may die under a task before it fails.
    asynchronous
        Whether to live in the running event loop: then ``await Scheduler(…)`` or ``async with``.

    Raises
    ------
    CommError
        The port is taken, or the address not this machine's.
    ConfigError
        No such interface or protocol; a file cannot be written.

    Examples
    --------
    >>> from jobqueue import Client, Scheduler, Worker
    >>> with Scheduler() as scheduler, Worker(scheduler), Client(scheduler) as client:
    ...     client.submit(sum, [1, 2, 3]).result()  # doctest: +SKIP
    6
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int = 0,
        interface: str | None = None,
        protocol: str = "tls",
        client_host: str | None = None,
        client_port: int | None = None,
        client_interface: str | None = None,
        name: str = "scheduler",
        scheduler_file: str | os.PathLike[str] | None = None,
        event_log: str | os.PathLike[str] | None = None,
        worker_ttl: float = WORKER_TTL,
        allowed_failures: int = ALLOWED_FAILURES,
        asynchronous: bool = False,
    ) -> None:
        apart = client_host, client_port, client_interface
        listen_clients = []
        if apart != (None, None, None):
            client_host = client_host or (host if client_interface is None else None)
            listen_clients = [
                listening_address(protocol, client_host, client_port or 0, client_interface)
            ]
        self._core = Core(
            name,
            listen=[listening_address(protocol, host, port, interface)],
            listen_clients=listen_clients,
            scheduler_file=scheduler_file,
            event_log=event_log,
            worker_ttl=worker_ttl,
            allowed_failures=allowed_failures,
        )
        super().__init__(self._core, asynchronous=asynchronous)

    @property
    def name(self) -> str:
        """Its name."""
        return self._core.name

    @property
    def address(self) -> str:
        """Where workers find it, the best of several."""
        return self.addresses[0]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where workers find it, best first."""
        return self.scheduler.addresses

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """Where clients find it, best first."""
        return self.scheduler.client_addresses

    @property
    def credentials(self) -> str | None:
        """The folder with what workers and clients prove themselves with."""
        return self._core.published.credentials if self._core.published else None

    @property
    def scheduler(self) -> Server:
        """What runs behind it."""
        return self._core.scheduler

    def workers(self) -> Sequence[WorkerInfo]:
        """Return the connected workers.

        Examples
        --------
        >>> [worker.name for worker in scheduler.workers()]  # doctest: +SKIP
        ['login1-4711-0']
        """
        return self._call(self.scheduler.workers)

    def __repr__(self) -> str:
        """``Scheduler('scheduler', tls://10.0.0.1:8786, workers=2, threads=8)``."""
        if self.status != "running":
            return f"Scheduler({self.name!r}, {self.status})"
        workers = self.workers()
        threads = sum(worker.nthreads for worker in workers)
        return (
            f"Scheduler({self.name!r}, {self.address}, workers={len(workers)}, threads={threads})"
        )


class Core:
    """All of a `Scheduler` that runs; its parameters, with addresses to listen on."""

    def __init__(
        self,
        name: str,
        *,
        listen: Sequence[str],
        listen_clients: Sequence[str],
        scheduler_file: str | os.PathLike[str] | None,
        event_log: str | os.PathLike[str] | None,
        worker_ttl: float,
        allowed_failures: int,
    ) -> None:
        self.name = name
        self.title = f"scheduler={name}"
        self.status = "created"
        self.published: SchedulerFile | None = None
        self._listen = listen
        self._listen_clients = listen_clients
        self._scheduler_file = scheduler_file
        self._event_log = event_log
        self._worker_ttl = worker_ttl
        self._allowed_failures = allowed_failures
        self._server: Server | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def scheduler(self) -> Server:
        """What was started."""
        if self._server is None:
            raise ConfigError(f"scheduler {self.name!r} was not started: await it first")
        return self._server

    async def start(self) -> None:
        """Listen, and leave word of it."""
        self.status = "starting"
        try:
            self._server = Server(
                name=self.name,
                credentials=await off_loop(Credentials.create, self.name),
                listen=self._listen,
                listen_clients=self._listen_clients,
                event_log=self._event_log,
                worker_ttl=self._worker_ttl,
                allowed_failures=self._allowed_failures,
            )
            await self._server.start()
            await off_loop(self._publish, self._server)
        except BaseException:
            self.status = "failed"
            if self._server is not None:
                await self._server.close()
            await off_loop(self._withdraw)
            raise
        self.status = "running"

    def _publish(self, server: Server) -> None:
        assert server.credentials is not None
        self.published = publish(
            server.credentials,
            addresses=server.addresses,
            client_addresses=server.client_addresses,
        )
        if self._scheduler_file is not None:
            self.published.write(self._scheduler_file)

    def _withdraw(self) -> None:
        if self.published is not None:
            withdraw(self.published)
            if self._scheduler_file is not None:
                self.published.remove(self._scheduler_file)

    async def close(self) -> None:
        """End it, once, however often called."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self.status in ("failed", "closed"):
            return
        self.status = "closing"
        await off_loop(self._withdraw)  # first: who looks for it now is to find nothing
        if self._server is not None:
            await self._server.close()
        self.status = "closed"

    def abandon(self) -> None:
        """Leave no files behind: the event loop is gone, and all connections with it."""
        if self.status not in ("failed", "closed"):
            self.status = "closed"
            self._withdraw()


def listening_address(protocol: str, host: str | None, port: int, interface: str | None) -> str:
    """Return the address to listen on.

    Raises
    ------
    ConfigError
        Host and interface, another protocol, or no such interface.

    Examples
    --------
    >>> listening_address("tls", None, 8786, None)
    'tls://0.0.0.0:8786'
    """
    if protocol not in ("tls", "tcp"):
        raise ConfigError(f"protocol={protocol!r}: it is 'tls' or 'tcp'")
    if host is not None and interface is not None:
        raise ConfigError(f"host={host!r} and interface={interface!r}: give one of them")
    where = interface_address(interface) if interface is not None else host or "0.0.0.0"
    where = f"[{where}]" if ":" in where and not where.startswith("[") else where
    return str(parse_address(f"{protocol}://{where}:{port}"))
