"""The loop around the decisions, with a fake launcher and a fake scheduler."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.jobs import JobReport, JobState, Phase
from jobqueue.cluster.setbacks import FAILURES_IN_A_ROW
from jobqueue.errors import CommandNotFound
from jobqueue.scheduler.load import Backlog


def test_scaling_up_submits_once_and_follows_the_jobs(running: Any, eventually: Any) -> None:
    """All jobs in one submission; queries and workers move them on."""

    async def main() -> None:
        async with running() as s:
            s.scale(3)
            await eventually(lambda: s.states() == [JobState.PENDING] * 3)
            s.launcher.phases["1"] = JobReport("1", Phase.RUNNING, node="n1")
            await eventually(lambda: s.jobs["1"].state is JobState.RUNNING)
            assert s.joined("1", "w")
            assert not s.joined("77", "stranger")
            assert s.jobs["1"].state is JobState.CONNECTED
            assert s.submissions() == [3]
            assert s.jobs["1"].node == "n1"

    asyncio.run(main())


def test_jobs_that_wait_for_changing_reasons_are_not_asked_about_more_often(
    running: Any, launcher: Any, eventually: Any
) -> None:
    """Priority, Resources, Priority: that is told, and the batch system left in peace."""
    launcher.intervals = (0.001, 10_000.0)
    reasons = iter(["Priority", "Resources"] * 1000)
    read = launcher.read

    async def with_another_reason(answer: Any, job_ids: Any) -> list[JobReport]:
        reason = next(reasons)
        return [dataclasses.replace(one, reason=reason) for one in await read(answer, job_ids)]

    launcher.read = with_another_reason

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            later = asyncio.get_running_loop().time() + 5_000
            await eventually(lambda: later < s.loop._polling.due < float("inf"))
            assert s.jobs["0"].reason == "Resources"

    asyncio.run(main())


def test_a_worker_that_is_faster_than_the_answer_is_counted(
    running: Any, eventually: Any, worker: Any
) -> None:
    """A worker may connect before the submit command has told the job's id."""

    async def main() -> None:
        async with running() as s:
            s.scheduler.present["w"] = worker("w", "0")
            s.scale(1)
            await eventually(lambda: s.states() == [JobState.CONNECTED])

    asyncio.run(main())


def test_a_lost_job_is_replaced_exactly_once(running: Any, eventually: Any) -> None:
    """Two workers leave and the job ends: one loss, one submission."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: "0" in s.jobs)
            for w in "ab":
                s.joined("0", w)
            for w in "ab":
                s.left("0", w)
            s.end("0")
            await eventually(lambda: "1" in s.jobs)
            assert ("ended", "0") in s.launcher.log
            s.joined("1", "c")
            assert s.submissions() == [1, 1]

    asyncio.run(main())


def test_shrinking_drains_before_it_cancels(running: Any, eventually: Any, worker: Any) -> None:
    """The idle of two connected jobs goes; it is retired first, and ends by itself."""

    async def main() -> None:
        async with running() as s:
            s.scale(2)
            await eventually(lambda: len(s.jobs) == 2)
            for i in ("0", "1"):
                s.scheduler.present[i] = worker(f"w{i}", i, processing=int(i == "0"))
                s.joined(i, f"w{i}")
            s.scheduler.may_retire.clear()
            s.scale(1)
            await eventually(lambda: s.scheduler.retired == ["w1"])
            assert s.jobs["1"].state is JobState.DRAINING
            assert s.cancellations() == []
            s.scheduler.may_retire.set()
            await eventually(lambda: s.jobs["1"].drained_at is not None)
            s.left("1", "w1")
            s.end("1", cause="completed", exit_code=0)
            await eventually(lambda: s.jobs["1"].state is JobState.ENDED)
            assert s.cancellations() == []
            assert s.submissions() == [2]

    asyncio.run(main())


def test_a_job_that_hands_over_by_itself_is_replaced_at_once(
    running: Any, eventually: Any, worker: Any
) -> None:
    """Its agent knows that its time is nearly over; nobody retires its workers once more."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.joined("0", "w")
            assert s.loop.worker_drains(worker("w", "0"), "its walltime is nearly over")
            assert not s.loop.worker_drains(worker("w", "77"), "its walltime is nearly over")
            assert s.jobs["0"].state is JobState.DRAINING
            await eventually(lambda: "1" in s.jobs)
            s.left("0", "w")
            s.end("0", cause="walltime", exit_code=0)
            await eventually(lambda: s.jobs["0"].state is JobState.ENDED)
            assert (s.scheduler.retired, s.submissions()) == ([], [1, 1])

    asyncio.run(main())


