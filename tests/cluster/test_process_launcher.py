"""Jobs as processes of this machine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from jobqueue.cluster.jobs import JobReport, Phase
from jobqueue.cluster.process_launcher import ProcessLauncher

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def launcher_of(folder: Path, code: str) -> ProcessLauncher:
    return ProcessLauncher("test", lambda job_id: [sys.executable, "-c", code, job_id], folder)


def run(launcher: ProcessLauncher, test: Any) -> None:
    async def main() -> None:
        try:
            await test()
        finally:
            await launcher.cancel(list(launcher._processes))
            await launcher.close()

    asyncio.run(main())


async def phase_of(launcher: ProcessLauncher, job_id: str) -> JobReport:
    [report] = await launcher.read(await launcher.look([job_id]), [job_id])
    return report


def test_a_process_that_fails_tells_exit_code_and_log(tmp_path: Path, eventually: Any) -> None:
    """Its output and its status are in the report."""
    launcher = launcher_of(tmp_path, "print('oh'); raise SystemExit(7)")

    async def test() -> None:
        [job_id] = (await launcher.submit(1)).job_ids
        await eventually(lambda: launcher._processes[job_id].poll() is not None)
        report = await phase_of(launcher, job_id)
        assert (report.phase, report.exit_code, report.cause) == (Phase.ENDED, 7, "crashed")
        assert report.log_tail == "oh"
        await launcher.ended([job_id])
        assert (await phase_of(launcher, job_id)).phase is Phase.MISSING

    run(launcher, test)


def test_cancelling_is_a_request_and_then_an_order(tmp_path: Path, eventually: Any) -> None:
    """TERM first; a process that ignores it is killed when it is cancelled again."""
    launcher = launcher_of(tmp_path, STUBBORN)

    async def test() -> None:
        [job_id] = (await launcher.submit(1)).job_ids
        log = launcher.log_files(job_id)[0]
        await eventually(lambda: log.exists() and "ready" in log.read_text())
        await launcher.cancel([job_id])
        assert (await phase_of(launcher, job_id)).phase is Phase.RUNNING
        await launcher.cancel([job_id])
        await eventually(lambda: launcher._processes[job_id].poll() is not None)
        report = await phase_of(launcher, job_id)
        assert (report.phase, report.cause) == (Phase.ENDED, "cancelled")

    run(launcher, test)


def test_a_command_that_is_not_there_is_an_error_in_the_answer(tmp_path: Path) -> None:
    """submit() reports it instead of raising."""
    launcher = ProcessLauncher("test", lambda job_id: ["/nonexistent"], tmp_path)

    async def test() -> None:
        submission = await launcher.submit(2)
        assert submission.job_ids == ()
        assert isinstance(submission.error, FileNotFoundError)

    run(launcher, test)
