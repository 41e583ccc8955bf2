"""Whether an agent finds the scheduler: real ones, by each way there is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobqueue.comm import Credentials
from jobqueue.scheduler.server import Scheduler
from jobqueue.worker.probe import look_for_scheduler


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """Of a cluster; the workers' are in the folder ``credentials/worker``."""
    credentials = Credentials.create("c")
    credentials.save(tmp_path / "credentials")
    return credentials


@pytest.mark.parametrize("scheme", ["tls", "tcp"])
def test_a_scheduler_that_is_there_is_found(
    scheme: str, credentials: Credentials, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a word in its log, and without becoming a worker; once it is closed, no more."""
    folder = str(tmp_path / "credentials" / "worker")

    async def check() -> tuple[str, str]:
        scheduler = Scheduler(name="c", credentials=credentials, listen=[f"{scheme}://127.0.0.1:0"])
        await scheduler.start()
        address = scheduler.addresses
        there = await asyncio.to_thread(look_for_scheduler, address, folder, 30.0)
        assert scheduler.workers() == []
        await scheduler.close()
        return there, await asyncio.to_thread(look_for_scheduler, address, folder, 30.0)

    there, gone = asyncio.run(check())
    assert there == ""
    assert "refused, nobody listens there" in gone
    assert not [record for record in caplog.records if record.levelname != "INFO"]


def test_somebody_else_at_the_address_is_no_scheduler(
    credentials: Credentials, tmp_path: Path
) -> None:
    """The port may have been taken over by another cluster since."""

    async def check() -> str:
        stranger = Credentials.create("c")
        scheduler = Scheduler(name="c", credentials=stranger, listen=["tls://127.0.0.1:0"])
        await scheduler.start()
        folder = str(tmp_path / "credentials" / "worker")
        answer = await asyncio.to_thread(look_for_scheduler, scheduler.addresses, folder, 30.0)
        await scheduler.close()
        return answer

    assert "the same cluster" in asyncio.run(check())


def test_credentials_that_are_gone_are_a_scheduler_that_is_gone(tmp_path: Path) -> None:
    """A cluster that closed has removed them; the answer is one line."""
    answer = look_for_scheduler(["tls://127.0.0.1:9"], str(tmp_path / "gone"), 30.0)
    assert "no credentials in" in answer
    assert len(answer.splitlines()) == 1
