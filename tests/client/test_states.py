"""What a client knows of its tasks."""

from __future__ import annotations

import threading

import pytest

from jobqueue.client.states import MADE, Book, Countdown, State
from jobqueue.errors import ClientClosed, ConfigError, DataLost, TaskCancelled
from jobqueue.protocol.failures import Failure


@pytest.fixture
def book():
    """A book of a client."""
    return Book()


def test_futures_of_one_key_share_its_state(book):
    """The last one to go frees it; dropping takes no lock, and is counted later."""
    first, new = book.open("a")
    again, newer = book.open("a")
    assert (first is again, new, newer) == (True, True, False)
    with book.lock:  # held by another thread
        dropping = threading.Thread(target=book.drop, args=(first,))
        dropping.start()
        dropping.join(30)
        assert not dropping.is_alive()
    assert book.take_unused(1) == []
    book.drop(first)
    assert book.take_unused(1) == ["a"]
    assert not book.states


def test_waiters_for_what_nobody_holds_any_more(book):
    """They are told when the last future is counted as gone: no news of it comes any more."""
    told = []
    state, _ = book.open("a")
    book.open("a")
    assert book.when_done(state, told.append)
    book.drop(state)
    assert book.take_unused(1) == []
    assert not told
    book.drop(state)
    assert book.take_unused(1) == ["a"]
    assert told == [state]
    assert state.status == "released"
    assert isinstance(state.exception(), TaskCancelled)


def test_a_key_opened_again_before_its_drop_was_counted(book):
    """The state lives on with the new future."""
    state, _ = book.open("a")
    book.drop(state)
    assert book.open("a") == (state, False)
    assert book.take_unused(1) == []
    assert book.states == {"a": state}


def test_a_dropped_state_of_a_key_that_was_opened_anew(book):
    """Old and new state of a key are not mistaken for each other."""
    old, _ = book.open("a")
    book.drop(old)
    assert book.take_unused(1) == ["a"]
    new, _ = book.open("a")
    book.drop(State.released("a"))
    assert book.take_unused(1) == []
    assert book.states == {"a": new}


def test_opening_many(book):
    """New keys, known keys, and keys twice in a batch."""
    assert [state.key for state in book.open_all(["a", "b"])] == ["a", "b"]
    states = book.open_all(["a", "c", "c"])
    assert [state.refs for state in states] == [2, 2, 2]
    assert states[1] is states[2]


def test_how_tasks_end(book):
    """Finished with or without its value, failed, cancelled; unknown keys are passed over."""
    states = book.open_all(list("abcd"))
    book.finish([("a", b"value"), ("b", None), ("z", None)])
    book.fail([("c", tuple(Failure.of(ValueError("no"))))])
    book.cancel(["d", "z"])
    assert [state.status for state in states] == ["finished", "finished", "error", "cancelled"]
    assert states[0].value == b"value"
    assert isinstance(states[2].exception(), ValueError)
    assert isinstance(states[3].exception(), TaskCancelled)


def test_lost_results_are_pending_again(book):
    """Unless the value is here."""
    here, there = book.open_all(["a", "b"])
    book.finish([("a", b"value"), ("b", None)])
    book.lose(["a", "b", "z"])
    assert (here.status, there.status) == ("finished", "pending")


def test_a_countdown_calls_back_once(book):
    """When as many have ended as were pending."""
    called = []
    countdown = Countdown(lambda: called.append(1))
    states = book.open_all(list("abc"))
    book.finish([("a", None)])
    assert book.count_pending(countdown, states) == 2
    book.finish([("b", None)])
    assert not called
    book.cancel(["c"])
    assert called == [1]
    countdown.abort(ClientClosed("too late"))
    assert called == [1]
    assert countdown.error is None


def test_a_countdown_can_be_aborted(book):
    """It then calls back with the error, and no second time."""
    called = []
    countdown = Countdown(lambda: called.append(1))
    states = book.open_all(["a"])
    book.count_pending(countdown, states)
    countdown.abort(ClientClosed("closed"))
    book.finish([("a", None)])
    assert called == [1]
    assert str(countdown.error) == "closed"


def test_waiters_that_wait_no_more(book):
    """They are not called, others are."""
    called = []
    states = book.open_all(["a"])
    assert book.when_done(states[0], called.append)
    assert book.when_done(states[0], print)
    book.stop_waiting(states, print)
    book.finish([("a", None)])
    assert called == states
    assert not book.when_done(states[0], print)


def test_closing(book):
    """What is pending fails with the reason, what has ended stays."""
    pending, done = book.open_all(["a", "b"])
    book.finish([("b", b"value")])
    called = []
    book.when_done(pending, called.append)
    book.close(ClientClosed("the end"))
    assert called == [pending]
    assert str(pending.exception()) == "the end"
    assert done.status == "finished"
    assert str(book.closed) == "the end"


def test_a_key_stands_for_one_work(book):
    """Opened for other work it is refused; somebody else's task is whatever it is."""
    state, _ = book.open("a", b"work")
    assert book.open("a", b"work") == (state, False)
    for work in (b"other", MADE):
        with pytest.raises(ConfigError, match="key 'a' is in use for other work"):
            book.open("a", work)
    assert book.open("a", None) == (state, False)
    adopted, _ = book.open("b", None)
    assert book.open("b", b"work") == (adopted, False)
    assert state.refs == 3


def test_opening_many_is_undone_if_one_is_refused(book):
    """The others are dropped again, and their keys told."""
    book.open("b", b"work")
    with pytest.raises(ConfigError, match="'b'"):
        book.open_all(["a", "b"], [b"1", b"2"])
    assert book.take_unused(len(book.dropped)) == ["a"]
    assert book.states["b"].refs == 1


def test_what_is_gone_is_lost(book):
    """Its status says so, and why; waits end. Scattered again it is pending until told."""
    state, _ = book.open("a")
    book.finish([("a", None)])
    countdown = Countdown(list)
    book.gone([("a", Failure.of(DataLost("gone")))])
    assert state.status == "lost"
    assert isinstance(state.exception(), DataLost)
    assert book.count_pending(countdown, [state]) == 0
    book.open("a")
    assert (state.status, state.exception()) == ("pending", None)
    book.finish([("a", None)])
    assert state.status == "finished"


def test_what_is_run_again_is_pending(book):
    """A lost result, and a failed task; one whose value came along cannot be lost."""
    for key in "abc":
        book.open(key)
    book.finish([("a", None), ("b", b"value")])
    book.fail([("c", Failure.of(ValueError("x")))])
    book.lose(["a", "b", "c", "unknown"])
    assert [book.states[key].status for key in "abc"] == ["pending", "finished", "pending"]
    assert book.states["c"].exception() is None
