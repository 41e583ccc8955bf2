"""Where results are: small ones in the scheduler, within bounds; and who is told of it."""

from __future__ import annotations

from jobqueue.protocol import messages as m
from jobqueue.scheduler.states import MEMORY


def test_small_results_survive_their_worker(core):
    """They rode along, so nothing is computed again."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    core.done(worker, "a", b"small")
    core.lose(worker)
    assert core.state_of("a") == MEMORY
    assert core.said(client) == [(m.FINISHED, [("a", b"small")])]
    core.happens(core.state.transfers.fetch, client, ["a"])
    assert core.said(client) == [(m.FETCHED, "a", b"small")]


def test_riding_along_stops_above_the_budget_and_goes_on_below_half_of_it(make_core):
    """Workers are told to keep even small results while the scheduler holds too many."""
    core = make_core(inline_limit=10, held_budget=16)
    client, worker = core.client(), core.worker(nthreads=4)
    core.submit(client, "a", "b", "c")
    core.placed(worker)
    core.done(worker, "a", b"12345678")
    core.done(worker, "b", b"12345678")
    assert core.said(worker) == []
    core.done(worker, "c", b"12345678")
    assert core.said(worker) == [(m.INLINE_LIMIT, 0)]
    late = core.worker("late")  # the fixture has taken its (INLINE_LIMIT, 0)
    core.happens(core.state.wishes.release, client, ["a"])
    core.submit(client, "d")
    core.said(worker), core.said(late)
    core.happens(core.state.wishes.release, client, ["b"])
    core.done(core.task("d").worker, "d")
    limit = (m.INLINE_LIMIT, 10)
    assert core.said(worker) == [limit]
    assert core.said(late) == [limit]
    core.said(client)


def test_what_a_worker_has_got_is_freed_if_nobody_needs_it_any_more(core):
    """A copy that was on its way when its last future went."""
    client, one, other = core.client(), core.worker("one"), core.worker("other")
    core.submit(client, "a")
    holder = core.task("a").worker
    target = other if holder is one else one
    core.placed(holder)
    core.done(holder, "a")
    core.happens(core.state.wishes.release, client, ["a"])
    core.happens(core.state.copied, target, ["a"], [])
    assert core.said(target) == [(m.FREE, ["a"])]
    core.said(holder), core.said(client)


def test_bytes_at_workers_are_counted(core):
    """By what the results take there, copies included."""
    client, one = core.client(), core.worker("one")
    core.submit(client, "a")
    core.placed(one)
    core.done(one, "a", nbytes=5000)
    other = core.worker("other")
    core.happens(core.state.copied, other, ["a"], [])
    assert (one.stored, other.stored, core.state.results.held_bytes) == (5000, 5000, 0)
    core.happens(core.state.results.holder_lost, core.task("a"), one)
    assert (one.stored, other.stored) == (0, 5000)
    core.said(client)
