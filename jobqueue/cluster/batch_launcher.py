"""Jobs by way of a batch system: one adapter's pure pieces, run one command at a time.

Rules:

* Many jobs are one submission (an array) where the batch system has arrays, one query, one
  cancellation.
* Each submission carries a mark, which is in the ledger before the command runs.  When the command
  does not tell what came of it (the controller hung, and may have accepted the job all the same),
  the mark is looked for: before the next submission, and in every query (see doubts.py).
* No failed query says anything about a job.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from jobqueue.batch import commands
from jobqueue.batch.base import Argv, BatchAdapter, BatchState, Completed, JobStatus, Query
from jobqueue.cluster.doubts import Doubts
from jobqueue.cluster.exit_records import ExitRecord, read_exit_record
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.launcher import tail_logs
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.pool import Submission
from jobqueue.cluster.threads import off_loop
from jobqueue.errors import BatchSystemError, CommandTimeout

logger = logging.getLogger("jobqueue.cluster")

CANCELLED_AT_ONCE = 1000
"""Ids in one cancellation, which have to fit into a command line."""

ASKED_FOR_REASONS = 20
"""Pending jobs whose reasons are asked for in one query; the others mostly wait for the same."""

WAITS_FOR_ACCOUNT = 3
"""Queries for which the news of a job's end may wait for its exit code."""

INTERVALS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)

_PHASES = {
    BatchState.PENDING: Phase.PENDING,
    BatchState.RUNNING: Phase.RUNNING,
    BatchState.ENDED: Phase.ENDED,
}


class JobFiles:
    """Where one pool's jobs write, and what their script says.

    Parameters
    ----------
    render
        Returns the job script; called with whether it is submitted as an array.
    logs
        Returns the log files of a job.
    exit_record
        Returns the file in which a job's agent tells why it ended.
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

    def exit_record(self, job_id: str) -> ExitRecord | None:
        """Return what a job's agent wrote at its end, if it came to that."""
        path = self._exit_record(job_id)
        return read_exit_record(_expanded(path)) if path else None


