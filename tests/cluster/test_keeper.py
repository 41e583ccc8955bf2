"""Several pools, kept by one loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.errors import BatchSystemError, CommandNotFound
from jobqueue.scheduler.load import Backlog


def test_all_pools_are_asked_about_together_and_cancelled_together(
    two_pools: Any, eventually: Any
) -> None:
    """One query and one cancellation, however many pools there are."""

    async def main() -> None:
        async with two_pools() as s:
            s.scale(2)
            s.loop.scale("other", 1)
            other = s.loop.pools["other"].state
            await eventually(lambda: len(s.jobs) == 2 and len(other.jobs) == 1)
            both = {*s.jobs, *other.jobs}
            asked = [set(ids) for what, ids in s.launcher.log if what == "look"]
            await eventually(
                lambda: both in [set(ids) for what, ids in s.launcher.log if what == "look"]
            )
            assert all(ids <= both for ids in asked)
            assert {job.pool for job in other.jobs.values()} == {"other"}
            assert await s.loop.close()
            assert [set(ids) for ids in s.cancellations()] == [both]

    asyncio.run(main())


def test_news_reach_the_pool_they_are_of(two_pools: Any, eventually: Any) -> None:
    """The other one's jobs are not touched: neither by losses nor by shrinking."""

    async def main() -> None:
        async with two_pools() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.loop.scale("other", 1)
            other = s.loop.pools["other"].state
            await eventually(lambda: list(other.jobs) == ["1"])
            assert s.joined("1", "w")
            assert other.jobs["1"].state is JobState.CONNECTED
            await eventually(lambda: s.states() == [JobState.PENDING])
            s.scale(0)
            await eventually(lambda: s.states() == [JobState.ENDED])
            assert s.cancellations() == [("0",)]
            assert s.left("1", "w")
            s.end("1")
            await eventually(lambda: "2" in other.jobs)
            assert list(s.jobs) == ["0"]

    asyncio.run(main())


def test_two_batch_systems_may_use_the_same_ids(running: Any, launcher: Any, worker: Any) -> None:
    """A worker says which pool it is of."""

    async def main() -> None:
        async with running() as s:
            s.loop.add("far", type(launcher)(), s.loop.pools["default"].size)
            pools = [s.loop.pools[name].state for name in ("default", "far")]
            for pool in pools:
                pool.adopt(["7"], 0.0)
            assert s.loop.worker_joined(worker("w", "7", pool="far", host="node3"))
            assert [pool.jobs["7"].node for pool in pools] == ["", "node3"], "known at once"
            assert [pool.jobs["7"].workers for pool in pools] == [set(), {"w"}]

    asyncio.run(main())


def test_pools_that_adapt_look_at_the_load_together(two_pools: Any, eventually: Any) -> None:
    """One look each interval; each task counts once, for the pool that was defined first."""

    async def main() -> None:
        now = 0.0
        async with two_pools(lambda: now) as s:
            s.scheduler.backlog = [
                Backlog(b"f", 4, 100.0),
                Backlog(b"g", 2, 100.0, pools=frozenset({"other"})),
            ]
            other = s.loop.pools["other"].state
            s.loop.adapt("other", Policy(maximum=9))
            s.loop.adapt("default", Policy(maximum=9))
            await eventually(lambda: (s.pool.wanted, other.wanted) == (2, 1))
            await eventually(lambda: s.submissions() == [2] and len(other.jobs) == 1)
            looks = s.scheduler.looks
            now += 1.0
            s.loop._something.set()
            await eventually(lambda: s.scheduler.looks > looks)
            assert s.scheduler.looks == looks + 1
            assert (s.pool.wanted, other.wanted) == (2, 1)

    asyncio.run(main())


