"""How a worker parts with its scheduler in order, and what if that takes too long."""

from __future__ import annotations

import logging

from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import loads
from jobqueue.worker.exit_codes import ExitCode

BOUND = 20.0  # seconds after which a test is broken


def test_asked_to_drain_it_says_so_and_waits_for_the_scheduler(fake_scheduler, working, run):
    """Which takes over what is only here, and then ends it; meanwhile it works on."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM", BOUND)
            assert await worker.hears(m.DRAIN) == (m.DRAIN, "SIGTERM", BOUND, {})
            worker.run("a", divmod, 7, 2)
            assert loads((await worker.done())["a"]) == (3, 1)
            running.worker.drain("later", 2 * BOUND)
            gate = await worker.begin("b")
            running.worker.drain("sooner", BOUND / 2)
            *told, ran = await worker.hears(m.DRAIN)
            assert told == [m.DRAIN, "sooner", BOUND / 2]
            assert 0 <= ran.pop("b") < BOUND and not ran  # noqa: PT018
            gate.opened.set()
            await worker.done()
            assert not running.ended
            worker.say(m.END, "retired")
            assert await running.ends() == ExitCode.TOLD_TO_END

    run(main())


def test_draining_without_a_scheduler_has_no_point(fake_scheduler, working, run):
    """It ends at once: what it had belonged to the scheduler that is gone."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("its time is over", BOUND)
            await worker.hears(m.DRAIN)
            await scheduler.stop()
            assert await running.ends() == ExitCode.TOLD_TO_END

    run(main())


def test_leaving_has_an_end(fake_scheduler, working, run, caplog):
    """A batch system kills soon; without a scheduler there is nothing to wait for at all."""

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            await worker.answers()
            running.worker.drain("SIGTERM", 0.0625)
            assert await worker.hears(m.LEAVING) == (m.LEAVING, "SIGTERM")
            assert await running.ends() == ExitCode.TOLD_TO_END
        async with working(f"{scheduler.address}-nobody") as running:
            running.worker.drain("SIGTERM", BOUND)
            assert await running.ends() == ExitCode.TOLD_TO_END

    with caplog.at_level(logging.INFO, "jobqueue.worker"):
        run(main())
    assert "cause=SIGTERM; not drained within 0.05 s" in caplog.text
    assert caplog.messages[-1] == "worker ends name=w-0 cause=SIGTERM"