def test_a_job_is_relieved_by_the_one_in_its_place(
    running: Any, eventually: Any, worker: Any
) -> None:
    """That is submitted before the old one ends, whose workers are retired when it has come."""

    async def main() -> None:
        now = 0.0
        async with running(lambda: now) as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            assert s.loop.worker_joined(worker("old", "0", ends_at=600.0))
            now = 590.0
            s.loop._something.set()
            await eventually(lambda: "1" in s.jobs)
            assert s.scheduler.retired == []
            assert s.loop.worker_joined(worker("new", "1", ends_at=1200.0))
            await eventually(lambda: s.scheduler.retired == ["old"])
            assert s.submissions() == [1, 1]

    asyncio.run(main())


def test_jobs_that_die_at_once_end_in_an_outage_that_says_why(
    running: Any, eventually: Any
) -> None:
    """After three failed starts whoever waits gets exit code, log and script; then resume()."""

    async def main() -> None:
        now = 0.0
        async with running(lambda: now) as s:
            s.scale(1)
            for n in range(FAILURES_IN_A_ROW):
                await eventually(lambda n=n: str(n) in s.jobs)
                s.end(str(n), exit_code=127)
                now += 1000.0
                await eventually(lambda n=n: s.jobs[str(n)].state is JobState.ENDED)
                now += 1000.0
                s.loop._something.set()
            await eventually(lambda: s.outages)
            error = s.outages[0]
            assert error is not None
            assert (error.exit_code, error.log_tail, error.log_path) == (127, "boom", "/l")
            assert error.script == "/state/job.sh"
            assert all(text in str(error) for text in ("127", "boom", "/state/job.sh", "resume"))
            s.loop.resume(["default"])
            assert s.outages[-1] is None, "told before the call returns"
            await eventually(lambda: len(s.submissions()) == FAILURES_IN_A_ROW + 1)

    asyncio.run(main())


def test_a_missing_command_is_an_outage_at_once(running: Any, eventually: Any) -> None:
    """What a second try cannot mend is not tried again."""

    async def main() -> None:
        async with running() as s:
            s.launcher.rejection = CommandNotFound("sbatch is not on PATH")
            s.scale(2)
            await eventually(lambda: s.outages)
            assert "sbatch is not on PATH" in str(s.outages[0])
            assert s.submissions() == [2]

    asyncio.run(main())


def test_a_job_found_after_a_submission_in_doubt_is_ours(running: Any, eventually: Any) -> None:
    """If it is no longer wanted it is cancelled like any other."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.launcher.phases["lost"] = JobReport("lost", Phase.PENDING)
            s.launcher.found = ["lost"]
            await eventually(lambda: s.cancellations() == [("lost",)])

    asyncio.run(main())


def test_a_job_that_is_being_found_is_not_submitted_again(running: Any, eventually: Any) -> None:
    """An answer on its way tells of the job that was in doubt when another one was decided on."""

    async def main() -> None:
        async with running() as s:
            s.launcher.in_doubt = True
            s.launcher.found = ["lost-and-found"]
            s.launcher.phases["lost-and-found"] = JobReport("lost-and-found", Phase.RUNNING)
            s.launcher.may_answer.clear()
            s.loop._polling.soon(0.0)
            s.loop._something.set()
            await eventually(lambda: "query" in s.loop._errands)
            s.scale(1)
            await eventually(lambda: s.pool.submitting == 1)
            s.launcher.may_answer.set()
            await eventually(lambda: s.pool.submitting == 0)
            assert s.submissions() == []
            assert list(s.jobs) == ["lost-and-found"]

    asyncio.run(main())


def test_a_job_found_late_has_its_workers(running: Any, eventually: Any, worker: Any) -> None:
    """They may have connected before it was known that their job is ours."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.scheduler.present["w"] = worker("w", "lost")
            s.joined("lost", "w")
            s.launcher.phases["lost"] = JobReport("lost", Phase.RUNNING)
            s.launcher.found = ["lost"]
            await eventually(lambda: s.jobs.get("lost") and s.jobs["lost"].workers == {"w"})

    asyncio.run(main())


