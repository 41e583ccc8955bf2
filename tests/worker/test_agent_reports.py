"""A job agent with real workers, whose tasks do to them what tasks do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import loads
from jobqueue.worker.spill_folder import PREFIX

BOUND = 30.0  # seconds after which a test is broken

Make = Callable[..., Any]

MB = 10**6
TAKE = "__import__('builtins').__dict__.setdefault('kept', bytearray(b'x') * {})"


@contextlib.asynccontextmanager
async def agent(address: str, folder: Path, *words: str) -> AsyncIterator[Callable[[], str]]:
    """Start an agent of one worker; gives what reads its log. It ends in order."""
    path = folder / "log"
    with path.open("wb") as log:
        argv = [sys.executable, "-m", "jobqueue.worker", address, "--name", "jq"]
        argv += ["--local-directory", str(folder / "disk"), "--nthreads", "1", *words]
        process = await asyncio.to_thread(subprocess.Popen, argv, stderr=log)
    try:
        yield path.read_text
    finally:
        await asyncio.to_thread(end, process)
        print(path.read_text())


def end(process: subprocess.Popen[bytes]) -> None:
    """Let an agent end that was told to, or is about to end."""
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(BOUND)


def test_workers_that_their_tasks_end(fake_scheduler: Make, folder: Path) -> None:
    """The scheduler hears of each at once, with cause and last words, and has another worker."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            agent(scheduler.address, folder) as log,
        ):
            worker = await scheduler.worker()
            worker.run("quits", eval, "(print('last words', file=__import__('sys').stderr, "
                       "flush=True), __import__('os')._exit(0))")  # fmt: skip
            operation, name, cause, blame, lines, running, pid = await scheduler.report()
            assert (operation, name, blame) == (m.WORKER_ENDED, "jq-0", True)
            assert cause == "exit 0, by no order: a task has ended the process"
            assert lines[-1] == "last words"
            assert worker.facts.agent
            assert (list(running), pid) == (["quits"], worker.facts.pid)

            worker = await scheduler.worker()
            os.kill(worker.facts.pid, signal.SIGKILL)
            _, _, cause, blame, _, running, _ = await scheduler.report()
            assert (cause, blame) == ("killed by signal 9 (SIGKILL)", True)
            assert list(running) == [], "nothing was running then"

            worker = await scheduler.worker()
            worker.say(m.RESTART, "begin anew")
            worker = await scheduler.worker()  # at once, and nobody reports that
            worker.say(m.END, "retired")
            await worker.ends()
        assert log().splitlines()[-1].endswith('cause="all workers were told to end"')
        assert scheduler._reports.empty()

    asyncio.run(main())


def test_a_worker_that_takes_too_much_memory(fake_scheduler: Make, folder: Path) -> None:
    """Its agent ends it before the kernel does, says so, and clears up what it had on disk."""

    async def main() -> None:
        words = "--memory-limit", "200MB", "--memory-target", "0.1"
        async with (
            fake_scheduler() as scheduler,
            agent(scheduler.address, folder, *words) as log,
        ):
            worker = await scheduler.worker()
            for key in "abc":
                worker.run(key, bytes, 15 * MB)
                await worker.done()
            (left,) = os.listdir(folder / "disk")
            assert left.startswith(PREFIX)
            assert len(os.listdir(folder / "disk" / left)) == 2
            worker.run("greedy", eval, TAKE.format(300 * MB))
            _, name, cause, blame, _, running, _ = await scheduler.report()
            assert (name, blame, list(running)) == ("jq-0", True, ["greedy"])
            assert cause.startswith("used ")
            assert " of its 191 MiB memory limit (" in cause
            worker = await scheduler.worker()
            await worker.answers()
            worker.say(m.END, "retired")
        assert f"path={folder}/disk/{left}" in log()
        assert "worker takes too much memory, is killed worker=jq-0" in log()
        assert os.listdir(folder / "disk") == []

    asyncio.run(main())


def test_results_larger_than_memory(fake_scheduler: Make, folder: Path) -> None:
    """All of them are right, from memory or from disk; at the end the disk is as before."""

    async def main() -> None:
        async with (
            fake_scheduler() as scheduler,
            agent(scheduler.address, folder, "--memory-limit", "300MB"),
        ):
            worker = await scheduler.worker()
            for number in range(22):
                worker.run(f"x-{number}", eval, f"bytearray([{number}]) * {10 * MB}")
                await worker.done()
            assert os.listdir(folder / "disk") != []
            worker.run("length", len, Held("x-0"), inputs=[("x-0", None, [])])
            assert loads((await worker.done())["length"]) == 10 * MB
            for number in range(22):
                worker.say(m.SEND, number, f"x-{number}")
                _, _, value = await worker.hears(m.DATA)
                assert loads(value) == bytearray([number]) * 10 * MB
            worker.say(m.END, "retired")
            await worker.ends()
        assert os.listdir(folder / "disk") == []

    asyncio.run(main())


class Held:
    """An argument that stands for the value of an input."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        from jobqueue.protocol.references import resolve

        return resolve, (self.key,)


def test_workers_that_start_before_their_scheduler(
    fake_scheduler: Make, folder: Path, wait_until: Make
) -> None:
    """They go on trying until it is there."""

    async def main() -> None:
        async with agent(f"unix://{folder}/scheduler", folder) as log:
            await asyncio.to_thread(wait_until, lambda: "worker started" in log())
            async with fake_scheduler() as scheduler:
                worker = await scheduler.worker()
                worker.say(m.END, "retired")
                await worker.ends()

    asyncio.run(main())
