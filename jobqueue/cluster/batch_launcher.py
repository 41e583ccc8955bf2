"""The jobs of one pool, by way of a batch system: their script, submissions, files.

What all pools share (queries, cancellation, the commands themselves) is in batch_system.py.

Rules:

* Many jobs are one submission (an array) where the batch system has arrays.
* Each submission carries a mark, which is in the ledger before the command runs.  When the command
  does not tell what came of it (the controller hung, and may have accepted the job all the same),
  the mark is looked for: before the next submission, and in every query (see doubts.py).  Where the
  batch system shows no marks, the error says how to look for the job by oneself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from jobqueue.batch.answers import BatchState, EndCause, JobStatus
from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.ids import new_mark
from jobqueue.cluster.batch_system import BatchSystem
from jobqueue.cluster.dialect import Dialect
from jobqueue.cluster.doubts import Doubts
from jobqueue.cluster.job_files import JobFiles
from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.ledger import Ledger
from jobqueue.cluster.pool import Submission
from jobqueue.cluster.threads import off_loop
from jobqueue.errors import BatchSystemError, CommandTimeout

logger = logging.getLogger("jobqueue.cluster")

WAITS_FOR_ACCOUNT = 3
"""Queries for which the news of a job's end may wait for its exit code."""

_PHASES = {
    BatchState.PENDING: Phase.PENDING,
    BatchState.RUNNING: Phase.RUNNING,
    BatchState.ENDED: Phase.ENDED,
}


