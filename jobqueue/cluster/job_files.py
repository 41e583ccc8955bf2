"""What the jobs of a pool read and write: their script, their logs, their agents' last words."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from jobqueue.cluster.causes import ENDED_FROM_OUTSIDE, LastWords, judge
from jobqueue.cluster.exit_records import read_exit_records
from jobqueue.cluster.jobs import JobReport
from jobqueue.cluster.launcher import tail_logs


class JobFiles:
    """The files of one pool's jobs.

    Parameters
    ----------
    render
        Returns the job script; called with whether it is submitted as an array.
    logs
        Returns the log files of a job.
    exit_record
        Returns the file in which the agent of a job's first node tells why it ended; None if
        there is none.
    log_directory
        The folder of the log files, None for where the batch system puts them.
    """

    def __init__(
        self,
        render: Callable[[bool], str],
        logs: Callable[[str], Iterable[str]],
        exit_record: Callable[[str], str | None],
        log_directory: str | None = None,
    ) -> None:
        self.render = render
        self.log_directory = log_directory
        self._logs = logs
        self._exit_record = exit_record

    def logs(self, job_id: str) -> tuple[Path, ...]:
        """Return the files that a job's output goes to, each once."""
        return tuple(dict.fromkeys(_expanded(path) for path in self._logs(job_id)))

    def exit_records(self, job_id: str) -> tuple[LastWords, ...]:
        """Return what a job's agents wrote at their end, as far as it came to that."""
        path = self._exit_record(job_id)
        return read_exit_records(_expanded(path)) if path else ()

    def post_mortem(self, report: JobReport) -> JobReport:
        """Add to a report on an ended or missing job what the job itself has left behind."""
        files = self.logs(report.job_id)
        records = self.exit_records(report.job_id)
        log_tail = tail_logs(files)
        verdict = judge(report.cause, records, reason=report.reason, log_tail=log_tail)
        exit_code = report.exit_code
        if exit_code is None and records:
            exit_code = records[0].exit_code
        if exit_code == 0 and verdict.cause in ENDED_FROM_OUTSIDE:
            exit_code = None  # nobody has seen its exit status
        return dataclasses.replace(
            report,
            reason=verdict.reason,
            exit_code=exit_code,
            cause=verdict.cause,
            log_path=", ".join(map(str, files)),
            log_tail=log_tail,
        )


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()