def test_a_mistake_in_the_loop_leaves_nobody_waiting(running: Any, eventually: Any) -> None:
    """It is an outage like any other, and jobs are cancelled all the same."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.scheduler.load = lambda: 1 / 0
            s.scale(0)
            await eventually(lambda: s.outages)
            assert "ZeroDivisionError" in str(s.outages[0])
            await s.loop.close()
            assert s.cancellations() == [("0",)]

    asyncio.run(main())


def test_a_mistake_in_a_submission_pauses_the_pool(running: Any, eventually: Any) -> None:
    """Whoever waits is told of it, and the pool goes on when it is scaled again."""

    async def main() -> None:
        async with running() as s:
            submit = s.launcher.submit

            async def fail(count: int) -> None:
                raise ZeroDivisionError("our mistake")

            s.launcher.submit = fail
            s.scale(2)
            await eventually(lambda: s.outages)
            assert "our mistake" in str(s.outages[0])
            s.launcher.submit = submit
            s.scale(2)
            await eventually(lambda: len(s.jobs) == 2)

    asyncio.run(main())


def test_closing_cancels_everything_even_what_is_being_submitted(
    running: Any, eventually: Any
) -> None:
    """A submission under way is waited for, and its jobs are cancelled with the others."""

    async def main() -> None:
        async with running() as s:
            s.scale(1)
            await eventually(lambda: len(s.jobs) == 1)
            s.scale(3)
            await eventually(lambda: s.submissions() == [1, 2])
            assert await s.loop.close()
            assert set(s.cancellations()[-1]) == {"0", "1", "2"}
            assert s.launcher.closed
            assert {job.state for job in s.pool.jobs.values()} == {JobState.ENDED}

    asyncio.run(main())


def test_a_pool_follows_its_load_until_it_is_scaled(
    running: Any, eventually: Any, worker: Any
) -> None:
    """Up in one submission, down to the minimum when nothing is left; scale() has the last word."""

    async def main() -> None:
        now = 0.0
        async with running(lambda: now) as s:

            async def look(seconds: float) -> None:
                nonlocal now
                now += seconds
                before = s.scheduler.looks
                s.loop._something.set()
                await eventually(lambda: s.scheduler.looks > before)

            s.scheduler.backlog = [Backlog(b"f", 5, 100.0)]
            s.loop.adapt("default", Policy(minimum=1, maximum=9, idle=60.0))
            await eventually(lambda: len(s.jobs) == 3)
            for n in "012":
                for w in "ab":
                    s.scheduler.present[n + w] = worker(n + w, n, processing=int(n + w != "2b"))
                    s.joined(n, n + w)
            s.scheduler.backlog = []
            for _ in range(3):
                await look(60.0)
                assert s.pool.wanted == 3
            assert s.scheduler.retired == []
            for each in s.scheduler.present.values():
                each.processing = 0
            await look(30.0)
            assert s.pool.wanted == 3
            await look(30.0)
            assert s.pool.wanted == 1
            await eventually(lambda: len(s.scheduler.retired) == 4)
            assert s.submissions() == [3]
            s.scale(2)
            s.scheduler.backlog = [Backlog(b"f", 50, 100.0)]
            await eventually(lambda: s.submissions() == [3, 1])
            now += 60.0
            s.loop._something.set()
            await eventually(lambda: not s.loop._something.is_set())
            assert s.pool.wanted == 2

    asyncio.run(main())


def test_a_pool_that_adapts_stays_paused_until_it_is_resumed(running: Any, eventually: Any) -> None:
    """Looking at the load does not forget failures; adapt() does, as scale() does."""

    async def main() -> None:
        async with running() as s:
            s.launcher.rejection = CommandNotFound("sbatch is not on PATH")
            s.scheduler.backlog = [Backlog(b"f", 1, 1.0)]
            policy = Policy(maximum=9, interval=0.001)
            s.loop.adapt("default", policy)
            await eventually(lambda: s.outages)
            looks = s.scheduler.looks
            await eventually(lambda: s.scheduler.looks > looks + 5)
            assert s.submissions() == [1]
            s.launcher.rejection = None
            s.loop.adapt("default", policy)
            await eventually(lambda: len(s.jobs) == 1)

    asyncio.run(main())
