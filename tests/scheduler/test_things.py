"""How events, semaphores, queues and variables behave, by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.thing import Desk, Element
from jobqueue.scheduler.things import Event, Queue, Semaphore, Variable

ONE, TWO = ClientRecord("one", 1), ClientRecord("two", 2)
A, B, C, D = (ONE, 1), (ONE, 2), (TWO, 1), (TWO, 2)


class Room:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, Any]] = []
        self.refused: list[tuple[Any, Exception]] = []
        self.kept: list[Element] = []
        self.desk = Desk(
            lambda question, answer: self.answers.append((question, answer)),
            lambda question, error: self.refused.append((question, error)),
            self.kept.append,
            self.kept.append,
            self.kept.remove,
        )

    def heard(self) -> list[tuple[Any, Any]]:
        heard, self.answers = self.answers, []
        return heard


@pytest.fixture
def room() -> Room:
    """A room for one thing."""
    return Room()


# -- events ----------------------------------------------------------------------------------------


def test_an_event_lets_all_go_on_that_wait(room):
    """And those who come later, until it is cleared."""
    event = Event("event 'e'", room.desk)
    event.wait(A)
    event.wait(C)
    assert room.heard() == []
    event.set(B)
    assert room.heard() == [(A, True), (C, True), (B, None)]
    event.wait(D)
    event.is_set(D)
    event.clear(D)
    event.is_set(D)
    assert room.heard() == [(D, True), (D, True), (D, None), (D, False)]
    assert event.idle


def test_a_wait_that_takes_too_long_is_answered(room):
    """With the truth: it is not set."""
    event = Event("event 'e'", room.desk)
    event.wait(A)
    event.hurry(A)
    assert room.heard() == [(A, False)]
    event.hurry(A)
    event.wait(A)
    event.withdraw(A)
    event.set(B)
    assert room.heard() == [(B, None)]


# -- semaphores ------------------------------------------------------------------------------------


def test_leases_go_to_those_who_asked_first(room):
    """As many as there are."""
    semaphore = Semaphore("semaphore 's'", room.desk)
    for question in (A, B, C, D):
        semaphore.acquire(question, 2)
    assert room.heard() == [(A, True), (B, True)]
    semaphore.release((ONE, 9), 1)
    assert room.heard() == [(C, True), ((ONE, 9), None)]
    semaphore.get_value(A)
    assert room.heard() == [(A, 2)]


def test_only_the_holder_releases(room):
    """A client cannot release another's lease, nor one twice."""
    lock = Semaphore("lock 'l'", room.desk)
    lock.acquire(A, 1)
    with pytest.raises(CoordinationError, match="lock 'l' is not held here"):
        lock.release(C, 1)
    lock.release(B, 1)
    with pytest.raises(CoordinationError):
        lock.release(B, 1)
    assert lock.idle


def test_all_must_agree_on_the_number(room):
    """As long as it is in use."""
    semaphore = Semaphore("semaphore 's'", room.desk)
    semaphore.acquire(A, 2)
    with pytest.raises(ConfigError, match="in use with max_leases=2, not 3"):
        semaphore.acquire(B, 3)
    with pytest.raises(ConfigError, match="less than 1"):
        semaphore.acquire(B, 0)
    semaphore.release(B, 1)
    semaphore.acquire(B, 3)
    assert room.heard()[-1] == (B, True)


def test_what_a_client_held_goes_to_others_when_it_is_gone(room):
    """It gets nothing any more itself."""
    lock = Semaphore("lock 'l'", room.desk)
    for question in (A, B, C):
        lock.acquire(question, 1)
    room.heard()
    lock.forget(ONE)
    assert room.heard() == [(C, True)]
    lock.forget(TWO)
    assert lock.idle


def test_a_lease_that_nobody_is_there_to_take_is_undone(room):
    """Also if its answer was on the way."""
    lock = Semaphore("lock 'l'", room.desk)
    lock.acquire(A, 1)
    lock.acquire(C, 1)
    lock.withdraw(A)
    assert room.heard() == [(A, True), (C, True)]
    lock.hurry(C)
    assert room.heard() == [], "it has its answer"


def test_a_closed_semaphore_is_refused(room):
    """To those who wait, and those who come."""
    semaphore = Semaphore("semaphore 's'", room.desk)
    semaphore.acquire(A, 1)
    semaphore.acquire(C, 1)
    semaphore.close(B)
    ((question, error),) = room.refused
    assert question == C
    assert "was closed" in str(error)
    with pytest.raises(CoordinationError, match="was closed"):
        semaphore.acquire(D, 1)
    assert not semaphore.idle, "nobody begins it anew by mistake"


