"""What an agent tells of its job: lines in the log, and the exit record."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence

import jobqueue
from jobqueue.worker.agent_log import Log
from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.deadline import Deadline
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.exit_record import ExitRecord, WorkerEnd, show_tried, write_atomically
from jobqueue.worker.options import WorkerOptions
from jobqueue.worker.orders import End, Request

# Ends of an agent that its workers' last words explain.
_EXPLAINED_BY_WORKERS = (ExitCode.NO_SCHEDULER, ExitCode.REFUSED, ExitCode.CRASHED)


class Chronicle:
    """Tells of one agent.

    A job that was put back into the queue comes again under its id: the record of an earlier life
    would be taken for this one's, so it is removed at once.

    Parameters
    ----------
    options
        The agent's.
    log
        Where lines go.
    """

    def __init__(self, options: AgentOptions, log: Log) -> None:
        self._options = options
        self._log = log
        self._identity = {
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "job": options.job_id,
            "name": options.name,
            "rank": options.rank if options.nodes > 1 else None,
        }
        self._record = ExitRecord(self._identity, started=time.time())
        self._tried: Sequence[tuple[str, str]] = ()
        self._expected = False  # whether somebody has made a folder for the record
        if options.exit_record is not None:
            self._expected = os.path.isdir(os.path.dirname(options.exit_record))
            with contextlib.suppress(OSError):
                os.unlink(options.exit_record)

    def started(self, workers: Sequence[WorkerOptions], deadline: Deadline | None) -> None:
        """Tell that the agent begins, and with what."""
        options, worker = self._options, workers[0]
        self._log.line(
            "started",
            **self._identity,
            python=".".join(map(str, sys.version_info[:3])),
            jobqueue=getattr(jobqueue, "__version__", None),
            executable=sys.executable,
            scheduler=",".join(options.addresses),
            workers=len(workers),
            threads=worker.nthreads,
            memory_limit=worker.memory_limit,
            pool=options.pool or None,
        )
        if deadline is not None:
            self._log.line("deadline", at=_utc(deadline.at), known_from=deadline.source,
                           margin=f"{deadline.margin:g}s")  # fmt: skip
        asked = options.memory_limit
        if asked and asked > 1 and asked != worker.memory_limit:
            self._log.line("workers' memory reduced to leave room for the agent",
                           asked=asked, limit=worker.memory_limit)  # fmt: skip
        for option in options.ignored:
            self._log.line("option without effect", **option._asdict())

    def worker_ended(self, end: WorkerEnd, tried: Sequence[tuple[str, str]] = ()) -> None:
        """Tell how a worker ended, and where it has looked for a scheduler in vain."""
        said = end.last_lines[-1].strip() if end.last_lines else None
        self._log.line("worker ended", worker=end.worker, pid=end.pid, cause=end.cause,
                       ran=f"{end.ended - end.started:.1f}s", said=said)  # fmt: skip
        self._record.add(end)
        if tried:
            self._tried = tried

    def record_so_far(self, request: Request) -> str:
        """Return the record of an agent that was asked to end, and may not live to tell more."""
        return self._to_json(End(request.exit_code, request.cause, request.kind), None)

    def ends(self, end: End) -> None:
        """Tell why the agent ends, as the last line of its log and in its record."""
        explained = end.exit_code in _EXPLAINED_BY_WORKERS
        said = self._record.last_words() if explained else None
        path = self._options.exit_record
        if path is not None:
            try:
                write_atomically(path, self._to_json(end, said))
            except OSError as error:
                # A cluster that was closed has taken its folder away: nobody asks any more.
                if not (self._expected and isinstance(error, FileNotFoundError)):
                    self._log.line("exit record not written", path=path, error=error)
        tried = show_tried(self._tried) if explained and self._tried else None
        self._log.line("ends", exit_code=int(end.exit_code), cause=end.cause, said=said,
                       tried=tried)  # fmt: skip

    def _to_json(self, end: End, said: str | None) -> str:
        return self._record.to_json(
            exit_code=int(end.exit_code),
            cause=end.cause,
            kind=str(end.kind),
            said=said,
            tried=self._tried,
            ended=time.time(),
        )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
