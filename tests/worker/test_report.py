"""Telling the scheduler how a worker ended: over real connections, to somebody who listens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jobqueue.comm import Comm, Credentials, listen
from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import PYTHON
from jobqueue.worker.report import Report, report_end

REPORT = Report(
    "w-0", "killed by signal 11 (SIGSEGV)", True, ["a line", "Segmentation fault"], ["inc-1"], 42
)


@pytest.mark.parametrize("scheme", ["tls", "tcp", "unix"])
def test_a_scheduler_hears_of_it(scheme: str, tmp_path: Path, folder: Path) -> None:
    """All of it, in one message from an agent, which then parts in order."""
    credentials = Credentials.create("c")
    credentials.save(tmp_path / "credentials")
    agents = str(tmp_path / "credentials" / "worker")

    async def main() -> tuple[str, list[Any]]:
        heard: list[Any] = []
        ended = asyncio.Event()

        def on_comm(comm: Comm) -> None:
            heard.append(comm.peer["role"])
            comm.start(heard.extend, lambda reason: ended.set())

        listener = await listen(
            f"unix://{folder}/s" if scheme == "unix" else f"{scheme}://127.0.0.1:0",
            hello={"role": "scheduler", "name": "c", "python": PYTHON},
            credentials=None if scheme == "unix" else credentials,
            on_comm=on_comm,
        )
        address = [listener.address]
        trouble = await asyncio.to_thread(
            report_end, REPORT, address, None if scheme == "unix" else agents
        )
        await asyncio.wait_for(ended.wait(), 20)
        listener.close()
        await listener.wait_closed()
        return trouble, heard

    trouble, (role, message) = asyncio.run(main())
    assert trouble == ""
    assert role == "agent"
    operation, name, cause, blame, lines, running, pid = message
    assert (operation, name, cause, blame) == (m.WORKER_ENDED, "w-0", REPORT.cause, True)
    assert list(lines) == ["a line", "Segmentation fault"]
    assert (list(running), pid) == (["inc-1"], 42)


def test_nobody_to_be_told(folder: Path, tmp_path: Path) -> None:
    """Said in one line, soon, and nothing else comes of it."""
    trouble = report_end(REPORT, [f"unix://{folder}/nobody"], None)
    assert f"{folder}/nobody" in trouble
    assert len(trouble.splitlines()) == 1
    assert "no credentials" in report_end(REPORT, ["tls://127.0.0.1:9"], str(tmp_path / "gone"))
