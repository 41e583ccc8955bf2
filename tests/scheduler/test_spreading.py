"""Copies that clients ask for."""

from __future__ import annotations

import pytest

from jobqueue.errors import ConfigError, TaskError
from jobqueue.protocol import messages as m


@pytest.fixture
def results(core):
    """Have a worker hold results of 10 kB under these keys."""
    client = core.client()

    def make(worker, *keys, **options):
        core.submit(client, *keys, **options)
        core.placed(worker)
        for key in keys:
            core.done(worker, key)
            core.placed(worker)
        core.said(client)
        return client

    return make


@pytest.fixture
def answers():
    """How the moves that were asked for have ended."""
    return []


def deliver(core, *workers):
    """Let copies arrive until no more begin; give who got what."""
    got = []
    while True:
        begun = []
        for worker in workers:
            for operation, items in core.said(worker):
                if operation in (m.COPY, m.STORE):
                    begun += [(worker, key) for key, _ in items]
                else:
                    assert operation == m.FREE
        if not begun:
            return sorted((worker.name, key) for worker, key in got)
        got += begun
        for worker, key in begun:
            core.happens(core.state.copied, worker, [key], [])


def replicate(core, answers, keys, n=None, workers=None):
    core.happens(core.state.transfers.spreading.replicate, keys, n, workers, answers.append)


def rebalance(core, answers, keys=None, workers=None):
    core.happens(core.state.transfers.spreading.rebalance, keys, workers, answers.append)


# -- replicate -------------------------------------------------------------------------------------


def test_a_result_is_copied_to_all(core, results, answers):
    """The answer comes when the last one has it."""
    one = core.worker("w1")
    results(one, "a")
    two, three = core.worker("w2"), core.worker("w3")
    replicate(core, answers, ["a"])
    assert answers == []
    assert deliver(core, two, three) == [("w2", "a"), ("w3", "a")]
    assert answers == [None]
    replicate(core, answers, ["a"])
    assert answers == [None, None], "nothing is left to do"


def test_as_many_copies_as_asked_for(core, results, answers):
    """Those there are count; the emptiest workers get the others; more than there are is all."""
    one = core.worker("w1")
    results(one, "a", "b")
    two, three = core.worker("w2"), core.worker("w3")
    replicate(core, answers, ["a", "b"], n=2)
    assert deliver(core, two, three) == [("w2", "a"), ("w3", "b")]
    replicate(core, answers, ["a"], n=10)
    assert deliver(core, two, three) == [("w3", "a")]
    assert answers == [None, None]
    with pytest.raises(ConfigError, match="n=0"):
        replicate(core, answers, ["a"], n=0)


def test_only_the_workers_named_get_copies(core, results, answers):
    """What others hold does not count."""
    one = core.worker("w1")
    results(one, "a")
    two, three, four = core.worker("w2"), core.worker("w3"), core.worker("w4")
    replicate(core, answers, ["a"], n=1, workers=[three, four])
    assert deliver(core, two, three, four) == [("w3", "a")]
    assert answers == [None]


def test_another_worker_takes_the_place_of_one_that_is_gone(core, results, answers):
    """So many were asked for; the answer waits for that."""
    one = core.worker("w1")
    results(one, "a")
    two, three = core.worker("w2"), core.worker("w3")
    replicate(core, answers, ["a"], n=2)
    core.said(two)
    core.lose(two)
    assert answers == []
    assert deliver(core, three) == [("w3", "a")]
    assert answers == [None]


def test_what_cannot_be_copied_is_named(core, results, answers):
    """Unknown keys, actors, and what cannot be pickled; all else is copied."""
    one = core.worker("w1")
    client = results(one, "good", "bad")
    results(one, "actor", actor=True)
    two = core.worker("w2")
    replicate(core, answers, ["good", "bad", "actor", "unheard-of"])
    assert [key for _, items in core.said(two) for key, _ in items] == ["good", "bad"]
    core.happens(core.state.copied, two, ["good"], ["bad"])
    (failure,) = answers
    error = failure.to_exception()
    assert isinstance(error, TaskError)
    assert "3 in all" in str(error)
    for key in ("bad", "actor", "unheard-of"):
        assert repr(key) in str(error)
    core.said(client)


def test_copies_that_two_clients_want_are_made_once(core, results, answers):
    """And both hear."""
    one = core.worker("w1")
    results(one, "a")
    two = core.worker("w2")
    replicate(core, answers, ["a"])
    replicate(core, answers, ["a"], n=2)
    assert deliver(core, two) == [("w2", "a")]
    assert answers == [None, None]


def test_small_results_are_copied_too(core, results, answers):
    """Though the scheduler holds them: a user who asks for copies finds them."""
    client, one = core.client("other"), core.worker("w1")
    core.submit(client, "a")
    core.placed(one)
    core.done(one, "a", b"small")
    replicate(core, answers, ["a"])
    assert core.said(one) == [(m.STORE, [("a", b"small")])]
    core.happens(core.state.copied, one, ["a"], [])
    assert answers == [None]
    core.said(client)


# -- rebalance -------------------------------------------------------------------------------------


