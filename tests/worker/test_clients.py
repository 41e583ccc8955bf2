"""What tasks have opened on their worker."""

from __future__ import annotations

from jobqueue.protocol.running import host
from jobqueue.worker import search


class FakeClient:
    """What a task may have opened."""

    closed = 0

    def close(self) -> None:
        FakeClient.closed += 1
        raise OSError("already gone")


def open_client() -> None:
    host().clients["client"] = FakeClient()  # type: ignore[attr-defined]


def test_what_tasks_have_opened_is_closed(fake_scheduler, working, run, caplog, monkeypatch):
    """With the connection, and at the end; what fails then is only told."""
    monkeypatch.setattr(search, "RETRY", 0.01)
    monkeypatch.setattr(FakeClient, "closed", 0)

    async def main() -> None:
        async with fake_scheduler() as scheduler, working(scheduler.address) as running:
            for _ in range(2):
                worker = await scheduler.worker()
                worker.run("t", open_client)
                await worker.done()
                assert len(running.worker.clients) == 1
                await scheduler.stop()
                await scheduler.start()
            worker = await scheduler.worker()
            worker.run("t", open_client)
            await worker.done()
            assert running.worker.scheduler_addresses[0] == scheduler.address
            assert running.worker.credentials is None

    run(main())
    assert FakeClient.closed == 3
    assert "already gone" in caplog.text