class BatchLauncher:
    """Submits, watches and cancels the jobs of one pool in a batch system.

    Parameters
    ----------
    adapter
        The batch system.
    files
        The job script and what the jobs write.
    ledger
        Where submissions are noted; its folder holds the scripts.
    prefix
        Words before each command: another program that stands in for the batch system's.
    timeout
        Seconds that each command has to answer.
    """

    intervals: Sequence[float] = INTERVALS

    def __init__(
        self,
        adapter: BatchAdapter,
        files: JobFiles,
        ledger: Ledger,
        *,
        prefix: Argv = (),
        timeout: float = commands.TIMEOUT,
    ) -> None:
        self.adapter = adapter
        self.files = files
        self.ledger = ledger
        self.prefix = prefix
        self.timeout = timeout
        self.script: str | None = None
        self._doubts = Doubts()
        self._probed = False
        self._silent: set[str] = set()  # commands for second looks that this site does not offer
        self._cancelled: set[str] = set()  # whose end needs no explanation
        self._waits: dict[str, int] = {}  # queries for which a job's end waited to be explained

    @property
    def system(self) -> str:
        """The batch system's name."""
        return self.adapter.name

    @property
    def in_doubt(self) -> bool:
        """Whether a submission may have been accepted that we have no ids of."""
        return bool(self._doubts)

    def check(self) -> None:
        """Raise CommandNotFound if the batch system's commands are not on PATH."""
        command = (*self.prefix, *self.adapter.submit_argv("script"))[0]
        if not commands.available(command):
            raise commands.not_found(command)

    # --- submitting ----------------------------------------------------------------------

    async def submit(self, count: int) -> Submission:
        """Submit as few times as possible."""
        found: tuple[str, ...] = ()
        try:
            earlier = await self._found_again()
            if earlier is not None:
                return Submission(earlier)
            await self.learn_dialect()
            while missing := count - len(found):
                found += await self._submit_once(min(missing, self.adapter.array_limit))
            return Submission(found)
        except (BatchSystemError, OSError) as error:
            logger.warning("submission failed system=%s error=%s", self.system, error)
            return Submission(found, error)

    async def learn_dialect(self) -> None:
        """Find out once whose commands these are, before a job depends on it."""
        if self.adapter.probe_argv and not self._probed:
            completed = await self._run(self.adapter.probe_argv)
            self.adapter = self.adapter.fallback(completed) or self.adapter
        self._probed = True

    async def _submit_once(self, count: int) -> tuple[str, ...]:
        """Submit jobs and return their ids; () if it has to be tried again in a simpler way."""
        script, text = await off_loop(self._write_script, count > 1)
        tag = f"jobqueue-{secrets.token_hex(8)}"
        argv = self.adapter.submit_argv(
            script, count=count, tag=tag, log_directory=self.files.log_directory
        )
        stdin = self.adapter.submit_input(script, text, count=count)
        marked = any(tag in word for word in argv)
        await off_loop(self.ledger.submitting, tag)
        ids: tuple[str, ...] = ()
        try:
            completed = await self._run(argv, stdin)
            if simpler := self.adapter.fallback(completed):
                self.adapter = simpler
                return ()
            if marked and self.adapter.uncertain(completed):
                self.look_for([tag])
            ids = self.adapter.submitted(completed, count, script=script)
        except CommandTimeout as error:
            error.script = script
            if marked:
                self.look_for([tag])
            raise
        finally:
            if tag not in self._doubts:
                await off_loop(self.ledger.submitted, tag, ids)
        logger.info("submitted system=%s jobs=%d first=%s", self.system, len(ids), ids[0])
        return ids

    def _write_script(self, array: bool) -> tuple[str, str]:
        path = self.ledger.folder / ("job-array.sh" if array else "job.sh")
        text = self.files.render(array)
        with open(path, "w", opener=_private) as file:
            file.write(text)
        self.script = str(path)
        return self.script, text

    def look_for(self, tags: Iterable[str]) -> None:
        """Look for the jobs of submissions whose outcome is not known, in the next queries."""
        self._doubts.add(tags, time.monotonic())

    async def _found_again(self) -> tuple[str, ...] | None:
        """Look for the jobs of submissions in doubt.

        Returns
        -------
        tuple of str, or None
            The ids of those that exist; () if a query has found them meanwhile; None if there are
            none, so that submitting is safe.
        """
        doubts = self._doubts.tags()
        while self._doubts:
            statuses = await self._ask(lambda adapter: adapter.status_query(()))
            if doubts != self._doubts.tags():
                return ()
            if found := await self._take_found(statuses):
                return found
            wait = self._doubts.settled_at() - time.monotonic()
            if wait <= 0:
                return None
            await asyncio.sleep(wait)
            if doubts != self._doubts.tags():
                return ()
        return None

    async def _take_found(self, statuses: Mapping[str, JobStatus]) -> tuple[str, ...]:
        """Take the jobs of submissions in doubt from an answer, and note which are not in it."""
        found: tuple[str, ...] = ()
        for tag, ids in self._doubts.take(statuses, time.monotonic()).items():
            await off_loop(self.ledger.submitted, tag, ids)
            if ids:
                logger.info("found again system=%s jobs=%s", self.system, ",".join(ids))
            found += ids
        return found

    # --- watching ------------------------------------------------------------------------

    async def query(self, job_ids: Sequence[str]) -> list[JobReport]:
        """Ask once for all jobs, and a second time about those whose end is not explained."""
        statuses = await self._ask(lambda adapter: adapter.status_query(job_ids))
        asked = (*job_ids, *await self._take_found(statuses))
        known = {job_id: statuses[job_id] for job_id in asked if job_id in statuses}
        known |= await self._second_looks([i for i in asked if not self._explained(known.get(i))])
        known |= await self._reasons(known)
        patient = {i for i in known if not self._explained(known[i]) and self._may_wait(i)}
        now = [job_id for job_id in asked if job_id not in patient]
        return await off_loop(self._reports, now, known)

    def _explained(self, status: JobStatus | None) -> bool:
        """Tell whether no more is to be learnt of a job now."""
        if status is None:
            return False
        return (
            status.state is not BatchState.ENDED
            or status.exit_code is not None
            or status.signal is not None
            or status.job_id in self._cancelled
        )

    def _may_wait(self, job_id: str) -> bool:
        """Give the accounting, which lags behind, a few queries' time to tell an exit code."""
        if {query.argv[0] for query in self.adapter.ended_queries([job_id])} <= self._silent:
            return False
        self._waits[job_id] = self._waits.get(job_id, 0) + 1
        return self._waits[job_id] <= WAITS_FOR_ACCOUNT and not self.files.exit_record(job_id)

    async def _second_looks(self, job_ids: list[str]) -> dict[str, JobStatus]:
        """Ask where ended jobs are remembered; that the site has no such place is no error."""
        found: dict[str, JobStatus] = {}
        for index, query in enumerate(self.adapter.ended_queries(job_ids) if job_ids else ()):
            if query.argv[0] in self._silent or len(found) == len(job_ids):
                continue
            try:
                answer = await self._ask(_second_look(job_ids, index))
            except CommandTimeout:
                continue
            except BatchSystemError as error:
                logger.info("no account of ended jobs system=%s error=%s", self.system, error)
                self._silent.add(query.argv[0])
                continue
            for job_id in job_ids:  # what it believes to be running, it has not heard the end of
                if job_id in answer and answer[job_id].state is BatchState.ENDED:
                    found[job_id] = answer[job_id]
        return found

    async def _reasons(self, known: Mapping[str, JobStatus]) -> dict[str, JobStatus]:
        """Ask why jobs are pending, where that is another question."""
        waiting = [i for i, s in known.items() if s.state is BatchState.PENDING and not s.reason][
            :ASKED_FOR_REASONS
        ]
        query = self.adapter.reason_query(waiting) if waiting else None
        if query is None:
            return {}
        try:
            told = query.parse(await self._run(query.argv))
        except BatchSystemError as error:
            logger.info("no reasons system=%s error=%s", self.system, error)
            return {}
        return {
            i: dataclasses.replace(known[i], reason=told[i].reason) for i in waiting if i in told
        }

    def _reports(self, job_ids: Iterable[str], known: Mapping[str, JobStatus]) -> list[JobReport]:
        reports = []
        for job_id in job_ids:
            status = known.get(job_id)
            if status is None:
                reports.append(self._post_mortem(JobReport(job_id, Phase.MISSING)))
            elif status.state in _PHASES:  # an unknown state is in the log, and no news
                report = _report(status)
                reports.append(self._post_mortem(report) if _over(report) else report)
        return reports

    def _post_mortem(self, report: JobReport) -> JobReport:
        """Add what the job itself has left behind: its agent's last word, and its log."""
        files = self.files.logs(report.job_id)
        record = self.files.exit_record(report.job_id)
        exit_code, cause = report.exit_code, report.cause
        if record is not None:
            exit_code = record.exit_code if exit_code is None else exit_code
            cause = record.judge(cause)
        return JobReport(
            report.job_id,
            report.phase,
            reason=report.reason,
            node=report.node,
            exit_code=exit_code,
            cause=cause,
            log_path=", ".join(map(str, files)),
            log_tail=tail_logs(files),
        )

    # --- ending --------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
        """Cancel jobs in one command; how much time they get is the batch system's to say."""
        self._cancelled.update(job_ids)
        for start in range(0, len(job_ids), CANCELLED_AT_ONCE):
            argv = self.adapter.cancel_argv(job_ids[start : start + CANCELLED_AT_ONCE])
            completed = await self._run(argv)
            if problem := self.adapter.cancel_problem(completed):
                raise BatchSystemError(
                    f"{argv[0]} failed (exit status {completed.returncode}): {problem}",
                    argv=argv,
                    returncode=completed.returncode,
                    output=completed.words,
                )

    def ended(self, job_ids: Iterable[str]) -> None:
        """Strike jobs out of the ledger."""
        over = tuple(job_ids)
        self._cancelled.difference_update(over)
        for job_id in over:
            self._waits.pop(job_id, None)
        self.ledger.ended(over)

    def log_files(self, job_id: str) -> tuple[Path, ...]:
        """Return the files a job's output goes to."""
        return self.files.logs(job_id)

    async def close(self) -> None:
        """Nothing is held."""

    # --- commands ------------------------------------------------------------------------

    async def _run(self, argv: Argv, stdin: str | None = None) -> Completed:
        completed = await commands.run((*self.prefix, *argv), stdin=stdin, timeout=self.timeout)
        return Completed(argv, completed.returncode, completed.stdout, completed.stderr)

    async def _ask(self, question: Callable[[BatchAdapter], Query]) -> dict[str, JobStatus]:
        query = question(self.adapter)
        completed = await self._run(query.argv)
        while simpler := self.adapter.fallback(completed):
            self.adapter = simpler
            query = question(simpler)
            completed = await self._run(query.argv)
        return query.parse(completed)


def _second_look(job_ids: Sequence[str], index: int) -> Callable[[BatchAdapter], Query]:
    return lambda adapter: adapter.ended_queries(job_ids)[index]


def _report(status: JobStatus) -> JobReport:
    phase = _PHASES[status.state]
    raw = status.raw_state
    telling = len(raw) > 1 and raw.lower() != phase  # CONFIGURING is, Q and PENDING are not
    return JobReport(
        status.job_id,
        phase,
        reason=status.reason or (raw if telling else ""),
        estimated_start=status.estimated_start,
        node=status.node,
        exit_code=status.exit_code,
        cause=status.cause.value if status.cause else "",
    )


def _over(report: JobReport) -> bool:
    return report.phase in (Phase.ENDED, Phase.MISSING)


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(path)).expanduser().absolute()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o700)  # some batch systems run the file itself
