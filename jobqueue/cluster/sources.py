"""What a cluster says to batch systems: one query and one cancellation for all pools of each.

Rules:

* A query that is not answered says nothing about any job; it is a warning once, until one is.
* A mistake of our own in the query of one source must not be the end of asking the others.
* Submissions in doubt are looked for before all is cancelled, for their jobs would be left.
* Jobs that no answer shows are cancelled by themselves: see ``cancel_unseen``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from jobqueue.cluster.keeper import Keeper
from jobqueue.cluster.launcher import Source
from jobqueue.errors import BatchSystemError

logger = logging.getLogger("jobqueue.cluster")

# How batch systems refuse to end a job that is another user's.
_SOMEBODY_ELSES = re.compile(
    r"denied|unauthorized|not (authorized|allowed|owned|the right user)|privileges", re.IGNORECASE
)


class Sources:
    """Those that the jobs of some pools come from; pools may share one.

    Parameters
    ----------
    pools
        The pools by name; may grow.
    clock
        Returns the time in seconds.
    """

    def __init__(self, pools: Mapping[str, Keeper], clock: Callable[[], float]) -> None:
        self._pools = pools
        self._clock = clock
        self._unanswered: set[Source] = set()

    @property
    def worth_asking(self) -> bool:
        """Whether there may be a job anywhere."""
        return any(_has_jobs(keeper) for keeper in self._pools.values())

    def _members(self) -> list[tuple[Source, list[Keeper]]]:
        """Return who is to be asked, and of which pools."""
        found: dict[Source, list[Keeper]] = {}
        for keeper in self._pools.values():
            found.setdefault(keeper.launcher.source, []).append(keeper)
        return list(found.items())

    async def query(self) -> bool:
        """Ask about all jobs; return whether there was news."""
        asked = (self._query(*each) for each in self._members())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for error in answers:
            if isinstance(error, BaseException):
                logger.error("query failed", exc_info=error)
        return True in answers

    async def _query(self, source: Source, keepers: list[Keeper]) -> bool:
        if not any(map(_has_jobs, keepers)):
            return False
        try:
            news = await self._ask(source, keepers)
        except BatchSystemError as error:
            level = logging.DEBUG if source in self._unanswered else logging.WARNING
            logger.log(level, "no answer system=%s error=%s", keepers[0].launcher.system, error)
            self._unanswered.add(source)
            return False
        self._unanswered.discard(source)
        return news

    async def _ask(self, source: Source, keepers: list[Keeper]) -> bool:
        asked = {keeper: keeper.to_ask() for keeper in keepers}
        answer = await source.look([job_id for ids in asked.values() for job_id in ids])
        return any([await keeper.take(answer, ids) for keeper, ids in asked.items()])

    async def cancel(self, source: Source, job_ids: list[str]) -> None:
        """End jobs; if that failed, reconcile.py will have it done again."""
        try:
            await source.cancel(job_ids)
        except BatchSystemError as error:
            logger.warning("cancel failed error=%s", error)
            return
        for keeper in dict(self._members()).get(source, ()):
            await keeper.cancelled(job_ids)

    async def cancel_all(self) -> bool:
        """End whatever may exist; return whether that went well everywhere."""
        return all([await self._cancel_all(*each) for each in self._members()])

    async def _cancel_all(self, source: Source, keepers: list[Keeper]) -> bool:
        try:
            if any(keeper.launcher.in_doubt for keeper in keepers):
                await self._ask(source, keepers)
            await self._end(source, keepers)
        except BatchSystemError as error:
            logger.error(
                "jobs may be left system=%s jobs=%s error=%s",
                keepers[0].launcher.system,
                ",".join(job_id for keeper in keepers for job_id in keeper.to_end()),
                error,
            )
            return False
        return not any(keeper.launcher.in_doubt for keeper in keepers)

    async def abandon(self) -> None:
        """End all known jobs, of which nobody will hear any more; BatchSystemError if it failed."""
        for source, keepers in self._members():
            await self._end(source, keepers, abandoned=True)

    async def _end(self, source: Source, keepers: list[Keeper], *, abandoned: bool = False) -> None:
        jobs = {keeper: keeper.to_end() for keeper in keepers}
        unseen = {(keeper, job.job_id) for keeper in keepers for job in keeper.state.uncertain()}
        pairs = [(keeper, job_id) for keeper, ids in jobs.items() for job_id in ids]
        if job_ids := [pair[1] for pair in pairs if pair not in unseen]:
            await source.cancel(job_ids, abandoned=abandoned)
        if job_ids := [pair[1] for pair in pairs if pair in unseen]:
            await cancel_unseen(source, job_ids, abandoned=abandoned)
        for keeper, ids in jobs.items():
            keeper.state.cancelled(ids, self._clock())


async def cancel_unseen(source: Source, job_ids: Sequence[str], *, abandoned: bool = False) -> None:
    """End jobs that no answer shows; that they are somebody else's is no error.

    They may wait where no query looks. Or they are over, and their ids, which batch systems use
    again, are somebody else's by now: then every attempt would be refused, for ever.

    Raises
    ------
    BatchSystemError
        It failed for another reason.
    """
    try:
        await source.cancel(job_ids, abandoned=abandoned)
    except BatchSystemError as error:
        if not _SOMEBODY_ELSES.search(error.output):
            raise
        logger.info("jobs=%s are shown by no answer: %s", ",".join(job_ids), error)


def _has_jobs(keeper: Keeper) -> bool:
    """Tell whether a pool has jobs, or may have some that it does not know of."""
    return bool(keeper.state.unended()) or keeper.launcher.in_doubt