def test_results_move_to_where_there_is_room(core, results, answers):
    """Each is freed at its old place once it has come to the new one."""
    one = core.worker("w1")
    results(one, "a", "b", "c", "d")
    two = core.worker("w2")
    rebalance(core, answers)
    assert core.said(one) == []
    copied = [key for _, items in core.said(two) for key, _ in items]
    assert len(copied) == 2
    core.happens(core.state.copied, two, copied, [])
    assert core.said(one) == [(m.FREE, copied)]
    assert one.stored == two.stored == 20_000
    assert answers == [None]
    rebalance(core, answers)
    assert answers == [None, None]


def test_what_a_task_is_to_use_stays_as_well(core, results, answers):
    """It was told that it finds it there."""
    one = core.worker("w1")
    client = results(one, "a", "b")
    core.submit(client, "user", inputs=["a", "b"])
    assert core.placed(one) == ["user"]
    two = core.worker("w2")
    rebalance(core, answers)
    ((_, ((key, _),)),) = core.said(two)
    core.happens(core.state.copied, two, [key], [])
    assert core.task(key).holders == {one, two}
    assert answers == [None]


def test_a_move_that_fails_leaves_the_result_where_it_was(core, results, answers):
    """That does no harm, and is no error."""
    one = core.worker("w1")
    results(one, "a", "b")
    two = core.worker("w2")
    rebalance(core, answers)
    ((_, ((key, _),)),) = core.said(two)
    core.happens(core.state.copied, two, [], [key])
    assert core.task(key).holders == {one}
    assert answers == [None]


def test_only_among_the_workers_and_results_named(core, results, answers):
    """All else stays."""
    one = core.worker("w1")
    results(one, "a", "b", "c", "d")
    two, three = core.worker("w2"), core.worker("w3")
    rebalance(core, answers, keys=["b", "unheard-of"], workers=[one, three])
    assert core.said(two) == []
    assert [key for _, items in core.said(three) for key, _ in items] == ["b"]
    core.happens(core.state.copied, three, ["b"], [])
    assert core.said(one) == [(m.FREE, ["b"])]
    assert answers == [None]


# -- scatter ---------------------------------------------------------------------------------------


def scatter(core, options, client=None):
    client = client or core.client("scatterer")
    core.happens(core.state.scatter, client, options, [("data", b"x" * 5000)])
    core.said(client)
    return client


def test_a_broadcast_value_goes_to_all(core):
    """To a few from here, and on from those; then it is not held here any more."""
    workers = [core.worker(f"w{number}") for number in range(6)]
    scatter(core, {"broadcast": True})
    first = [worker for worker in workers if worker.out]
    assert len(first) == 2
    for worker in first:
        assert core.said(worker) == [(m.STORE, [("data", b"x" * 5000)])]
        core.happens(core.state.copied, worker, ["data"], [])
    assert core.state.results.held_bytes == 0
    deliver(core, *workers)
    assert core.task("data").holders == set(workers)


def test_a_broadcast_value_goes_to_workers_that_come_later(core):
    """From those that have it, for as long as somebody wants it; named ones alone, if some are."""
    one = core.worker("w1")
    client = scatter(core, {"broadcast": True})
    assert deliver(core, one) == [("w1", "data")]
    two = core.worker("w2")
    assert deliver(core, one, two) == [("w2", "data")]
    assert core.task("data").holders == {one, two}
    core.happens(core.state.wishes.release, client, ["data"])
    scatter(core, {"broadcast": True, "workers": ["w2", "w4"]}, client)
    three, four = core.worker("w3"), core.worker("w4")
    deliver(core, one, two, three, four)
    assert core.task("data").holders == {two, four}


def test_a_broadcast_value_that_is_lost_is_not_sent_on(core):
    """Workers that come after that have nothing to get."""
    one = core.worker("w1")
    client = scatter(core, {"broadcast": True})
    deliver(core, one)
    core.lose(one)
    assert [message[0] for message in core.said(client)] == [m.GONE]
    two = core.worker("w2")
    assert deliver(core, two) == []
    assert core.state.transfers._broadcast == {}


def test_a_broadcast_to_some(core):
    """To as many as were asked for."""
    workers = [core.worker(f"w{number}") for number in range(4)]
    scatter(core, {"broadcast": 3})
    assert len(deliver(core, *workers)) == 3


def test_scattered_to_the_workers_named(core):
    """It waits for them, unless others will do."""
    one = core.worker("w1")
    client = scatter(core, {"workers": ["w2"]})
    assert core.said(one) == []
    assert core.state.results.held_bytes == 5000
    two = core.worker("w2")
    assert deliver(core, two) == [("w2", "data")]
    assert core.state.results.held_bytes == 0
    core.happens(core.state.wishes.release, client, ["data"])
    assert core.said(two) == [(m.FREE, ["data"])]
    scatter(core, {"workers": ["w3"], "allow_other_workers": True}, client)
    assert deliver(core, one, two) == [("w1", "data")]


def test_an_actor_does_not_leave_its_worker(core, results):
    """A worker that retires does not wait for it."""
    one = core.worker("w1")
    client = results(one, "actor", actor=True)
    two = core.worker("w2")
    core.retire(one)
    assert core.said(one) == [(m.END, "retired")]
    assert core.said(two) == []
    core.happens(core.state.wishes.release, client, ["actor"])
    core.said(one)
