"""Worker processes, started as a job agent starts them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.protocol.serialize import loads
from jobqueue.worker.exit_codes import ExitCode
from jobqueue.worker.launch import start_worker, worker_argv
from jobqueue.worker.options import WorkerOptions

BOUND = 20.0  # seconds after which a test is broken

Make = Callable[..., Any]


class Process:
    """A worker process, and what it writes."""

    def __init__(self, address: str, **options: Any) -> None:
        fields = {"addresses": (address,), "name": "w-0", "agent_pid": os.getpid()}
        self.popen = start_worker(worker_argv(), WorkerOptions(**{**fields, **options}))
        assert self.popen.stderr is not None
        self.stderr = self.popen.stderr
        self._text = b""

    def read(self) -> str:
        """What it has written until now."""
        self._text += self.stderr.read() or b""
        return self._text.decode()

    def exit_status(self) -> int:
        """Wait for its end; to be called in a thread."""
        return self.popen.wait(BOUND)

    async def ends(self) -> tuple[int, str]:
        """Wait for its end: exit status, and the last line of its log."""
        status = await asyncio.to_thread(self.exit_status)
        return status, self.read().strip().splitlines()[-1]

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start worker processes; they end with the test."""
    started: list[Process] = []

    def make(address: str, **options: Any) -> Process:
        started.append(Process(address, **options))
        return started[-1]

    yield make
    for process in started:
        process.close()


HEAVY = ("jinja2", "yaml", "tornado", "rich", "jobqueue.scheduler", "jobqueue.client")


def block(mark: Path) -> str:
    """An expression, for `eval`, that runs for longer than anybody waits."""
    return f"(open({str(mark)!r}, 'w').close(), __import__('time').sleep(1000))"


def test_a_worker_process_runs_tasks_until_it_is_told_to_end(fake_scheduler: Make, start: Make):
    """It has imported nothing that it does not need, and its last line says why it ended."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address)
            worker = await scheduler.worker()
            assert worker.facts.pid == process.popen.pid
            imported = f"[name for name in {HEAVY} if name in __import__('sys').modules]"
            worker.run("modules", eval, imported)
            assert loads((await worker.done())["modules"]) == []
            worker.say(m.END, "retired")
            status, last = await process.ends()
            assert status == ExitCode.TOLD_TO_END
            assert last.endswith("worker ends name=w-0 cause=retired")

    asyncio.run(main())


FORK = """(
    context := __import__("multiprocessing").get_context("fork"),
    process := context.Process(target=__import__("time").sleep, args=(60,)),
    process.start(),
    process.terminate(),
    process.join(),
    process.exitcode,
)[-1]"""


def test_a_signal_for_a_process_that_a_task_has_forked(fake_scheduler: Make, start: Make):
    """It is not the worker's: pools of `multiprocessing` end their processes by SIGTERM."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address)
            worker = await scheduler.worker()
            worker.run("fork", eval, FORK)
            assert loads((await worker.done())["fork"]) == -signal.SIGTERM
            worker.run("again", abs, -1)
            assert loads((await worker.done())["again"]) == 1
            worker.say(m.END, "retired")
            status, last = await process.ends()
            assert status == ExitCode.TOLD_TO_END
            assert last.endswith("cause=retired")

    asyncio.run(main())


def test_without_a_scheduler_a_process_ends(folder: Path, start: Make):
    """With its own exit status, and one line that says what was tried."""
    process = start(f"unix://{folder}/nobody", death_timeout=0.2)
    assert process.exit_status() == ExitCode.NO_SCHEDULER
    (line,) = process.read().splitlines()
    assert "ERROR jobqueue.worker worker ends name=w-0 cause=no scheduler for 0.2 s" in line
    assert f"{folder}/nobody" in line


