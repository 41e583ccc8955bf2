"""A cluster whose jobs a batch system runs: how its scheduler listens, and what its pools share."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobqueue.batch.answers import Argv
from jobqueue.batch.base import BatchAdapter
from jobqueue.cluster.batch_pool import BatchPool, Home, make_folder
from jobqueue.cluster.batch_system import BatchSystem, question
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.limits import Limits
from jobqueue.cluster.plan import DEFAULT, check_free
from jobqueue.comm.addresses import interface_address, is_loopback, parse_address
from jobqueue.comm.credentials import Credentials
from jobqueue.config.values import protocol
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError

logger = logging.getLogger("jobqueue.cluster")

SCHEDULER_OPTIONS = frozenset({"host", "port", "interface", "contact_address", "protocol"})
# Of other people's dashboards: a site's file may name them, and works all the same.
IGNORED_OPTIONS = frozenset({"dashboard", "dashboard_address", "dashboard_prefix"})


BURST = 6
"""Submissions that may follow each other at once."""

PACE = 10.0
"""Seconds for each of them in the long run: what is wanted meanwhile goes together."""

Make = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Returns the values of a pool, given its name and its own keywords."""


class BatchPlan:
    """The plan of a cluster on a batch system.

    Parameters
    ----------
    values
        Keyword -> value, as `jobqueue.config.resolve` leaves them.
    adapter
        The batch system.
    make
        Returns the values of a pool that is added later.
    prefix
        Words before each of its commands: those of a program of this machine that stands in for it.
    place
        Returns what a message about a keyword begins with: where its value comes from, or "".

    Raises
    ------
    ConfigError
        An interface that does not exist, an option of the scheduler that nobody knows, ...
    """

    def __init__(
        self,
        values: dict[str, Any],
        adapter: BatchAdapter,
        make: Make,
        *,
        prefix: Argv = (),
        place: Callable[[str], str] = lambda keyword: "",
    ) -> None:
        self._adapter = adapter
        self._make = make
        self.prefix = prefix
        first = BatchPool(DEFAULT, values, adapter)
        self.pools: dict[str, BatchPool] = {DEFAULT: first}
        self.name: str = values.get("name") or first.spec.job_name
        self.limits = Limits(values.get("max_jobs"), values.get("max_pending"), BURST, PACE)
        self.credentials = _given_credentials(values.get("security"))
        self._interface = first.spec.interface
        self._place = place
        self._options = _scheduler_options(values, place("scheduler_options"))
        self._shared_parent = values.get("shared_temp_directory")
        self._contact = _texts(
            self._options.get("contact_address") or values.get("contact_address")
        )
        self._listen = self._listening()
        self._homes: dict[object, Home] = {}  # by how the batch system is asked
        self._opened = False
        self._lock = threading.Lock()  # pools are made in users' threads
        first.job_script([self._listen])  # a mistake in a template is told before anything is begun
        for name, own in (values.get("pools") or {}).items():
            self.take(self._pool(name, own))

    # --- pools ---------------------------------------------------------------------------

    def make_pool(self, name: str, keywords: Mapping[str, Any]) -> BatchPool:
        """Make another pool; its jobs are like those of the cluster but for some keywords."""
        check_free(name, self.pools)
        return self._pool(name, self._make(name, keywords))

    def take(self, pool: BatchPool) -> None:
        """Count a pool among those there are."""
        check_free(pool.name, self.pools)
        self.pools[pool.name] = pool

    def _pool(self, name: str, values: Mapping[str, Any]) -> BatchPool:
        limits = Limits(values.get("max_jobs"), values.get("max_pending"))
        pool = BatchPool(name, values, self._adapter, limits=limits)
        pool.job_script([self._listen])
        with self._lock:
            if self._opened:
                pool.settle(self._home_of(pool))
        return pool

    # --- the scheduler's end -------------------------------------------------------------

    def listen(self) -> tuple[str, ...]:
        """Return one address: all interfaces, unless an option names one."""
        return (self._listen,)

    def _listening(self) -> str:
        options = self._options
        interface = options.get("interface") or self._interface
        told_by = "scheduler_options" if options.keys() & {"host", "interface"} else "interface"
        place = self._place(told_by)
        if host := options.get("host"):
            host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        elif interface:
            try:
                host = interface_address(interface)
            except ConfigError as error:
                raise ConfigError(
                    f"{place}{error}; if only the nodes have it, say what the scheduler is to use: "
                    'scheduler_options={"interface": ...}'
                ) from None
            host = f"[{host}]" if ":" in host else host
        else:
            host = "0.0.0.0"
        address = f"{options['protocol']}://{host}:{options.get('port') or 0}"
        parse_address(address)
        if is_loopback(host) and not self._contact and not self.prefix:
            warn(
                f"{place}{told_by}: the scheduler listens at {host}, which nodes cannot reach: "
                "leave it out, or name an interface of the network that they are in"
            )
        return address

    def contact(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Return the user's own contact addresses, completed; else the scheduler's."""
        if not self._contact:
            return tuple(addresses)
        first = parse_address(addresses[0])
        completed = []
        for text in self._contact:
            text = text if "://" in text else f"{first.scheme}://{text}"
            rest = text.partition("://")[2]
            has_port = rest.rpartition(":")[2].isdigit() and not rest.endswith("]")
            completed.append(text if has_port else f"{text}:{first.port}")
            parse_address(completed[-1])
        return tuple(completed)

    # --- the jobs' end -------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of the first pool's jobs, and of all that are in the same batch system."""
        return next((home.ledger for home in self._homes.values()), None)

    def open(self) -> None:
        """Make the folders with ledger and credentials, and those for logs."""
        if self.credentials is None:
            self.credentials = Credentials.create(self.name)
        self._opened = True
        for pool in self.pools.values():
            pool.settle(self._home_of(pool))

    def _home_of(self, pool: BatchPool) -> Home:
        """Return what a pool has in common with those that ask the batch system the same.

        Jobs that are asked for in another way have a ledger of their own, from which they can be
        found and cancelled, and folders of their own, for they may have the same ids.
        """
        asked = question(pool.adapter)
        if asked not in self._homes:
            ledger = self._make_ledger(pool)
            try:
                self._furnish(ledger)
            except BaseException:
                ledger.remove()
                raise
            self._homes[asked] = Home(BatchSystem(pool.adapter, prefix=self.prefix), ledger)
        return self._homes[asked]

    def _make_ledger(self, pool: BatchPool) -> Ledger:
        return Ledger.create(
            cluster=self.name,
            system=pool.adapter.name,
            directives=pool.spec.job_extra_directives,
            keywords=pool.adapter.variables(),
            prefix=self.prefix,
        )

    def _furnish(self, ledger: Ledger) -> None:
        """Make what jobs read and write where nodes see it."""
        assert self.credentials is not None, "open() comes first"
        if (parent := self._shared_parent) is not None:
            make_folder("shared_temp_directory", parent)
        try:
            if parent is not None:
                ledger.share(Path(tempfile.mkdtemp(prefix="jobqueue-", dir=parent)).absolute())
            self.credentials.others["worker"].save(ledger.shared / "credentials")
            (ledger.shared / "exit").mkdir(mode=0o700)
        except OSError as error:
            folder = parent or ledger.folder
            raise ConfigError(f"the folder {folder} cannot be used: {error.strerror}") from error

    def close(self, *, keep: str = "") -> None:
        """Remove the folders; or keep ledgers, scripts and logs, and say where and why."""
        with self._lock:
            self._opened = False
            ledgers = [home.ledger for home in self._homes.values()]
        for ledger in ledgers:
            if keep:
                ledger.keep()
            else:
                ledger.remove()
        if ledgers and keep:
            folders = ",".join(str(ledger.folder) for ledger in ledgers)
            logger.warning("kept folder=%s since %s", folders, keep)


def _given_credentials(security: object) -> Credentials | None:
    if security is None or isinstance(security, Credentials):
        return security
    raise ConfigError(
        f"security={security!r} is no Credentials; leave it out: each cluster makes its own"
    )


def _scheduler_options(values: dict[str, Any], place: str) -> dict[str, Any]:
    options = dict(values.get("scheduler_options") or {})
    unknown = sorted(set(options) - SCHEDULER_OPTIONS - IGNORED_OPTIONS)
    if unknown:
        raise ConfigError(
            f"{place}scheduler_options: {', '.join(unknown)}: no such option; there are "
            f"{', '.join(sorted(SCHEDULER_OPTIONS))}"
        )
    if idle := sorted(set(options) & IGNORED_OPTIONS):
        warn(f"scheduler_options: {', '.join(idle)}: there is no dashboard yet")
    port = options.get("port") or 0
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"{place}scheduler_options: port: {port!r} is no port; give 0 to 65535")
    try:
        protocol_told = protocol(options.get("protocol"))
    except ValueError as error:
        raise ConfigError(f"{place}scheduler_options: protocol: {error}") from None
    options["protocol"] = protocol_told or values.get("protocol") or "tls"
    return options


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
