"""What a client knows of its tasks."""

from __future__ import annotations

import threading

import pytest

from jobqueue.client.states import Book, Countdown, State
from jobqueue.errors import ClientClosed, TaskCancelled
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
