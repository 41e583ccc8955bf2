"""Locks, events, semaphores, queues and variables by their names, and what is kept for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from jobqueue.errors import ConfigError, CoordinationError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler import coordination
from jobqueue.scheduler.coordination import Coordination
from jobqueue.scheduler.records import ClientRecord
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import MEMORY
from jobqueue.scheduler.validation import validate


@pytest.fixture
def room(core):
    """The core's room for coordination."""
    return Coordination(core.state)


@pytest.fixture
def ask(core, room):
    """Ask something and give what the client is told at once: the answer, or an exception."""
    numbers = iter(range(1, 1000))

    def ask(client, kind, name, operation, *args):
        number = next(numbers)
        core.happens(room.coordinate, client, number, (kind, name, operation, args))
        answers = [fields for op, *fields in core.said(client) if op in (m.ANSWER, m.REFUSED)]
        if not answers:
            return number
        ((answered, answer),) = answers
        assert answered == number
        return Failure(*answer).to_exception() if isinstance(answer, tuple) else answer

    return ask


def test_things_are_known_by_kind_and_name(core, room, ask):
    """A lock and a semaphore of one name have nothing to do with each other."""
    client = core.client()
    assert ask(client, "lock", "x", "acquire", 1) is True
    assert ask(client, "semaphore", "x", "acquire", 1) is True
    assert ask(client, "lock", "y", "acquire", 1) is True
    assert len(room) == 3


def test_nothing_stays_of_what_is_not_in_use(core, room, ask):
    """A program may use as many names as it likes, one after the other."""
    client = core.client()
    assert ask(client, "event", "e", "is_set") is False
    assert ask(client, "lock", "l", "acquire", 1) is True
    assert ask(client, "lock", "l", "release", 2) is None
    assert ask(client, "queue", "q", "qsize") == 0
    assert ask(client, "variable", "v", "delete") is None
    waiting = ask(client, "variable", "v", "get")
    assert len(room) == 1
    core.happens(room.coordinate, client, 0, ("variable", "v", "withdraw", [waiting]))
    assert len(room) == 0
    core.happens(room.coordinate, client, 0, ("variable", "v", "hurry", [waiting]))
    assert len(room) == 0


def test_a_client_that_is_gone_holds_nothing(core, room, ask):
    """The next one in line has the lock."""
    one, two = core.client("one"), core.client("two")
    assert ask(one, "lock", "x", "acquire", 1) is True
    waiting = ask(two, "lock", "x", "acquire", 1)
    core.happens(room.forget_client, one)
    assert core.said(two) == [(m.ANSWER, waiting, True)]
    core.happens(room.forget_client, two)
    assert len(room) == 0


@pytest.mark.parametrize(
    "question",
    [
        ("key", "x", "acquire", []),
        ("lock", "x", "forget", []),
        ("lock", "x", "__init__", []),
        ("event", "x" * 1001, "set", []),
        ("event", 7, "set", []),
    ],
)
def test_nonsense_is_refused(core, room, ask, question):
    """And leaves nothing behind."""
    kind, name, operation, args = question
    client = core.client()
    assert isinstance(ask(client, kind, name, operation, *args), ConfigError)
    assert len(room) == 0


def test_operations_with_the_wrong_arguments_leave_nothing_behind(core, room):
    """The shell refuses them."""
    client = core.client()
    with pytest.raises(TypeError):
        room.coordinate(client, 1, ("event", "x", "set", [1, 2]))
    assert len(room) == 0


def test_there_is_an_end_to_names_and_to_bytes(core, room, ask, monkeypatch):
    """A program that goes astray does not take the scheduler with it."""
    monkeypatch.setattr(coordination, "MOST_THINGS", 2)
    monkeypatch.setattr(coordination, "MOST_BYTES", 10)
    client = core.client()
    assert ask(client, "queue", "q", "put", b"12345678", []) is True
    refused = ask(client, "variable", "v", "set", b"123", [])
    assert isinstance(refused, CoordinationError)
    assert "scatter()" in str(refused)
    assert ask(client, "variable", "v", "set", b"12", []) is None
    assert isinstance(ask(client, "event", "e", "set"), CoordinationError)
    assert ask(client, "variable", "v", "delete") is None
    assert ask(client, "event", "e", "set") is None


def test_only_so_many_closed_semaphores_are_remembered(core, room, ask, monkeypatch):
    """The oldest may be begun anew."""
    monkeypatch.setattr(coordination, "CLOSED_KNOWN", 2)
    client = core.client()
    for name in ("a", "b", "c"):
        assert ask(client, "semaphore", name, "close") is None
    assert len(room) == 2
    assert ask(client, "semaphore", "a", "acquire", 1) is True
    assert isinstance(ask(client, "semaphore", "c", "acquire", 1), CoordinationError)