def test_why_a_job_is_back_is_asked_when_it_waits_again(running: Any, eventually: Any) -> None:
    """Its log says that its node failed: another job comes at once."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.launcher.last_runs["0"] = "node failed"
            s.launcher.phases["0"] = JobReport("0", Phase.RUNNING)
            await eventually(lambda: s.states() == [JobState.RUNNING])
            s.launcher.phases["0"] = JobReport("0", Phase.PENDING, reason="BeginTime")
            await eventually(lambda: s.jobs["0"].why == "BeginTime, requeued, node failed")
            await eventually(lambda: len(s.jobs) == 2)

    asyncio.run(main())


def test_a_job_that_no_answer_shows_is_forgotten_after_it_was_cancelled(
    running: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the batch system takes the cancellation the ledger tells of it."""
    refusals: list[Any] = []

    async def refuse(job_ids: Any, *, abandoned: bool = False) -> None:
        refusals.append(job_ids)
        raise BatchSystemError("no")

    async def main() -> None:
        later = 0.0
        async with running(lambda: asyncio.get_running_loop().time() + later) as s:
            s.scale(1)
            await eventually(lambda: s.states() == [JobState.PENDING])
            with monkeypatch.context() as patch:
                patch.setattr(s.launcher, "cancel", refuse)
                s.launcher.phases["0"] = JobReport("0", Phase.MISSING)
                await eventually(lambda: s.jobs["0"].state is JobState.ENDED)
                await eventually(lambda: refusals == [["0"]])
            assert ("ended", "0") not in s.launcher.log
            later += 60.0
            s.loop._something.set()
            await eventually(lambda: ("ended", "0") in s.launcher.log)
            assert s.cancellations() == [("0",)]

    asyncio.run(main())


def test_jobs_that_will_never_start_are_warned_of_once(
    running: Any, eventually: Any, caplog: Any
) -> None:
    """In the log, with what to do; they are not cancelled."""

    async def main() -> None:
        async with running() as s:
            s.scale(2)
            await eventually(lambda: len(s.jobs) == 2)
            for job_id in s.jobs:
                s.launcher.phases[job_id] = JobReport(job_id, Phase.PENDING, reason="JobHeldAdmin")
            await eventually(lambda: {job.reason for job in s.jobs.values()} == {"JobHeldAdmin"})
            looks = len(s.launcher.log)
            await eventually(lambda: len(s.launcher.log) > looks + 2)
            assert s.cancellations() == []

    asyncio.run(main())
    [warning] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warning == (
        "pool=default system=fake JobHeldAdmin may not pass: it is held by an administrator: ask "
        "the site why"
    )


def test_who_waits_for_the_other_pool_has_no_outage(two_pools: Any, eventually: Any) -> None:
    """Only the tasks that nobody else could run are said to wait in vain."""

    async def main() -> None:
        async with two_pools() as s:
            judges: list[Any] = []
            s.loop._on_stranded = judges.append
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.loop.pools["other"].launcher.rejection = CommandNotFound("sbatch is not on PATH")
            s.loop.scale("other", 1)
            await eventually(lambda: judges)
            assert s.outages == []
            assert judges[0](None, ()) is None
            assert "sbatch is not on PATH" in str(judges[0](frozenset({"pool:other"}), ()))
            s.loop.pools["other"].launcher.rejection = None
            s.loop.resume(["other"])
            assert judges[-1] is None, "told before the call returns"

    asyncio.run(main())


def test_jobs_of_the_same_id_are_drained_each_by_itself(
    running: Any, launcher: Any, eventually: Any, worker: Any
) -> None:
    """The idle one of each pool goes, whatever the others are doing; neither waits for another."""

    async def main() -> None:
        async with running() as s:
            s.loop.add("far", type(launcher)(), JobSize(workers=1, threads=1, cores=1, memory=0))
            for pool, idle in (("default", "0"), ("far", "1")):
                s.loop.scale(pool, 2)
                jobs = s.loop.pools[pool].state.jobs
                await eventually(lambda jobs=jobs: len(jobs) == 2)
                for i in ("0", "1"):
                    who = worker(f"{pool}-{i}", i, processing=int(i != idle), pool=pool)
                    s.scheduler.present[who.name] = who
                    assert s.loop.worker_joined(who)
            s.scheduler.may_retire.clear()
            s.loop.scale("default", 1)
            await eventually(lambda: s.scheduler.retired == ["default-0"])
            s.loop.scale("far", 1)
            await eventually(lambda: s.scheduler.retired == ["default-0", "far-1"])
            s.loop.scale("far", 0)
            await eventually(lambda: s.scheduler.retired[2:] == ["far-0"])
            s.scheduler.may_retire.set()

    asyncio.run(main())
