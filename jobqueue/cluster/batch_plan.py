"""A cluster whose jobs a batch system runs."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobqueue.batch.base import Argv, BatchAdapter
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.batch_launcher import BatchLauncher, JobFiles
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.pool import Limits
from jobqueue.comm.addresses import interface_address, parse_address
from jobqueue.comm.credentials import Credentials
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

MOST_JOBS = 100
"""Jobs of a cluster that adapts to any load: more than that somebody should have asked for."""


class BatchPlan:
    """The plan of a cluster on a batch system.

    Parameters
    ----------
    values
        Keyword -> value, as `jobqueue.config.resolve` leaves them.
    adapter
        The batch system.
    prefix
        Words before each of its commands.

    Raises
    ------
    ConfigError
        An interface that does not exist, an option of the scheduler that nobody knows, ...
    """

    def __init__(self, values: dict[str, Any], adapter: BatchAdapter, *, prefix: Argv = ()) -> None:
        self.spec = JobSpec.from_values(adapter.job_values(values))
        adapter = adapter.with_directives(self.spec.job_extra_directives)
        self.adapter = adapter.with_keywords(values)
        if advice := self.adapter.advice(values):
            warn(advice)
        self.prefix = prefix
        self.name: str = values.get("name") or self.spec.job_name
        self.size = JobSize.of(self.spec)
        self.limits = Limits(values.get("max_jobs"), values.get("max_pending"), BURST, PACE)
        self.most_jobs = self.limits.max_jobs or MOST_JOBS
        self.credentials = _given_credentials(values.get("security"))
        self._options = _scheduler_options(values)
        self._shared_parent = values.get("shared_temp_directory")
        self._contact = _texts(
            self._options.get("contact_address") or values.get("contact_address")
        )
        self._listen = self._listening()
        self._ledger: Ledger | None = None
        self._shared: Path | None = None
        self._launcher: BatchLauncher | None = None
        self.job_script([self._listen])  # a mistake in a template is told before anything is begun

    # --- the scheduler's end -------------------------------------------------------------

    def listen(self) -> tuple[str, ...]:
        """Return one address: all interfaces, unless an option names one."""
        return (self._listen,)

    def _listening(self) -> str:
        options = self._options
        interface = options.get("interface") or self.spec.interface
        if host := options.get("host"):
            host = f"[{host}]" if ":" in host and not host.startswith("[") else host
        elif interface:
            try:
                host = interface_address(interface)
            except ConfigError as error:
                raise ConfigError(
                    f"{error}; if only the nodes have it, say what the scheduler is to use: "
                    'scheduler_options={"interface": ...}'
                ) from None
            host = f"[{host}]" if ":" in host else host
        else:
            host = "0.0.0.0"
        address = f"{options['protocol']}://{host}:{options.get('port') or 0}"
        parse_address(address)
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
        """The ledger of its jobs, once `open` was called."""
        return self._ledger

    def open(self) -> None:
        """Make the cluster's folder with ledger and credentials, and the folder for logs."""
        self._ledger = Ledger.create(
            cluster=self.name,
            system=self.adapter.name,
            directives=self.spec.job_extra_directives,
            keywords=self.adapter.variables(),
            prefix=self.prefix,
        )
        shared = self._shared = self._shared_folder(self._ledger)
        if self.credentials is None:
            self.credentials = Credentials.create(self.name)
        try:
            self.credentials.others["worker"].save(shared / "credentials")
            (shared / "exit").mkdir(mode=0o700)
        except OSError as error:
            raise ConfigError(f"the folder {shared} cannot be used: {error.strerror}") from error
        if self.spec.log_directory is None:
            self.spec = dataclasses.replace(self.spec, log_directory=str(shared / "logs"))
        _make_folder("log_directory", str(self.spec.log_directory))

    def _shared_folder(self, ledger: Ledger) -> Path:
        if self._shared_parent is None:
            return ledger.folder
        _make_folder("shared_temp_directory", self._shared_parent)
        return Path(tempfile.mkdtemp(prefix="jobqueue-", dir=self._shared_parent))

    def launcher(self, addresses: Sequence[str]) -> BatchLauncher:
        """Return the launcher that submits this plan's job script."""
        assert self._ledger is not None, "open() comes first"
        assert self._shared is not None
        exit_records = self._shared / "exit"
        files = JobFiles(
            render=lambda array: self._render(addresses, array=array),
            logs=lambda job_id: self._speaking().log_paths(
                job_id, job_name=self.spec.job_name, log_directory=self.spec.log_directory
            ),
            exit_record=lambda job_id: str(exit_records / f"{job_id}.json"),
            log_directory=self.spec.log_directory,
        )
        self._launcher = BatchLauncher(self.adapter, files, self._ledger, prefix=self.prefix)
        return self._launcher

    def _speaking(self) -> BatchAdapter:
        """Return the adapter in the dialect that has turned out to be spoken here."""
        return self.adapter if self._launcher is None else self._launcher.adapter

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return the script of a single job."""
        return self._render(addresses, array=False)

    def _render(self, addresses: Sequence[str], *, array: bool) -> str:
        shared = self._shared or Path("FOLDER")
        return self.spec.render(
            self._speaking(),
            addresses,
            credentials=str(shared / "credentials" / "worker"),
            array=array,
            exit_records=str(shared / "exit"),
        )

    def close(self, *, orderly: bool) -> None:
        """Remove the folders; of a disorderly end, keep ledger, script and logs."""
        if self._ledger is None or self._shared is None:
            return
        shutil.rmtree(self._shared / "credentials", ignore_errors=True)
        if not orderly:
            logger.warning("kept folder=%s", self._ledger.folder)
            return
        shutil.rmtree(self._shared, ignore_errors=True)
        self._ledger.remove()


def _given_credentials(security: object) -> Credentials | None:
    if security is None or isinstance(security, Credentials):
        return security
    raise ConfigError(
        f"security={security!r} is no Credentials; leave it out: each cluster makes its own"
    )


def _scheduler_options(values: dict[str, Any]) -> dict[str, Any]:
    options = dict(values.get("scheduler_options") or {})
    unknown = sorted(set(options) - SCHEDULER_OPTIONS - IGNORED_OPTIONS)
    if unknown:
        raise ConfigError(
            f"scheduler_options: {', '.join(unknown)}: no such option; there are "
            f"{', '.join(sorted(SCHEDULER_OPTIONS))}"
        )
    if idle := sorted(set(options) & IGNORED_OPTIONS):
        warn(f"scheduler_options: {', '.join(idle)}: there is no dashboard yet")
    port = options.get("port") or 0
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"scheduler_options: port: {port!r} is no port; give 0 to 65535")
    options["protocol"] = options.get("protocol") or values.get("protocol") or "tls"
    return options


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _make_folder(keyword: str, folder: str) -> None:
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{keyword}: {folder} cannot be made: {error.strerror}") from error
