"""Tasks that lost their own connection to the scheduler: nobody's fault, up to a point."""

from __future__ import annotations

from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.states import ASSIGNED, FAILED

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
    core.happens(core.state.wishes.cancel, client, False, ["a"])
    core.said(worker), core.said(client)
    core.happens(core.state.losses.cut_off, worker, "a", LOST)
    core.happens(core.state.losses.cut_off, worker, "unknown", LOST)
    assert core.said(worker) == core.said(client) == []


def test_a_result_that_holds_lost_futures_is_made_again(core):
    """The connection over which a task submitted others was lost just before it ended."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
    core.happens(core.state.wishes.mentions, worker, "a", ["gone"])
    said = core.said(worker)
    assert [message[0] for message in said].count(m.RUN) == 1
    core.state.done(worker, [("a", None, 10_000, 0.1)])  # that run's, on its way
    core.end_turn()
    assert core.state.tasks["a"].state is ASSIGNED
    core.said(worker)
    core.happens(core.state.returned, worker, [])
    core.submit(client, "b")
    core.happens(core.state.wishes.mentions, worker, "a", ["b"])
    core.done(worker, "a", b"1")
    assert core.said(client) == [(m.FINISHED, [("a", b"1")])]
    core.said(worker)


def test_a_result_that_always_holds_lost_futures_is_an_error(make_core):
    """Its task has let go of them itself, or they are of another scheduler."""
    core = make_core(allowed_failures=1)
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
    core.happens(core.state.wishes.mentions, worker, "a", ["gone"])
    (operation, [(key, failure)]) = core.said(client)[0]
    assert (operation, key) == (m.FAILED, "a")
    assert "holds a future whose task this scheduler does not know" in failure.summary
    core.said(worker)