# -- queues ----------------------------------------------------------------------------------------


def put(queue: Queue, question: Any, *values: bytes) -> None:
    for value in values:
        queue.put(question, value, [])


def test_values_come_out_as_they_went_in(room):
    """Those who wait get them in their order."""
    queue = Queue("queue 'q'", room.desk)
    queue.get(A, 1)
    put(queue, C, b"1", b"2")
    assert room.heard() == [(C, True), (A, [b"1"]), (C, True)]
    queue.get(B, 1)
    assert room.heard() == [(B, [b"2"])]
    queue.qsize(B)
    assert room.heard() == [(B, 0)]


def test_batches(room):
    """So many, once they are there; or all there are, at once."""
    queue = Queue("queue 'q'", room.desk)
    queue.get(A, 0)
    queue.get(A, 2)
    put(queue, C, b"1")
    assert room.heard() == [(A, []), (C, True)]
    put(queue, C, b"2", b"3", b"4")
    assert (A, [b"1", b"2"]) in room.heard()
    queue.get(B, 0)
    assert room.heard() == [(B, [b"3", b"4"])]


def test_a_full_queue_lets_wait(room):
    """Until there is room; the first number that was named counts."""
    queue = Queue("queue 'q'", room.desk)
    queue.open(A, 1)
    queue.open(C, 100)
    put(queue, A, b"1")
    put(queue, B, b"2")
    assert room.heard() == [(A, None), (C, None), (A, True)]
    queue.get(C, 1)
    assert room.heard() == [(C, [b"1"]), (B, True)]
    put(queue, D, b"3")
    queue.hurry(D)
    assert room.heard() == [(D, False)]
    with pytest.raises(ConfigError, match="holds 1 elements at most"):
        queue.get(C, 2)


def test_all_of_a_full_queue_lets_others_put(room):
    """A batch of all makes room."""
    queue = Queue("queue 'q'", room.desk)
    queue.open(A, 1)
    put(queue, A, b"1")
    put(queue, B, b"2")
    queue.get(C, 0)
    queue.get(D, 1)
    assert room.heard() == [(A, None), (A, True), (C, [b"1"]), (B, True), (D, [b"2"])]


def test_nothing_is_lost_on_the_way(room):
    """What was given and not taken comes back to its place at the head."""
    queue = Queue("queue 'q'", room.desk)
    put(queue, C, b"1", b"2", b"3")
    queue.get(A, 2)
    queue.withdraw(A)
    queue.get(B, 1)
    room.heard()
    queue.forget(ONE)
    queue.get(D, 3)
    assert room.heard() == [(D, [b"1", b"2", b"3"])]
    queue.taken(D)
    queue.forget(TWO)
    assert queue.idle
    assert room.kept == []


def test_who_gives_up_waiting_gets_nothing(room):
    """The next one does."""
    queue = Queue("queue 'q'", room.desk)
    queue.get(A, 1)
    queue.hurry(A)
    queue.get(B, 5)
    queue.get(C, 1)
    put(queue, D, b"1")
    queue.withdraw(B)
    assert room.heard() == [(A, None), (D, True), (C, [b"1"])]


def test_a_closed_queue_is_empty(room):
    """Whoever waits is refused; then it may be used anew."""
    queue = Queue("queue 'q'", room.desk)
    queue.open(A, 1)
    put(queue, A, b"1")
    put(queue, C, b"2")
    queue.close(B)
    assert [question for question, _ in room.refused] == [C]
    assert room.kept == []
    assert queue.idle


# -- variables -------------------------------------------------------------------------------------


def test_a_variable_has_the_last_value(room):
    """Whoever comes before the first waits for it."""
    variable = Variable("variable 'v'", room.desk)
    variable.get(A)
    variable.set(C, b"1", [])
    variable.set(C, b"2", [])
    variable.get(B)
    assert room.heard() == [(A, [b"1"]), (C, None), (C, None), (B, [b"2"])]
    variable.delete(D)
    assert variable.idle
    variable.get(A)
    variable.hurry(A)
    assert room.heard() == [(D, None), (A, None)]
    assert room.kept == []


def test_futures_in_a_value_are_kept_until_it_is_taken(room):
    """Though it is replaced meanwhile, or its reader is gone."""
    variable = Variable("variable 'v'", room.desk)
    variable.set(C, b"1", ["key"])
    variable.get(A)
    variable.get(B)
    variable.delete(C)
    assert len(room.kept) == 2
    variable.taken(A)
    variable.forget(ONE)
    assert room.kept == []
    assert variable.idle
