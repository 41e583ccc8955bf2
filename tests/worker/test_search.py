"""How a worker finds its scheduler, or does not."""

from __future__ import annotations

import asyncio
import logging

from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import dumps
from jobqueue.worker import search
from jobqueue.worker.exit_codes import ExitCode


def test_without_a_scheduler_it_ends(working, run, folder, caplog, monkeypatch):
    """After the death timeout; one line says that none was reached, and what was tried."""
    monkeypatch.setattr(search, "RETRY", 0.01)

    async def main() -> None:
        async with working(f"unix://{folder}/nobody", death_timeout=0.1) as running:
            assert await running.ends() == ExitCode.NO_SCHEDULER

    run(main())
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    text = line.getMessage()
    assert "worker ends name=w-0 cause=no scheduler for 0.1 s; it was never reached" in text
    assert f"{folder}/nobody: no such socket" in text


def test_the_first_round_in_vain_is_told_once(working, run, folder, caplog, monkeypatch):
    """Long before the end, with what was tried; and nothing of the rounds after it."""
    monkeypatch.setattr(search, "RETRY", 0.01)
    rounds = []
    connect = search.connect_any
    monkeypatch.setattr(
        search, "connect_any", lambda *args, **kw: rounds.append(1) or connect(*args, **kw)
    )

    async def main() -> None:
        async with working(f"unix://{folder}/nobody", death_timeout=300) as running:
            async with asyncio.timeout(30):
                while len(rounds) < 5:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not running.ended

    run(main())
    (line,) = [text for text in caplog.messages if "no scheduler reached yet" in text]
    assert "name=w-0: " in line
    assert f"{folder}/nobody: no such socket" in line
    assert "trying again for " in line


def test_a_scheduler_that_comes_back_finds_it_again(fake_scheduler, working, run, monkeypatch):
    """With nothing of what was here before: what it ran is forgotten, what it held is dropped."""
    monkeypatch.setattr(search, "RETRY", 0.01)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            worker = await scheduler.worker()
            worker.say(m.STORE, [("a", dumps(1))])
            await worker.hears(m.COPIED)
            gate = await worker.begin("runs")
            worker.run("waits", divmod, 7, 2)
            await scheduler.stop()
            await scheduler.start()
            worker = await scheduler.worker()
            assert worker.facts.name == "w-0"
            worker.say(m.SEND, 1, "a")
            assert await worker.hears(m.NO_DATA) == (m.NO_DATA, 1, None)
            gate.opened.set()
            worker.run("new", divmod, 9, 2)
            results = await worker.done()
            while "new" not in results:
                results |= await worker.done()
            assert results.keys() == {"new"}, "the scheduler that came back has asked for no other"
            assert not running.ended

    run(main())


def test_a_scheduler_that_stays_away_is_not_waited_for(
    fake_scheduler, working, run, caplog, monkeypatch
):
    """Not longer than the death timeout, counted from when it went."""
    monkeypatch.setattr(search, "RETRY", 0.01)

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            working(scheduler.address, death_timeout=0.5) as running,  # time to connect in
        ):
            await scheduler.worker()
            await scheduler.stop()
            assert await running.ends() == ExitCode.NO_SCHEDULER

    run(main())
    assert "no scheduler for 0.5 s; the connection ended" in caplog.messages[-1]


def test_refused_it_ends_at_once(fake_scheduler, working, run, caplog):
    """Trying again would not help; the scheduler's words stand in the log."""

    async def main() -> None:
        refuse = lambda hello: "this cluster wants Python 4"  # noqa: E731
        async with fake_scheduler(admit=refuse) as scheduler, working(scheduler.address) as running:
            assert await running.ends() == ExitCode.REFUSED

    run(main())
    assert "worker ends name=w-0 cause=refused" in caplog.messages[-1]
    assert "this cluster wants Python 4" in caplog.messages[-1]
