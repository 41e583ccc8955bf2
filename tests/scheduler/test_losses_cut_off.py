"""Tasks that lost their own connection to the scheduler: nobody's fault, up to a point."""

from __future__ import annotations

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.records import ASSIGNED, FAILED

LOST = Failure(b"", "ConnectionLost: ...", "")


def test_a_task_that_lost_its_connection_runs_again(core):
    """As if its worker had died: it did not raise, the network did."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
    core.happens(core.state.losses.cut_off, worker, "a", LOST)
    assert core.placed(worker) == ["a"]
    assert core.state.tasks["a"].state is ASSIGNED
    core.done(worker, "a", b"1")
    assert core.said(client) == [(m.FINISHED, [("a", b"1")])]


def test_a_task_that_always_loses_it_fails_of_that(make_core):
    """Something is wrong with the task, or for good; running it for ever helps nobody."""
    core = make_core(allowed_failures=2)
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    for _ in range(2):
        assert core.placed(worker) == ["a"]
        core.happens(core.state.losses.cut_off, worker, "a", LOST)
    assert core.state.tasks["a"].state is FAILED
    assert core.said(client) == [(m.FAILED, [("a", LOST)])]


def test_old_news_of_a_lost_connection_is_none(core):
    """The task was cancelled, or taken away, meanwhile."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
    core.happens(core.state.cancel, client, False, ["a"])
    core.said(worker), core.said(client)
    core.happens(core.state.losses.cut_off, worker, "a", LOST)
    core.happens(core.state.losses.cut_off, worker, "unknown", LOST)
    assert core.said(worker) == core.said(client) == []
