"""What a cluster lets its user see of its jobs and workers, and wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobqueue.client.timeouts import Timeout, seconds
from jobqueue.cluster.core import Core
from jobqueue.cluster.handle import Handle
from jobqueue.cluster.jobs import JobRecord
from jobqueue.errors import ConfigError
from jobqueue.scheduler.info import WorkerInfo

NOT_STARTED = ("tls://SCHEDULER:0",)
"""What stands in the job script of a cluster that was not started yet."""


class Insight(Handle):
    """The part of a cluster's handle that changes nothing."""

    _core: Core

    @property
    def status(self) -> str:
        """``created``, ``starting``, ``running``, ``closing``, ``closed`` or ``failed``."""
        return self._core.status

    @property
    def jobs(self) -> list[JobRecord]:
        """All jobs, oldest first, those that ended included: a snapshot.

        Examples
        --------
        >>> for job in cluster.jobs:  # doctest: +SKIP
        ...     print(job)
        12345_0 CONNECTED
        12345_1 PENDING (Resources), estimated start 2026-05-04T14:05:00
        """
        return self._call(self._core.jobs)

    @property
    def workers(self) -> Mapping[str, WorkerInfo]:
        """The connected workers by name: where each is, its job, what it does; a snapshot.

        Jobs that have no worker yet are among `jobs`.

        Examples
        --------
        >>> {name: worker.host for name, worker in cluster.workers.items()}  # doctest: +SKIP
        {'dask-worker-12345_0-0': 'node7', 'dask-worker-12345_0-1': 'node7'}
        """
        return {worker.name: worker for worker in self._call(self._core.workers)}

    def wait_for_workers(self, n_workers: int = 1, timeout: Timeout = None) -> Any:
        """Wait until workers are connected; to be awaited in an asynchronous cluster.

        Parameters
        ----------
        n_workers
            How many.
        timeout
            Seconds, text such as ``"5 min"``, or None for as long as it takes.

        Raises
        ------
        TimeoutError
            They are not there within `timeout`; says how things stand.
        WorkersUnavailable
            None will come; the message says why.
        ConfigError
            A number or a time that is none.

        Examples
        --------
        >>> cluster.scale(jobs=4)  # doctest: +SKIP
        >>> cluster.wait_for_workers(4, timeout="10 min")  # doctest: +SKIP
        """
        if not isinstance(n_workers, int) or isinstance(n_workers, bool) or n_workers < 0:
            raise ConfigError(f"n_workers={n_workers!r} is no whole number from 0 on")
        return self._run(self._core.wait_for_workers(n_workers, seconds(timeout)))

    def describe(self, *, pool: str | None = None) -> str:
        """Return one line about why there are as many workers as there are.

        Parameters
        ----------
        pool
            The pool to tell of; by default all of them.

        Examples
        --------
        >>> cluster.describe()  # doctest: +SKIP
        '0 workers; 2 jobs pending: slurm 12345_0 PENDING (Resources), slurm 12345_1 PENDING'
        """
        return self._call(lambda: self._core.describe(pool))

    def job_script(self, *, pool: str | None = None) -> str:
        """Return the script that is submitted for each job.

        In an asynchronous cluster that was not started yet, the scheduler's address in it is made
        up.

        Parameters
        ----------
        pool
            The pool whose jobs are meant; by default the first one.
        """
        plan = self._core.pool_plan(pool)
        if self.status == "created":
            return plan.job_script(NOT_STARTED)
        return self._call(lambda: plan.job_script(self._core.contact_addresses()))

    def logs(self, job: JobRecord | str) -> Any:
        """Return a job's output so far; to be awaited in an asynchronous cluster.

        Parameters
        ----------
        job
            A row of `jobs`, or its ``job_id``; ConfigError for one that this cluster has not.
        """
        job_id, pool = getattr(job, "job_id", str(job)), getattr(job, "pool", None)
        return self._run(self._core.logs(job_id, pool))

    def get_logs(self) -> Any:
        """Return the output of all jobs so far, by ``job_id``; as `logs`, which reads one of them.

        Of pools in two batch systems that gave the same id, by pool and id: ``gpu 7``.

        Examples
        --------
        >>> for job_id, text in cluster.get_logs().items():  # doctest: +SKIP
        ...     print(job_id, text.splitlines()[-1:])
        """
        return self._run(self._core.all_logs())
