"""Calls that are not tasks, from clients to workers and back."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.errors import ConfigError, DataLost
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.calls import Calls
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.worker_record import WorkerRecord

FAILURE = Failure(b"", "ZeroDivisionError: division by zero", "Traceback ...")


class Site:
    """A client and two workers."""

    def __init__(self) -> None:
        self.state = SchedulerState()
        self.calls = Calls(self.state)
        self.client = ClientRecord("client", 0)
        self.state.add_client(self.client)
        self.one, self.two = (WorkerRecord(name, 1) for name in ("one", "two"))
        for worker in (self.one, self.two):
            self.state.add_worker(worker, 0.0)
            worker.take_messages()
        self.client.take_messages()

    def call(self, names: list[str] | None, actor: str | None = None, number: int = 7) -> None:
        self.calls.call(self.client, number, names, b"call", actor)

    def asked(self, worker: WorkerRecord) -> int:
        """Take the number under which a worker was called, and nothing else."""
        ((operation, number, call, _actor),) = worker.take_messages()
        assert (operation, call) == (m.CALL, b"call")
        return int(number)

    def answer(self) -> list[Any] | None:
        """Take the answer that the client has got, if it has."""
        messages = self.client.take_messages()
        if not messages:
            return None
        ((operation, number, answers),) = messages
        assert (operation, number) == (m.CALLED, 7)
        return list(answers)


@pytest.fixture
def site() -> Site:
    return Site()


def error_of(answer: Any) -> BaseException:
    _, value, failure = answer
    assert value is None
    return Failure(*failure).to_exception()


def test_a_call_runs_on_all_workers_and_is_answered_once(site):
    """In the order of the workers, whoever was faster; failures beside values."""
    site.call(None)
    one, two = site.asked(site.one), site.asked(site.two)
    site.calls.called(site.two, two, None, FAILURE)
    assert site.answer() is None
    site.calls.called(site.one, one, b"1", None)
    assert site.answer() == [("one", b"1", None), ("two", None, FAILURE)]
    assert not len(site.calls)


def test_only_the_named_workers_are_called(site):
    """Once each; a name that nobody has is refused, and then nobody is called."""
    site.call(["two", "two"])
    site.calls.called(site.two, site.asked(site.two), b"2", None)
    assert site.answer() == [("two", b"2", None)]
    site.call(["two", "nobody"])
    ((_, _, failure),) = site.client.take_messages()
    with pytest.raises(ConfigError, match="no worker is known as 'nobody'; connected are: one"):
        raise Failure(*failure).to_exception()
    assert not site.two.out
    assert site.one.take_messages() == []


def test_without_workers_the_answer_is_empty(site):
    """Nobody waits for nobody."""
    site.state.workers.clear()
    site.call(None)
    assert site.answer() == []


def test_a_worker_that_goes_meanwhile_is_named(site):
    """The others' answers still count; what it says afterwards finds nobody."""
    site.call(None)
    one, two = site.asked(site.one), site.asked(site.two)
    site.calls.called(site.one, one, b"1", None)
    site.calls.forget_worker(site.two, "struck by lightning")
    first, second = site.answer()
    assert first == ("one", b"1", None)
    assert "worker 'two' did not answer the call: struck by lightning" in str(error_of(second))
    site.calls.called(site.two, two, b"2", None)
    assert site.answer() is None


def test_a_worker_answers_only_what_it_was_asked(site):
    """Another's number, or none at all, changes nothing."""
    site.call(["one"])
    number = site.asked(site.one)
    site.calls.called(site.two, number, b"2", None)
    site.calls.called(site.one, number + 1, b"1", None)
    assert site.answer() is None
    site.calls.called(site.one, number, b"1", None)
    assert site.answer() == [("one", b"1", None)]


def test_the_calls_of_a_client_that_is_gone_are_forgotten(site):
    """Answers that still come find nobody."""
    site.call(None)
    site.calls.forget_client(site.client)
    site.calls.called(site.one, site.asked(site.one), b"1", None)
    assert site.answer() is None


def make_actor(site: Site) -> None:
    site.state.wishes.add_functions(site.client, [(b"f", "Counter", b"pickle")])
    site.state.submit(site.client, b"f", {"actor": True}, [("counter", b"arguments", None)])
    site.state.settle()


def test_a_method_runs_where_the_actor_is(site):
    """However many workers there are."""
    make_actor(site)
    home = site.state.tasks["counter"].worker
    site.state.done(home, [("counter", None, 100, 0.1)])
    for peer in (site.client, site.one, site.two):
        peer.take_messages()
    site.call(None, actor="counter")
    site.calls.called(home, site.asked(home), b"1", None)
    assert site.answer() == [(home.name, b"1", None)]
    assert not site.one.take_messages()
    assert not site.two.take_messages()
    site.call(None, actor="counter")
    site.calls.forget_worker(home, "out of memory")
    error = error_of(site.answer()[0])
    assert isinstance(error, DataLost)
    assert "out of memory; its state is lost" in str(error)


def refused(site: Site) -> BaseException:
    """Take the client's refusal."""
    ((operation, number, failure),) = site.client.take_messages()
    assert (operation, number) == (m.REFUSED, 7)
    return Failure(*failure).to_exception()


def test_an_actor_that_is_not_made_yet_is_not_called(site):
    """Its future says when it is."""
    make_actor(site)
    site.client.take_messages()
    site.call(None, actor="counter")
    assert "wait for its future" in str(refused(site))


def test_an_actor_that_nobody_knows_is_lost(site):
    """It was released, or its worker is gone."""
    site.call(None, actor="counter")
    error = refused(site)
    assert isinstance(error, DataLost)
    assert "actor 'counter' is nowhere" in str(error)


def test_an_actor_that_failed_says_so_again(site):
    """With the exception of its constructor."""
    make_actor(site)
    home = site.state.tasks["counter"].worker
    site.state.failed(home, [("counter", FAILURE, 0.1)])
    site.client.take_messages()
    site.call(None, actor="counter")
    assert "division by zero" in str(refused(site))