class BatchLauncher:
    """Submits the jobs of one pool, and tells what became of them.

    Parameters
    ----------
    adapter
        The batch system, with what this pool's jobs ask for.
    files
        The job script and what the jobs write.
    ledger
        Where submissions are noted; its folder holds the scripts.
    source
        The same batch system, shared with other pools.
    pool
        The pool's name.
    """

    def __init__(
        self,
        adapter: BatchAdapter,
        files: JobFiles,
        ledger: Ledger,
        source: BatchSystem,
        *,
        pool: str = "default",
    ) -> None:
        self.files = files
        self.ledger = ledger
        self.source = source
        self.pool = pool
        self.script: str | None = None
        self._dialect = Dialect(adapter, like=source.dialect)
        self._doubts = Doubts()
        source.doubts.append(self._doubts)
        self._found: set[str] = set()  # jobs of those that exist, and that nobody was told of yet
        self._waits: dict[str, int] = {}  # queries for which a job's end waited to be explained

    @property
    def adapter(self) -> BatchAdapter:
        """The batch system, in the dialect that has turned out to be spoken here."""
        return self._dialect.adapter

    @property
    def system(self) -> str:
        """The batch system's name."""
        return self.adapter.name

    @property
    def in_doubt(self) -> bool:
        """Whether a submission may have been accepted that we have no ids of."""
        return bool(self._doubts or self._found)

    def check(self) -> None:
        """Raise CommandNotFound if the batch system's commands are not on PATH."""
        self.source.check()

    # --- submitting ----------------------------------------------------------------------

    async def submit(self, count: int) -> Submission:
        """Submit as few times as possible."""
        found: tuple[str, ...] = ()
        try:
            earlier = await self._found_again()
            if earlier is not None:
                return Submission(earlier)
            await self.source.learn_dialect()
            while missing := count - len(found):
                found += await self._submit_once(min(missing, self.adapter.array_limit))
            return Submission(found)
        except (BatchSystemError, OSError) as error:
            logger.warning("submission failed system=%s error=%s", self.system, error)
            return Submission(found, error, in_doubt=self.in_doubt)

    async def _submit_once(self, count: int) -> tuple[str, ...]:
        """Submit jobs and return their ids; () if it has to be tried again in a simpler way."""
        tag = new_mark()
        script, text = await off_loop(self._write_script, count, tag)
        argv = self.adapter.submit_argv(
            script, count=count, tag=tag, log_directory=self.files.log_directory
        )
        stdin = self.adapter.submit_input(script, text, count=count)
        marked = tag in text or any(tag in word for word in argv)
        await off_loop(self.ledger.submitting, tag)
        ids: tuple[str, ...] = ()
        try:
            completed = await self.source.run(argv, stdin)
            if self._dialect.learn(completed):
                return ()
            if marked and self.adapter.uncertain(completed):
                self.look_for([tag])
            ids = self.adapter.submitted(completed, count, script=script)
        except CommandTimeout as error:
            error.script = script
            if not marked:
                raise self._unseen(error) from None
            self.look_for([tag])
            raise
        finally:
            if tag not in self._doubts:
                await self._note(partial(self.ledger.submitted, tag, ids, pool=self.pool))
        logger.info(
            "submitted pool=%s system=%s jobs=%d first=%s",
            self.pool, self.system, len(ids), ids[0],
        )  # fmt: skip
        return ids

    def _unseen(self, error: CommandTimeout) -> CommandTimeout:
        """Return the error with how to find out what came of the submission: nobody else can."""
        look = shlex.join((*self.source.prefix, *self.adapter.status_query(()).argv))
        return CommandTimeout(
            f"{error}; the job may have been accepted all the same: look with `{look}`",
            argv=error.argv,
            output=error.output,
            script=error.script,
        )

    def _write_script(self, count: int, tag: str) -> tuple[str, str]:
        array = count > 1
        # The pool comes first: one called "array" has no file that is another's, either.
        stem = "job" if self.pool == "default" else f"{self.pool}-job"
        path = self.ledger.folder / f"{stem}{'-array' if array else ''}.sh"
        text = self.adapter.marked(self.files.render(array), tag, count=count)
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
            statuses = await self.source.ask(lambda adapter: adapter.status_query(()))
            if doubts != self._doubts.tags():
                return ()
            if found := await self._take_found(statuses):
                self._found.difference_update(found)
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
        resolved = self._doubts.take(statuses, time.monotonic())
        found = tuple(job_id for ids in resolved.values() for job_id in ids)
        self._found.update(found)  # at once: whoever asked may be cancelled, at the cluster's end
        for tag, ids in resolved.items():
            await self._note(partial(self.ledger.submitted, tag, ids, pool=self.pool))
            if ids:
                logger.info("found again system=%s jobs=%s", self.system, ",".join(ids))
        return found

    # --- watching ------------------------------------------------------------------------

    async def query(self, job_ids: Sequence[str]) -> list[JobReport]:
        """Ask about jobs of this pool alone; `read` takes an answer about the jobs of all."""
        return await self.read(await self.source.look(job_ids), job_ids)

    async def read(
        self, answer: Mapping[str, JobStatus], job_ids: Sequence[str]
    ) -> list[JobReport]:
        """Return what an answer of the batch system says of this pool's jobs.

        Parameters
        ----------
        answer
            What `BatchSystem.look` returned.
        job_ids
            The pool's jobs that were asked about. Others are told of if they were in doubt.
        """
        await self._take_found(answer)
        found = self._found.copy()
        asked = (*job_ids, *sorted(found.difference(job_ids)))
        known = {job_id: answer[job_id] for job_id in asked if job_id in answer}
        reports = await off_loop(self._reports, asked, known)
        self._found -= found
        return reports

    def _may_wait(self, job_id: str) -> bool:
        """Give the accounting, which lags behind, a few queries' time to tell an exit code."""
        if not self.source.may_explain(job_id):
            return False
        self._waits[job_id] = self._waits.get(job_id, 0) + 1
        return self._waits[job_id] <= WAITS_FOR_ACCOUNT and not self.files.exit_records(job_id)

    def _reports(self, job_ids: Iterable[str], known: Mapping[str, JobStatus]) -> list[JobReport]:
        reports = []
        for job_id in job_ids:
            status = known.get(job_id)
            if status is not None and not self.source.explained(status) and self._may_wait(job_id):
                continue
            if status is None:
                reports.append(self.files.post_mortem(JobReport(job_id, Phase.MISSING)))
            elif status.state in _PHASES:  # an unknown state is in the log, and no news
                report = report_of(status)
                reports.append(self.files.post_mortem(report) if _over(report) else report)
        return reports

    async def last_run(self, job_id: str) -> str:
        """Look at what a job has left that waits again: its log tells of a node that failed."""
        report = await off_loop(self.files.post_mortem, JobReport(job_id, Phase.ENDED))
        return report.cause

    # --- ending --------------------------------------------------------------------------

    async def ended(self, job_ids: Collection[str]) -> None:
        """Strike jobs out of the ledger."""
        self.source.forget(job_ids)
        for job_id in job_ids:
            self._waits.pop(job_id, None)
        if job_ids:
            await self._note(partial(self.ledger.ended, job_ids))

    async def _note(self, change: Callable[[], None]) -> None:
        """Write down what has happened: the jobs are as they are, whether that succeeds or not."""
        try:
            await off_loop(change)
        except OSError as error:
            logger.error("ledger not written folder=%s error=%s", self.ledger.folder, error)

    def log_files(self, job_id: str) -> tuple[Path, ...]:
        """Return the files a job's output goes to."""
        return self.files.logs(job_id)

    async def close(self) -> None:
        """Nothing is held."""


def report_of(status: JobStatus) -> JobReport:
    """Return what a batch system says of a job, in the words of a pool."""
    phase = _PHASES[status.state]
    raw = status.raw_state
    exit_code = status.exit_code
    if status.cause not in (None, EndCause.COMPLETED) and not exit_code:
        # 0 beside a signal would look like a good end; of a crash, it is said as shells do.
        crashed = status.cause is EndCause.CRASHED and status.signal is not None
        exit_code = 128 + (status.signal or 0) if crashed else None
    held = status.held and phase is Phase.PENDING
    telling = len(raw) > 1 and raw.lower() != phase  # CONFIGURING is, Q and PENDING are not
    told = (raw if telling and (held or not status.reason) else "", status.reason)
    return JobReport(
        status.job_id,
        phase,
        reason=": ".join(filter(None, told)),
        estimated_start=status.estimated_start,
        node=status.node,
        exit_code=exit_code,
        cause=status.cause.value if status.cause else "",
        held=held,
    )


def _over(report: JobReport) -> bool:
    return report.phase in (Phase.ENDED, Phase.MISSING)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o700)  # some batch systems run the file itself
