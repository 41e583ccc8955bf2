"""How copies of results are made."""

from __future__ import annotations

import pytest

from jobqueue.protocol import messages as m
from jobqueue.scheduler import copies
from jobqueue.scheduler.states import MEMORY


@pytest.fixture
def spread(core):
    """Have one worker's result copied to all others; deliver copies until all are made."""
    client = core.client()

    def start(count: int):
        first = core.worker("w0")
        core.submit(client, "a")
        core.placed(first)
        core.done(first, "a")
        others = [core.worker(f"w{number}") for number in range(1, count + 1)]
        core.happens(core.state.transfers.copies.make, core.task("a"), others)
        core.said(client)
        return first, others

    return start


def rounds(core, workers):
    """Let all copies under way arrive at once, again and again; yield who sent how many."""
    while True:
        begun = {}
        for worker in workers:
            for operation, items in core.said(worker):
                assert operation == m.COPY
                ((_key, places),) = items
                begun[worker] = places[0]
        if not begun:
            return
        yield list(begun.values())
        for worker in begun:
            core.state.copied(worker, ["a"], [])
        core.end_turn()


def test_whoever_has_got_a_result_sends_it_on(core, spread):
    """So it reaches all in a few rounds, and nobody sends to more than a few at a time."""
    first, others = spread(26)
    seen = list(rounds(core, others))
    assert [len(senders) for senders in seen] == [2, 6, 18]
    for senders in seen:
        assert max(map(senders.count, senders)) <= copies.FANOUT
    assert core.task("a").holders == {first, *others}
    assert not core.state.transfers.copies


def test_a_busy_source_lets_others_wait(core, monkeypatch):
    """It does not pickle everything at a time."""
    monkeypatch.setattr(copies, "BUSY", 15_000)
    client, source = core.client(), core.worker("w1")
    keys = ["a", "b", "c", "d"]
    core.submit(client, *keys)
    core.placed(source)
    for key in keys:
        core.done(source, key)
    core.said(client)
    core.placed(source)
    target = core.worker("w2")
    make = core.state.transfers.copies.make
    for key in keys:
        core.happens(make, core.task(key), [target])
    began = []
    while said := core.said(target):
        keys = [key for _, items in said for key, _ in items]
        began.append(keys)
        core.state.copied(target, keys[:1], [])
        core.state.copied(target, keys[1:], [])
        core.end_turn()
    assert began == [["a", "b"], ["c", "d"]]


def test_a_target_is_told_of_other_holders(core, spread):
    """Should the first be gone, it need not ask the scheduler."""
    _, others = spread(2)
    list(rounds(core, others))
    late = core.worker("late")
    core.happens(core.state.transfers.copies.make, core.task("a"), [late])
    ((operation, ((key, places),)),) = core.said(late)
    assert (operation, key) == (m.COPY, "a")
    assert len(places) == 3
    core.happens(core.state.copied, late, ["a"], [])


def test_a_copy_that_two_want_is_made_once(core, spread):
    """Both hear of its end."""
    ends = []

    class Watcher:
        def copy_ended(self, task, target, outcome):
            ends.append((task.key, target.name, outcome))

    _, (other,) = spread(1)
    for _ in range(2):
        core.happens(
            lambda: core.state.transfers.copies.make(core.task("a"), [other], watcher=Watcher())
        )
    assert [operation for operation, _ in core.said(other)] == [m.COPY]
    core.happens(core.state.copied, other, ["a"], [])
    assert ends == [("a", "w1", copies.MADE)] * 2


def test_copies_of_what_is_lost_fail(core, spread):
    """Also those that had not begun."""
    first, others = spread(4)
    begun = [worker for worker in others if core.said(worker)]
    assert len(begun) == 2
    core.lose(first, charge=False)
    assert core.state_of("a") != MEMORY
    for worker in begun:
        core.happens(core.state.copied, worker, [], ["a"])
    assert not core.state.transfers.copies
    assert not core.state.transfers.copies.arriving
    for worker in others:
        core.said(worker)
    core.said(*core.state.clients.values())


def test_a_copy_that_comes_after_all_is_freed(core, spread):
    """Nobody needs the result any more."""
    _, (other,) = spread(1)
    core.said(other)
    (client,) = core.state.clients.values()
    core.happens(core.state.wishes.release, client, ["a"])
    assert not core.state.transfers.copies
    core.happens(core.state.copied, other, ["a"], [])
    assert core.said(other) == [(m.FREE, ["a"])]
    core.said(core.state.workers["w0"])
