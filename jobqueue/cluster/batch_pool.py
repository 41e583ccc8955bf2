"""One pool of a cluster on a batch system: its job script, and where its jobs write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.own_directives import NO_LIMIT, TimeLimit, array_in, time_limit
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.batch_launcher import BatchLauncher
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.limits import UNLIMITED, Limits
from jobqueue.config.checks import check_margin
from jobqueue.config.keywords import CLOCKS
from jobqueue.config.units import format_walltime, parse_walltime
from jobqueue.config.warn import warn
from jobqueue.errors import ConfigError

MOST_JOBS = 100
"""Jobs of a pool that adapts to any load: more than that somebody should have asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """What a pool has of its cluster, once that was opened.

    Parameters
    ----------
    source
        The batch system, shared by all pools that ask the same of it. Its ids tell their jobs
        apart, and no others.
    ledger
        Where their submissions are noted; it knows the folder for what the jobs read and write.
    """

    source: BatchSystem
    ledger: Ledger

    @property
    def shared(self) -> Path:
        """The folder that the nodes see."""
        return self.ledger.shared


class BatchPool:
    """The plan of one pool.

    Parameters
    ----------
    name
        The pool's name.
    values
        Keyword -> value, as `jobqueue.config.resolve` leaves them.
    adapter
        The batch system.
    limits
        What this pool asks of it by itself at the most.

    Raises
    ------
    ConfigError
        Something that cannot stand in a job script, or a template with a mistake.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        adapter: BatchAdapter,
        *,
        limits: Limits = UNLIMITED,
    ) -> None:
        self.name = name
        spec = JobSpec.from_values({**adapter.job_values(values), "pool": name})
        self.spec = _minding_own_directives(spec, adapter.name)
        adapter = adapter.with_directives(self.spec.job_extra_directives)
        self._adapter = adapter.with_keywords(values)
        if advice := self._adapter.advice(values):
            warn(advice)
        self.size = JobSize.of(self.spec)
        self.limits = limits
        self.most_jobs: int = values.get("max_jobs") or MOST_JOBS
        self.margin: float | None = self.spec.walltime_margin
        self._home: Home | None = None
        self._launcher: BatchLauncher | None = None

    def __repr__(self) -> str:
        """``<BatchPool gpu: slurm>``."""
        return f"<BatchPool {self.name}: {self._adapter.name}>"

    @property
    def adapter(self) -> BatchAdapter:
        """The batch system, in the dialect that has turned out to be spoken here."""
        return self._adapter if self._launcher is None else self._launcher.adapter

    def settle(self, home: Home) -> None:
        """Take over what the cluster has made for its jobs; make the folder for logs.

        Raises
        ------
        ConfigError
            The folder cannot be made.
        """
        self._home = home
        if self.spec.log_directory is None:
            self.spec = dataclasses.replace(self.spec, log_directory=str(home.shared / "logs"))
        make_folder("log_directory", str(self.spec.log_directory))

    def launcher(self, addresses: Sequence[str]) -> BatchLauncher:
        """Return the launcher that submits this pool's job script."""
        assert self._home is not None, "settle() comes first"
        home = self._home
        files = JobFiles(
            render=lambda array: self._render(addresses, array=array),
            logs=lambda job_id: self.adapter.log_paths(
                job_id, job_name=self.spec.job_name, log_directory=self.spec.log_directory
            ),
            exit_record=lambda job_id: str(home.shared / "exit" / f"{job_id}.json"),
            log_directory=self.spec.log_directory,
        )
        self._launcher = BatchLauncher(
            self._adapter, files, home.ledger, home.source, pool=self.name
        )
        return self._launcher

    def job_script(self, addresses: Sequence[str]) -> str:
        """Return the script of a single job."""
        return self._render(addresses, array=False)

    def _render(self, addresses: Sequence[str], *, array: bool) -> str:
        shared = Path("FOLDER") if self._home is None else self._home.shared
        return self.spec.render(
            self.adapter,
            addresses,
            credentials=str(shared / "credentials" / "worker"),
            array=array,
            exit_records=str(shared / "exit"),
        )


def _minding_own_directives(spec: JobSpec, system: str) -> JobSpec:
    """Take over the time limit of a user's own directives, as the batch system does.

    Raises
    ------
    ConfigError
        One of them makes each job several.
    """
    own = spec.job_extra_directives
    if several := array_in(system, own):
        raise ConfigError(
            f"job_extra_directives: {several!r} makes several jobs of each, and the cluster would "
            "know one of them: leave it out, and ask for as many jobs as you want by "
            "cluster.scale(jobs=...)"
        )
    if (limit := time_limit(system, own)) is None:
        return spec
    try:
        walltime = None if limit.trouble else _seconds(limit, system)
    except ValueError:
        limit = limit._replace(trouble="is no time that can be read here; say it by walltime")
    if limit.trouble:
        when = "when the batch system tells them to end"
        if spec.walltime:
            when = f"as if walltime={format_walltime(spec.walltime)} were theirs"
        if spec.walltime or limit.value:
            warn(
                f"job_extra_directives: {limit.directive!r} {limit.trouble}. Until then jobs hand "
                f"over {when}"
            )
        return spec
    if limit.both and spec.walltime:
        walltime = min(spec.walltime, walltime or spec.walltime)
    check_margin(spec.walltime_margin, walltime)
    return dataclasses.replace(spec, walltime=walltime)


def _seconds(limit: TimeLimit, system: str) -> int | None:
    """Return seconds, None for no limit; ValueError if it is no time."""
    if limit.value.lower() in NO_LIMIT:
        return None
    if limit.unit:
        return int(limit.value) * limit.unit
    clock = next(clock for clock, systems in CLOCKS.items() if system in systems)
    return parse_walltime(limit.value, clock)


def make_folder(keyword: str, folder: str) -> None:
    """Make a folder that a keyword names, of mode 0700; ConfigError if that fails."""
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{keyword}: {folder} cannot be made: {error.strerror}") from error
