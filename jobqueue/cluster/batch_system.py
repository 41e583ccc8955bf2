"""A batch system as a whole cluster meets it: asked once for the jobs of all pools.

Rules:

* One query for all jobs of all pools; what it does not explain is asked for once more, where ended
  jobs are remembered. One cancellation for all jobs.
* No failed query says anything about a job.
* That a site does not offer a second look is found out once, and is no error. One that failed is
  tried again with the next job that ended: whoever keeps the accounts may have been restarted.

What is of one pool (its script, its submissions, its files) stands in batch_launcher.py. Pools
share a `BatchSystem` if their adapters ask the same (`question`): those whose jobs go to another
cluster of a federation do not.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from jobqueue.batch import commands
from jobqueue.batch.answers import Argv, BatchState, Completed, JobStatus, Query
from jobqueue.batch.base import BatchAdapter
from jobqueue.cluster.dialect import Dialect
from jobqueue.cluster.doubts import Doubts
from jobqueue.errors import BatchSystemError, CommandNotFound, CommandTimeout

logger = logging.getLogger("jobqueue.cluster")

CANCELLED_AT_ONCE = 1000
"""Ids in one cancellation, which have to fit into a command line."""

ASKED_FOR_REASONS = 20
"""Pending jobs whose reasons are asked for in one query; the others mostly wait for the same."""

INTERVALS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


def question(adapter: BatchAdapter) -> tuple[Argv, ...]:
    """Return how an adapter asks about jobs, and cancels them.

    Examples
    --------
    >>> from jobqueue.batch.slurm import SlurmAdapter
    >>> question(SlurmAdapter()) == question(SlurmAdapter(clusters="galaxy"))
    False
    """
    return adapter.status_query(()).argv, adapter.cancel_argv(("1",))


class BatchSystem:
    """Runs a batch system's commands that concern jobs of any pool.

    Parameters
    ----------
    adapter
        The batch system.
    prefix
        Words before each command: another program that stands in for the batch system's.
    timeout
        Seconds that each command has to answer.
    """

    intervals: Sequence[float] = INTERVALS

    def __init__(
        self, adapter: BatchAdapter, *, prefix: Argv = (), timeout: float = commands.TIMEOUT
    ) -> None:
        self.prefix = prefix
        self.timeout = timeout
        self.dialect = Dialect(adapter)
        self.doubts: list[Doubts] = []  # what each pool looks for
        self._probed = False
        self._silent: set[str] = set()  # commands for second looks that this site does not offer
        self._cancelled: set[str] = set()  # jobs whose end needs no explanation

    def __repr__(self) -> str:
        """``<BatchSystem slurm>``."""
        return f"<BatchSystem {self.name}>"

    @property
    def name(self) -> str:
        """The batch system's name."""
        return self.adapter.name

    @property
    def adapter(self) -> BatchAdapter:
        """What to say to it, in the dialect that has turned out to be spoken here."""
        return self.dialect.adapter

    def check(self) -> None:
        """Raise CommandNotFound if the batch system's commands are not on PATH."""
        command = (*self.prefix, *self.adapter.submit_argv("script"))[0]
        if not commands.available(command):
            raise commands.not_found(command)

    # --- commands ------------------------------------------------------------------------

    async def run(self, argv: Argv, stdin: str | None = None) -> Completed:
        """Run one command."""
        completed = await commands.run((*self.prefix, *argv), stdin=stdin, timeout=self.timeout)
        return Completed(argv, completed.returncode, completed.stdout, completed.stderr)

    async def ask(self, query: Callable[[BatchAdapter], Query]) -> dict[str, JobStatus]:
        """Ask a question, again in a simpler dialect if need be; returns jobs by id.

        Raises
        ------
        BatchSystemError
            There was no answer.
        """
        asked = query(self.adapter)
        while self.dialect.learn(completed := await self.run(asked.argv)):
            asked = query(self.adapter)
        return asked.parse(completed)

    async def learn_dialect(self) -> None:
        """Find out once whose commands these are, before a job depends on it."""
        if self.adapter.probe_argv and not self._probed:
            self.dialect.learn(await self.run(self.adapter.probe_argv))
        self._probed = True

    # --- watching ------------------------------------------------------------------------

    async def look(self, job_ids: Sequence[str]) -> dict[str, JobStatus]:
        """Ask once for all jobs, and a second time about those whose end is not explained.

        Parameters
        ----------
        job_ids
            Jobs of all pools.

        Returns
        -------
        dict
            What the batch system shows, by id; perhaps of other jobs of this user as well.

        Raises
        ------
        BatchSystemError
            There was no answer.
        """
        statuses = await self.ask(lambda adapter: adapter.status_query(job_ids))
        if job_ids and any(self.doubts) and self._asks_by_id(job_ids):
            statuses = await self.ask(lambda adapter: adapter.status_query(())) | statuses
        statuses |= await self._second_looks(
            [i for i in job_ids if not self.explained(statuses.get(i))]
        )
        statuses |= await self._reasons({i: statuses[i] for i in job_ids if i in statuses})
        return statuses

    def _asks_by_id(self, job_ids: Sequence[str]) -> bool:
        """Tell whether the answer about these jobs shows no others, which may be looked for."""
        return self.adapter.status_query(job_ids).argv != self.adapter.status_query(()).argv

    def explained(self, status: JobStatus | None) -> bool:
        """Tell whether no more is to be learnt of a job now."""
        if status is None:
            return False
        return (
            status.state is not BatchState.ENDED
            or status.exit_code is not None
            or status.signal is not None
            or status.job_id in self._cancelled
        )

    def may_explain(self, job_id: str) -> bool:
        """Tell whether a later look may tell more of how a job ended: accounting lags behind."""
        asked = {query.argv[0] for query in self.adapter.ended_queries([job_id])}
        return not asked <= self._silent

    async def _second_looks(self, job_ids: list[str]) -> dict[str, JobStatus]:
        """Ask where ended jobs are remembered; that the site has no such place is no error."""
        found: dict[str, JobStatus] = {}
        for index, query in enumerate(self.adapter.ended_queries(job_ids) if job_ids else ()):
            if query.argv[0] in self._silent or len(found) == len(job_ids):
                continue
            try:
                answer = await self.ask(_second_look(job_ids, index))
            except CommandTimeout:
                continue
            except BatchSystemError as error:
                if isinstance(error, CommandNotFound) or self.adapter.offers_none(error.output):
                    self._silent.add(query.argv[0])
                logger.info("no account of ended jobs system=%s error=%s", self.name, error)
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
            told = query.parse(await self.run(query.argv))
        except BatchSystemError as error:
            logger.info("no reasons system=%s error=%s", self.name, error)
            return {}
        return {
            i: dataclasses.replace(known[i], reason=told[i].reason) for i in waiting if i in told
        }

    # --- ending --------------------------------------------------------------------------

    async def cancel(self, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
        """Cancel jobs in one command; how much time they get is the batch system's to say.

        Raises
        ------
        BatchSystemError
            It refused, or did not answer.
        """
        self._cancelled.update(job_ids)
        for start in range(0, len(job_ids), CANCELLED_AT_ONCE):
            argv = self.adapter.cancel_argv(job_ids[start : start + CANCELLED_AT_ONCE])
            completed = await self.run(argv)
            if problem := self.adapter.cancel_problem(completed):
                raise BatchSystemError(
                    f"{argv[0]} failed (exit status {completed.returncode}): {problem}",
                    argv=argv,
                    returncode=completed.returncode,
                    output=completed.words,
                )

    def forget(self, job_ids: Iterable[str]) -> None:
        """Forget jobs that are over."""
        self._cancelled.difference_update(job_ids)


def _second_look(job_ids: Sequence[str], index: int) -> Callable[[BatchAdapter], Query]:
    return lambda adapter: adapter.ended_queries(job_ids)[index]