def test_a_future_in_a_queue_keeps_its_result(core, room, ask):
    """Nobody else needs to hold it, until it was taken."""
    client, other, worker = core.client(), core.client("other"), core.worker()
    core.submit(client, "a")
    assert ask(client, "queue", "q", "put", b"value", ["a"]) is True
    core.happens(core.state.wishes.release, client, ["a"])
    core.placed(worker)
    core.done(worker, "a", b"1")
    assert core.state_of("a") == MEMORY
    assert ask(other, "queue", "q", "get", 1) == [b"value"]
    assert core.state_of("a") == MEMORY
    core.happens(core.state.wishes.want, other, ["a"])
    core.happens(room.coordinate, other, 0, ("queue", "q", "taken", [2]))
    assert core.state_of("a") == MEMORY
    core.happens(core.state.wishes.release, other, ["a"])
    assert core.state_of("a") is None
    core.said(client), core.said(other)


def test_a_future_that_is_kept_twice_is_kept_as_long_as_one_of_them(core, room, ask):
    """In several places of one value, or of several."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    core.done(worker, "a", b"1")
    assert ask(client, "variable", "v", "set", b"value", ["a", "a"]) is None
    assert ask(client, "queue", "q", "put", b"value", ["a"]) is True
    core.happens(core.state.wishes.release, client, ["a"])
    assert ask(client, "variable", "v", "delete") is None
    assert core.state_of("a") == MEMORY
    assert ask(client, "queue", "q", "close") is None
    assert core.state_of("a") is None


# -- chance ----------------------------------------------------------------------------------------

PICK = st.integers(0, 2**16)


class CoordinationMachine(RuleBasedStateMachine):
    """Clients ask, hurry, withdraw, take and go; everything that was put is somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SchedulerState()
        self.room = Coordination(self.state)
        self.count = 0
        self.clients: list[ClientRecord] = []
        self.waiting: dict[int, tuple[ClientRecord, str, Any]] = {}  # unanswered questions
        self.leases: dict[str, dict[int, ClientRecord]] = {"lock": {}, "semaphore": {}}
        self.put: list[bytes] = []  # values that the queue has accepted, in their order
        self.got: dict[int, tuple[ClientRecord, list[bytes]]] = {}  # and has given, not taken yet
        self.taken: list[bytes] = []
        self.returned = False  # something came back, and perhaps not in its order
        self.variable: bytes | None = None
        self.joins()

    def client(self, pick: int) -> ClientRecord:
        return self.clients[pick % len(self.clients)]

    def ask(self, client: ClientRecord, kind: str, operation: str, *args: Any) -> None:
        self.count += 1
        self.waiting[self.count] = (client, f"{kind} {operation}", args)
        self.room.coordinate(client, self.count, (kind, "x", operation, args))
        self.listen()

    def say(self, client: ClientRecord, kind: str, operation: str, number: int) -> None:
        self.room.coordinate(client, 0, (kind, "x", operation, [number]))
        self.listen()

    def listen(self) -> None:
        validate(self.state)
        answers = []
        for client in self.clients:
            for operation, number, answer in client.take_messages():
                assert operation == m.ANSWER
                asker, what, args = self.waiting.pop(number)
                assert asker is client, "the answer goes to who asked"
                answers.append((what == "queue get", number, what, args, client, answer))
        for _, number, what, args, client, answer in sorted(answers, key=lambda a: a[:2]):
            self.note(what, args, client, number, answer)
        for kind, limit in (("lock", 1), ("semaphore", 2)):
            assert len(self.leases[kind]) <= limit
            if any(what == f"{kind} acquire" for _, what, _ in self.waiting.values()):
                assert len(self.leases[kind]) == limit, "who waits, waits for a reason"
        waits = [what for _, what, _ in self.waiting.values()]
        inside = self.inside()
        assert len(inside) <= 3 or self.returned
        assert not inside or "queue get" not in waits
        assert len(inside) >= 3 or "queue put" not in waits
        assert self.variable is None or "variable get" not in waits

    def inside(self) -> list[bytes]:
        """Return what must be in the queue now."""
        out = [*self.taken, *(value for _, values in self.got.values() for value in values)]
        return [value for value in self.put if value not in out]

    def note(self, what: str, args: Any, client: ClientRecord, number: int, answer: Any) -> None:
        if what in ("lock acquire", "semaphore acquire") and answer:
            self.leases[what.split()[0]][number] = client
        elif what == "queue put" and answer:
            self.put.append(args[0])
        elif what == "queue get" and answer is not None:
            inside = self.inside()
            assert set(answer) <= set(inside)
            assert answer == inside[: len(answer)] or self.returned, "the oldest first"
            self.got[number] = (client, answer)
        elif what == "variable get" and answer is not None:
            assert answer == [self.variable]

    @rule()
    def joins(self) -> None:
        if len(self.clients) < 4:
            self.count += 1
            self.clients.append(ClientRecord(f"c{self.count}", self.count))

    @rule(pick=PICK)
    def goes(self, pick: int) -> None:
        if len(self.clients) > 1:
            client = self.clients.pop(pick % len(self.clients))
            self.waiting = {n: w for n, w in self.waiting.items() if w[0] is not client}
            for kind, leases in self.leases.items():
                self.leases[kind] = {n: who for n, who in leases.items() if who is not client}
            self.returned |= any(got[0] is client for got in self.got.values())
            self.got = {n: g for n, g in self.got.items() if g[0] is not client}
            self.room.forget_client(client)
            self.listen()

    @rule(pick=PICK, kind=st.sampled_from(["lock", "semaphore"]))
    def acquires(self, pick: int, kind: str) -> None:
        self.ask(self.client(pick), kind, "acquire", 1 if kind == "lock" else 2)

    @rule(pick=PICK, kind=st.sampled_from(["lock", "semaphore"]))
    def releases(self, pick: int, kind: str) -> None:
        if leases := self.leases[kind]:
            number = list(leases)[pick % len(leases)]
            self.ask(leases.pop(number), kind, "release", number)

    @rule(pick=PICK)
    def puts(self, pick: int) -> None:
        self.ask(self.client(pick), "queue", "open", 3)
        self.ask(self.client(pick), "queue", "put", str(self.count).encode(), [])

    @rule(pick=PICK, batch=st.sampled_from([1, 1, 0]))
    def gets(self, pick: int, batch: int) -> None:
        self.ask(self.client(pick), "queue", "open", 3)
        self.ask(self.client(pick), "queue", "get", batch)

    @rule(pick=PICK)
    def takes(self, pick: int) -> None:
        if self.got:
            number = list(self.got)[pick % len(self.got)]
            client, values = self.got.pop(number)
            self.taken += values
            self.say(client, "queue", "taken", number)

    @rule(pick=PICK, sets=st.booleans())
    def sets_or_deletes(self, pick: int, sets: bool) -> None:
        client = self.client(pick)
        if sets:
            self.variable = str(self.count).encode()
            self.ask(client, "variable", "set", self.variable, [])
        else:
            self.variable = None
            self.ask(client, "variable", "delete")

    @rule(pick=PICK)
    def reads(self, pick: int) -> None:
        self.ask(self.client(pick), "variable", "get")

    @rule(pick=PICK)
    def hurries(self, pick: int) -> None:
        if self.waiting:
            number = list(self.waiting)[pick % len(self.waiting)]
            client, what, _ = self.waiting[number]
            self.say(client, what.split()[0], "hurry", number)
            assert number not in self.waiting, "it is answered now"

    @rule(pick=PICK)
    def withdraws(self, pick: int) -> None:
        """Of what waits, or of what was answered and not heard."""
        questions = {n: (w[0], w[1].split()[0]) for n, w in self.waiting.items()}
        questions |= {n: (g[0], "queue") for n, g in self.got.items()}
        for kind, leases in self.leases.items():
            questions |= {n: (client, kind) for n, client in leases.items()}
        if questions:
            number = list(questions)[pick % len(questions)]
            client, kind = questions[number]
            self.waiting.pop(number, None)
            self.returned |= number in self.got
            self.got.pop(number, None)
            for leases in self.leases.values():
                leases.pop(number, None)
            self.say(client, kind, "withdraw", number)

    def teardown(self) -> None:
        while self.clients:
            client = self.clients.pop()
            self.room.forget_client(client)
        self.room.coordinate(ClientRecord("last", 0), 1, ("queue", "x", "close", []))
        self.room.coordinate(ClientRecord("last", 0), 2, ("variable", "x", "delete", []))
        assert len(self.room) == 0


def test_whatever_clients_do_they_are_served_in_turn():
    """No lock is held twice, nothing that was put is lost or comes twice, nobody is forgotten."""
    run_state_machine_as_test(
        CoordinationMachine,
        settings=settings(stateful_step_count=50),
    )
