"""Whoever waits long, or in vain, learns what for."""

from __future__ import annotations

import asyncio

import pytest

from jobqueue import Client, LocalCluster, wait
from jobqueue.client import reasons, waits

NO_GPU = "is ready to run, but no worker satisfies resources GPU=1"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits are explained as well, and the answer has its time on a busy machine."""
    monkeypatch.setattr(reasons, "WORTH_EXPLAINING", 0.01)
    monkeypatch.setattr(reasons, "PATIENCE", 30.0)


def test_a_result_that_did_not_come_says_what_its_task_waits_for(client):
    """Resources that nobody has; a worker that is gone."""
    future = client.submit(abs, -1, resources={"GPU": 1})
    for ask in (future.result, future.exception):
        with pytest.raises(TimeoutError, match=f"within 0.01 s: it {NO_GPU}; connected: 2 workers"):
            ask(0.01)
    gone = client.submit(abs, -2, workers="nowhere")
    with pytest.raises(TimeoutError, match=r"it is ready to run, but .* known as 'nowhere'"):
        gone.result(0.01)


def test_of_several_tasks_the_first_that_is_late_is_explained(client):
    """Those that have ended are no concern of it."""
    done = client.submit(abs, -3)
    assert done.result(30) == 3
    late = client.submit(abs, -4, resources={"GPU": 1})
    text = rf"1 of 2 tasks have not ended within 0\.01 s; {late.key} {NO_GPU}"
    with pytest.raises(TimeoutError, match=text):
        wait([done, late], timeout=0.01)


def test_in_an_event_loop_as_well():
    """`await` is told as much."""

    async def main() -> None:
        async with (
            LocalCluster(n_workers=1, threads_per_worker=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            await client.wait_for_workers(1)
            future = client.submit(abs, -1, resources={"GPU": 1})
            with pytest.raises(TimeoutError, match=f"it {NO_GPU}"):
                await future.result(0.01)
            with pytest.raises(TimeoutError, match=f"; {future.key} {NO_GPU}"):
                await wait([future], timeout=0.01)

    asyncio.run(main())


def test_whoever_looks_again_and_again_is_not_told_each_time(client, monkeypatch):
    """The scheduler is not asked either."""
    monkeypatch.setattr(reasons, "WORTH_EXPLAINING", 1.0)
    future = client.submit(abs, -1, resources={"GPU": 1})
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError, match=r"has not ended within 0(\.01)? s$"):
            future.result(timeout)


def test_the_log_says_what_the_first_task_waits_for(client, monkeypatch, caplog, wait_until):
    """Only if nothing runs: then it may as well be its turn soon."""
    monkeypatch.setattr(waits, "EXPLAIN_AFTER", 0.01)
    future = client.submit(abs, -1, resources={"GPU": 1})
    with pytest.raises(TimeoutError):
        future.result(0.05)
    text = f"; {future.key} {NO_GPU}; connected: 2 workers with none"
    wait_until(lambda: "waiting for 1 task: 2 workers" in caplog.text and text in caplog.text)


def test_nothing_is_said_of_what_runs(client, gate, monkeypatch, caplog):
    """However long it takes."""
    monkeypatch.setattr(waits, "EXPLAIN_AFTER", 0.01)
    future = client.submit(gate.function)
    gate.await_arrivals()
    with pytest.raises(TimeoutError, match="it is running on worker"):
        future.result(0.05)
    gate.open()
    future.result(30)
    assert "waiting for" not in caplog.text


def test_a_scheduler_that_does_not_answer_is_not_waited_for(own_client: Client, monkeypatch):
    """The explanation is missing, and nothing else."""
    future = own_client.submit(abs, -1, resources={"GPU": 1})

    async def nobody_answers(*_: object) -> str:
        await asyncio.sleep(3600)
        return ""

    with monkeypatch.context() as patch:
        patch.setattr(reasons, "PATIENCE", 0.01)
        patch.setattr(own_client._connection, "ask", nobody_answers)
        with pytest.raises(TimeoutError, match=r"has not ended within 0\.01 s$"):
            future.result(0.01)
