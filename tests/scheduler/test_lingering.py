"""What withdrawn tasks hold as long as they run on."""

from __future__ import annotations

from jobqueue.protocol import messages as m


def test_nothing_is_put_behind_what_runs_on(core):
    """The only thread of its worker is not free, though nobody wants the task any more."""
    client, busy = core.client(), core.worker("busy")
    core.submit(client, "old")
    assert core.placed(busy) == ["old"]
    idle = core.worker("idle")
    core.happens(core.state.wishes.release, client, ["old"])
    assert core.said(busy) == [(m.CANCEL, False, ["old"])]
    core.happens(core.state.lingering.told, busy, ["old"])
    core.submit(client, "new-1", "new-2", "new-3")
    assert core.placed(idle) == ["new-1", "new-2"]
    assert core.placed(busy) == ["new-3"], "one may follow it, as for any task"
    core.happens(core.state.lingering.told, busy, [])
    assert busy.load == 1


def test_short_tasks_are_not_piled_up_behind_what_runs_on(core):
    """However short they are, they would wait for as long as that takes."""
    client, worker = core.client(), core.worker("w", nthreads=2)
    core.submit(client, "old", "measured")
    assert core.placed(worker) == ["old", "measured"]
    core.done(worker, "measured", b"1", seconds=1e-6)
    core.happens(core.state.wishes.release, client, ["old", "measured"])
    core.happens(core.state.lingering.told, worker, ["old", "older"])
    core.said(worker)
    core.said(client)
    core.submit(client, *(f"new-{i}" for i in range(100)))
    assert len(core.placed(worker)) == 2


def test_what_waits_behind_it_goes_to_a_worker_that_comes(core):
    """As from behind any task."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "old")
    core.happens(core.state.wishes.release, client, ["old"])
    core.happens(core.state.lingering.told, worker, ["old"])
    core.submit(client, "new")
    core.said(worker)
    core.worker("idle")
    core.happens(core.state.placing.rebalance)
    assert core.said(worker) == [(m.RECALL, ["new"])]


def test_it_keeps_its_resources_until_it_ends(core):
    """A GPU that something still computes on is not given to the next task."""
    client, worker = core.client(), core.worker("w", nthreads=4, resources={"GPU": 1})
    core.submit(client, "old", "new", resources={"GPU": 1})
    assert core.placed(worker) == ["old"]
    core.happens(core.state.wishes.cancel, client, False, ["old"])
    core.said(client)
    assert core.said(worker) == [(m.CANCEL, False, ["old"]), (m.RECALL, [])]
    core.happens(core.state.lingering.told, worker, ["old"])
    core.happens(core.state.returned, worker, [])
    assert core.said(worker) == []
    core.happens(core.state.lingering.told, worker, [])
    assert core.placed(worker) == ["new"]


def test_the_end_is_believed_only_of_what_was_heard_of(core):
    """News of one withdrawn task, under way when another is withdrawn, does not free that one's."""
    client, worker = core.client(), core.worker("w", nthreads=4, resources={"GPU": 1})
    core.submit(client, "old", "new", resources={"GPU": 1})
    core.submit(client, "other")
    core.happens(core.state.wishes.release, client, ["other"])
    core.happens(core.state.wishes.release, client, ["old"])
    core.said(worker)
    core.happens(core.state.lingering.told, worker, ["other"])
    core.happens(core.state.lingering.told, worker, [])
    assert core.said(worker) == []
    core.happens(core.state.lingering.told, worker, ["old"])
    core.happens(core.state.returned, worker, [])
    core.happens(core.state.lingering.told, worker, [])
    assert core.placed(worker) == ["new"]
