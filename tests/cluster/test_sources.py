"""What a cluster says to batch systems, and what it makes of silence, refusals and mistakes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.cluster.pool import NOT_YET_VISIBLE
from jobqueue.errors import BatchSystemError


def test_a_batch_system_that_does_not_answer_loses_no_job(
    running: Any, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed queries are no news about jobs, and one line in the log, however many there are."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: s.states() == [JobState.PENDING])
            s.launcher.silent = True
            asked = len(s.launcher.log)
            await eventually(lambda: len(s.launcher.log) >= asked + 4)
            assert s.states() == [JobState.PENDING]
            s.launcher.silent = False
            s.launcher.phases["0"] = JobReport("0", Phase.RUNNING)
            await eventually(lambda: s.states() == [JobState.RUNNING])

    with caplog.at_level(logging.WARNING, "jobqueue.cluster"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "no answer system=fake error=no answer"
    ]


def test_a_mistake_in_a_query_is_not_the_last_one(running: Any, eventually: Any) -> None:
    """The batch system is asked again, and the job's end is noticed."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: s.states() == [JobState.PENDING])
            read, failed = s.launcher.read, asyncio.Event()

            async def fail_once(answer: Any, job_ids: Any) -> Any:
                if not failed.is_set():
                    failed.set()
                    raise ZeroDivisionError("our mistake")
                return await read(answer, job_ids)

            s.launcher.read = fail_once
            await failed.wait()
            s.end("0")
            await eventually(lambda: s.jobs["0"].state is JobState.ENDED)

    asyncio.run(main())


def test_jobs_whose_cancellation_is_refused_are_not_taken_for_ended(
    running: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may run on: `close` says so, and the table shows them as they were."""

    async def refuse(job_ids: Any, *, abandoned: bool = False) -> None:
        raise BatchSystemError("no")

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            monkeypatch.setattr(s.launcher, "cancel", refuse)
            assert not await s.loop.close()
            [job] = s.pool.jobs.values()
            assert job.state is not JobState.ENDED

    asyncio.run(main())


@pytest.mark.parametrize(
    ("output", "well"),
    [("Access/permission denied", True), ("Unable to contact slurm controller", False)],
)
def test_a_job_no_answer_shows_may_be_somebody_elses_by_now(
    running: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch, output: str, well: bool
) -> None:
    """Its id is used again: the others are ended all the same, and `close` has left none."""
    asked: list[tuple[str, ...]] = []

    async def refuse(job_ids: Any, *, abandoned: bool = False) -> None:
        asked.append(tuple(job_ids))
        if "0" in job_ids:
            raise BatchSystemError("no", returncode=1, output=output)

    async def main() -> None:
        async with running() as s:
            s.scale(2)
            await eventually(lambda: len(s.jobs) == 2)
            monkeypatch.setattr(s.launcher, "cancel", refuse)
            for number in (1, 2):
                s.pool.report(JobReport("0", Phase.MISSING), NOT_YET_VISIBLE + number + 1e9)
            assert s.jobs["0"].unaccounted
            assert await s.loop.close() is well
            *_, shown, unseen = asked
            assert unseen == ("0",)
            assert "1" in shown

    asyncio.run(main())


def test_silence_of_one_batch_system_keeps_nobody_from_asking_another(
    running: Any, launcher: Any, eventually: Any
) -> None:
    """Two pools may be on two clusters, of which one is down."""

    async def main() -> None:
        async with running() as s:
            other = type(launcher)()
            pool = s.loop.add("other", other, s.loop.pools["default"].size).state
            for name in ("default", "other"):
                s.loop.scale(name, 1)
            await eventually(lambda: s.jobs and pool.jobs)
            launcher.silent = True
            other.phases["0"] = JobReport("0", Phase.RUNNING)
            await eventually(lambda: pool.jobs["0"].state is JobState.RUNNING)

    asyncio.run(main())


def test_pools_of_one_batch_system_share_a_query(two_pools: Any, eventually: Any) -> None:
    """And one cancellation, at the end."""

    async def main() -> None:
        async with two_pools() as s:
            for name in ("default", "other"):
                s.loop.scale(name, 1)
            await eventually(lambda: ("look", ("0", "1")) in s.launcher.log)
            assert await s.loop.close()
            assert s.cancellations() == [("0", "1")]

    asyncio.run(main())


def test_what_is_in_doubt_is_looked_for_before_all_is_cancelled(
    running: Any, eventually: Any
) -> None:
    """A job whose submission was not answered would be left behind."""

    async def main() -> None:
        async with running() as s:
            s.launcher.in_doubt = True
            s.launcher.found = ["lost"]
            s.launcher.phases["lost"] = JobReport("lost", Phase.PENDING)
            assert await s.loop.close()
            assert s.cancellations() == [("lost",)]

    asyncio.run(main())


def test_what_stays_in_doubt_is_told(running: Any) -> None:
    """`close` cannot promise then that nothing is left."""

    async def main() -> None:
        async with running() as s:
            s.launcher.in_doubt = True
            assert not await s.loop.close()
            assert s.cancellations() == []

    asyncio.run(main())