def test_a_task_does_not_keep_a_process_without_a_scheduler(
    fake_scheduler: Make, start: Make, folder: Path, wait_until: Make
):
    """The thread that runs it cannot be ended, the process can."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address, death_timeout=1.0)  # time to connect in
            worker = await scheduler.worker()
            mark = folder / "began"
            worker.run("long", eval, block(mark))
            await asyncio.to_thread(wait_until, mark.exists)
            await scheduler.stop()
            status, last = await process.ends()
            assert status == ExitCode.NO_SCHEDULER
            assert "no scheduler for 1 s; the connection ended" in last

    asyncio.run(main())


def test_told_to_end_a_task_is_not_waited_for(
    fake_scheduler: Make, start: Make, folder: Path, wait_until: Make
):
    """Whoever tells a worker to end has its reasons."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address)
            worker = await scheduler.worker()
            mark = folder / "began"
            worker.run("long", eval, block(mark))
            await asyncio.to_thread(wait_until, mark.exists)
            worker.say(m.END, "the scheduler closes")
            status, _ = await process.ends()
            assert status == ExitCode.TOLD_TO_END

    asyncio.run(main())


def test_a_signal_lets_it_hand_over_first(fake_scheduler: Make, start: Make):
    """SIGTERM is how a job ends; what batch systems send besides is for the agent."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address)
            worker = await scheduler.worker()
            await worker.answers()
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                process.popen.send_signal(number)
            process.popen.send_signal(signal.SIGTERM)
            assert await worker.hears(m.LEAVING) == (m.LEAVING, "SIGTERM")
            worker.say(m.END, "retired")
            status, _ = await process.ends()
            assert status == ExitCode.TOLD_TO_END

    asyncio.run(main())


def test_a_process_that_is_to_begin_anew_ends(
    fake_scheduler: Make, start: Make, folder: Path, wait_until: Make
):
    """With the status by which its agent knows to start another; no task keeps it."""

    async def main() -> None:
        async with fake_scheduler() as scheduler:
            process = start(scheduler.address)
            worker = await scheduler.worker()
            mark = folder / "began"
            worker.run("long", eval, block(mark))
            await asyncio.to_thread(wait_until, mark.exists)
            worker.say(m.RESTART, "the user has asked for it")
            status, last = await process.ends()
            assert status == ExitCode.RESTART
            assert last.endswith("cause=the user has asked for it")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preload": ["no_such_module_xyz"]}, "--preload no_such_module_xyz"),
        ({"credentials": "/nonexistent"}, "/nonexistent"),
    ],
    ids=["preload", "credentials"],
)
def test_what_cannot_work_ends_at_once(folder: Path, start: Make, options, words):
    """With one line, and the status that says that trying again would not help."""
    process = start(f"unix://{folder}/nobody", **options)
    assert process.exit_status() == ExitCode.REFUSED
    (line,) = process.read().splitlines()
    assert words in line


def test_options_that_are_none_are_refused():
    """Nobody starts a worker process by hand; whoever tries is told what to start."""
    process = subprocess.run(worker_argv(), input="hello\n", capture_output=True, text=True)
    assert process.returncode == 1
    assert "python -m jobqueue.worker ADDRESS" in process.stderr


def test_what_is_preloaded_is_called_at_both_ends(folder: Path, fake_scheduler: Make, start: Make):
    """With the worker, before its first task and after its last; the last file first at the end."""
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(
            "import sys\n"
            f"def say(what, worker): print('{name}', what, worker.name, file=sys.stderr)\n"
            "def dask_setup(worker): say('comes to', worker)\n"
            "async def dask_teardown(worker): say('leaves', worker)\n"
        )

    async def main() -> str:
        async with fake_scheduler() as scheduler:
            files = [str(folder / name) for name in ("one.py", "two.py")]
            process = start(scheduler.address, preload=files)
            worker = await scheduler.worker()
            worker.say(m.END, "retired")
            assert await asyncio.to_thread(process.exit_status) == ExitCode.TOLD_TO_END
            return process.read()

    said = [line for line in asyncio.run(main()).splitlines() if line.endswith(" w-0")]
    assert said == ["one comes to w-0", "two comes to w-0", "two leaves w-0", "one leaves w-0"]
