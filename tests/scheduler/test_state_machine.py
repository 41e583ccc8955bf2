"""Chance against the scheduler core: simulated workers and clients do whatever real ones do.

Messages wait in both directions, so everything may cross on the way. Values name the task they came
from, so that one which arrives under a wrong key is seen.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from jobqueue.protocol import messages as m
from jobqueue.protocol.messages import Message
from jobqueue.scheduler.records import (
    CANCELLED,
    FAILED,
    MEMORY,
    TRANSITIONS,
    UNFINISHED,
    ClientRecord,
    Task,
    WorkerRecord,
)
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.validation import validate

INLINE_LIMIT = 20
HELD_BUDGET = 60  # a few small results
SIZES = {"small": 12, "large": 50}
FAILURE = (b"", "Error: chance", "")
STATUS_OF = {MEMORY: "finished", FAILED: "failed", CANCELLED: "cancelled"}
PICK = st.integers(0, 2**16)
OUTCOME = st.sampled_from(["small", "small", "large", "large", "raises"])


def value_of(key: str, size: int) -> bytes:
    """A value that tells which task it belongs to."""
    return f"{key}:".encode().ljust(size, b".")


def is_value_of(value: Any, key: str) -> bool:
    return isinstance(value, bytes) and value.startswith(f"{key}:".encode())


class SimulatedWorker:
    """Answers every message a worker can get, as late as chance wants."""

    def __init__(self, world: World, name: str, nthreads: int) -> None:
        self.world = world
        self.record = WorkerRecord(name, nthreads, addresses=(name,))
        self.inbox: deque[Message] = deque()
        self.outbox: deque[Message] = deque()
        self.store: dict[str, bytes] = {}
        self.functions: set[bytes] = set()
        self.inline_limit = 0
        self.queue: dict[str, tuple[str, ...]] = {}  # task -> inputs in the store
        self.running: list[str] = []
        self.waiting: dict[str, tuple[set[str], tuple[str, ...]]] = {}  # missing, all
        self.fetching: dict[str, Sequence[Any]] = {}
        self.relaying: set[str] = set()
        self.unwanted: set[str] = set()
        self.ended = False

    @property
    def busy(self) -> bool:
        return any((self.inbox, self.outbox, self.queue, self.running, self.fetching))

    def say(self, *message: Any) -> None:
        self.outbox.append(message)

    def hear(self) -> None:
        """Take one message in."""
        operation, *fields = self.inbox.popleft()
        getattr(self, f"on_{operation.replace('-', '_')}")(*fields)

    def on_functions(self, functions: Any) -> None:
        self.functions.update(fid for fid, _, _ in functions)

    def on_run(self, items: Any) -> None:
        for key, fid, _arguments, inputs in items:
            assert fid in self.functions
            stored = tuple(source for source, value, _ in inputs or () if value is None)
            missing = {source for source in stored if source not in self.store}
            for source, value, holders in inputs or ():
                assert value is None or is_value_of(value, source)
                if source in missing:
                    self.fetch(source, holders)
            if missing:
                self.waiting[key] = (missing, stored)
            else:
                self.queue[key] = stored

    def withdraw(self, key: str) -> bool:
        there = key in self.waiting or key in self.queue
        self.waiting.pop(key, None)
        self.queue.pop(key, None)
        return there

    def on_cancel(self, _force: bool, keys: Any) -> None:
        for key in keys:
            self.withdraw(key)

    def on_recall(self, keys: Any) -> None:
        self.say(m.RETURNED, [key for key in keys if self.withdraw(key)])

    def on_free(self, keys: Any) -> None:
        for key in keys:
            self.store.pop(key, None)
            if key in self.fetching or key in self.relaying:
                self.unwanted.add(key)

    def on_send(self, number: int, key: str) -> None:
        if key not in self.store:
            self.say(m.NO_DATA, number, None)
        elif self.world.unpicklable == key:
            self.say(m.NO_DATA, number, FAILURE)
        else:
            self.say(m.DATA, number, self.store[key])

    def on_store(self, items: Any) -> None:
        for key, value in items:
            assert is_value_of(value, key)
            self.store[key] = value
            self.say(m.COPIED, [key], [])

    def on_copy(self, wanted: Any) -> None:
        for source, holders in wanted:
            if source in self.store:
                self.say(m.COPIED, [source], [])
            else:
                self.fetch(source, holders)

    def on_relayed(self, key: str, value: Any, failure: Any) -> None:
        if key in self.relaying:
            self.relaying.discard(key)
            self.serve(key, value, failure)

    def on_inline_limit(self, limit: int) -> None:
        self.inline_limit = limit

    def on_end(self, reason: str) -> None:
        self.ended = True

    def fetch(self, source: str, holders: Sequence[Any]) -> None:
        self.unwanted.discard(source)
        if source not in self.relaying:
            self.fetching.setdefault(source, holders)

    def end_fetch(self, source: str, *, reachable: bool) -> None:
        """Ask the holders; where none has it or none can be reached, ask the scheduler."""
        holders = self.fetching.pop(source)
        for (address,) in holders:
            holder = self.world.workers.get(address)
            if reachable and holder is not None and source in holder.store:
                self.serve(source, holder.store[source], None)
                return
        self.relaying.add(source)
        self.say(m.RELAY, source)

    def serve(self, source: str, value: Any, failure: Any) -> None:
        unwanted = source in self.unwanted
        self.unwanted.discard(source)
        tasks = {key: each for key, each in self.waiting.items() if source in each[0]}
        if value is not None and (tasks or not unwanted):
            assert is_value_of(value, source)
            self.store[source] = value
        here = source in self.store
        self.say(m.COPIED, [source] if here else [], [] if here else [source])
        for key, (missing, stored) in tasks.items():
            missing.discard(source)
            if here and missing:
                continue
            del self.waiting[key]
            if here:
                self.queue[key] = stored
            elif failure is not None:
                self.say(m.FAILED, [(key, failure, 0.0)])
            else:
                self.say(m.INPUT_GONE, key, source)

    def begin(self) -> None:
        """A thread takes the next task."""
        key, stored = next(iter(self.queue.items()))
        del self.queue[key]
        gone = [source for source in stored if source not in self.store]
        if gone:
            self.say(m.INPUT_GONE, key, gone[0])
        else:
            self.running.append(key)

    def end(self, key: str, outcome: str) -> None:
        """A task ends: it raises, or has a small or a large result."""
        self.running.remove(key)
        if outcome == "raises":
            self.say(m.FAILED, [(key, FAILURE, 0.1)])
            return
        value = value_of(key, SIZES[outcome])
        small = len(value) <= self.inline_limit
        if not small:
            self.store[key] = value
        self.say(m.DONE, [(key, value if small else None, len(value), 0.001)])

    def work(self, outcome: str = "large") -> None:
        """Do all that can be done."""
        while self.inbox and not self.ended:
            self.hear()
        while self.fetching:
            self.end_fetch(next(iter(self.fetching)), reachable=True)
        while self.queue:
            self.begin()
        while self.running:
            self.end(self.running[0], outcome)
        while self.outbox:
            self.world.speak(self)
        if self.ended:
            self.world.lose_worker(self, charge=False)


class SimulatedClient:
    """Notes down what it is told of the tasks it wants."""

    def __init__(self, name: str, number: int) -> None:
        self.record = ClientRecord(name, number)
        self.futures: dict[str, str] = {}
        self.values: set[str] = set()  # keys whose value came along
        self.fetching: Counter[str] = Counter()

    def hear(self, message: Message) -> None:
        operation, *fields = message
        if operation in (m.FETCHED, m.FETCH_FAILED):
            key = fields[0]
            assert operation == m.FETCH_FAILED or is_value_of(fields[1], key)
            self.fetching[key] -= 1
            assert self.fetching[key] >= 0, "one answer to one question"
        elif operation == m.FINISHED:
            for key, value in fields[0]:
                assert value is None or is_value_of(value, key)
                self.note(key, "finished", value is not None)
        elif operation == m.LOST:
            for key in fields[0]:
                if self.futures.get(key) == "finished":
                    assert key not in self.values, "what the client has cannot be lost"
                    self.note(key, "pending")
        else:
            for item in fields[0] if operation in (m.FAILED, m.GONE, m.CANCELLED) else ():
                self.note(item if isinstance(item, str) else item[0], operation)

    def note(self, key: str, status: str, has_value: bool = False) -> None:
        if key in self.futures:
            self.futures[key] = status
            (self.values.add if has_value else self.values.discard)(key)


class World:
    """The core, and all who talk to it."""

    def __init__(self) -> None:
        self.state = SchedulerState(
            inline_limit=INLINE_LIMIT, held_budget=HELD_BUDGET, allowed_failures=2
        )
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients: dict[str, SimulatedClient] = {}
        self.count = 0
        self.now = 0.0
        self.busy_steps = 0  # so often the scheduler is too busy to end its turn
        self.unpicklable: str | None = None
        library = ClientRecord("library", -1)
        self.state.add_functions(library, [(b"f", "f", b"pickle"), (b"g", "g", b"pickle")])
        transfers = self.state.transfers
        self.on_worker = {
            m.DONE: self.state.done,
            m.FAILED: self.state.failed,
            m.RETURNED: self.state.returned,
            m.INPUT_GONE: self.state.input_gone,
            m.COPIED: self.state.copied,
            m.RELAY: transfers.relay,
            m.DATA: transfers.data,
            m.NO_DATA: transfers.no_data,
        }

    def new_name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def add_worker(self, nthreads: int) -> None:
        worker = SimulatedWorker(self, self.new_name("w"), nthreads)
        self.workers[worker.record.name] = worker
        self.state.add_worker(worker.record, 0.0)

    def lose_worker(self, worker: SimulatedWorker, *, charge: bool) -> None:
        del self.workers[worker.record.name]
        self.state.remove_worker(worker.record, cause="chance", charge=charge)

    def speak(self, worker: SimulatedWorker) -> None:
        """Let the scheduler hear one message of a worker."""
        operation, *fields = worker.outbox.popleft()
        self.on_worker[operation](worker.record, *fields)
        validate(self.state)

    def add_client(self) -> None:
        client = SimulatedClient(self.new_name("c"), self.count)
        self.clients[client.record.name] = client
        self.state.add_client(client.record)

    def end_step(self) -> None:
        """Check the state; unless it is too busy, the scheduler says what it has to say."""
        validate(self.state)
        if self.busy_steps:
            self.busy_steps -= 1
            return
        self.state.settle()
        validate(self.state)
        for record in self.state.talking:
            if record.name in self.workers:
                self.workers[record.name].inbox.extend(record.take_messages())
        self.state.talking.clear()
        for client in self.clients.values():
            for message in client.record.take_messages():
                client.hear(message)

    # -- the closing -------------------------------------------------------------------------------

    def close(self) -> None:
        """Whatever happened before: with workers, everything comes to its end, and then to none."""
        self.run_until_quiet()
        self.check_views()
        for client in self.clients.values():
            self.state.release(client.record, list(client.futures))
            client.futures.clear()
        self.run_until_quiet()
        state, transfers = self.state, self.state.transfers
        assert not state.tasks
        assert not state.held_bytes
        assert not transfers.requests
        assert not transfers.awaited
        assert not transfers.copies
        assert not transfers._unloading
        for worker in self.workers.values():
            assert not worker.store, f"{worker.record} still holds {worker.store}"

    def run_until_quiet(self) -> None:
        self.busy_steps = 0
        self.end_step()
        for _ in range(10_000):
            if all(worker.record.retiring for worker in self.workers.values()):
                self.add_worker(2)
                self.end_step()
            for worker in list(self.workers.values()):
                worker.work()
                self.end_step()
            for _ in range(2):  # agents that have not reported by now never will
                self.now += 10.0
                self.state.judge(self.now)
                self.end_step()
            if not any(worker.busy for worker in self.workers.values()):
                return
        raise AssertionError("it never comes to rest")

    def check_views(self) -> None:
        for client in self.clients.values():
            assert not +client.fetching, "an unanswered question"
            for key, status in client.futures.items():
                task = self.state.tasks.get(key)
                if task is None:
                    assert status == "cancelled"
                    continue
                assert task.state not in UNFINISHED, f"{task} has all it needs"
                assert ("gone" if task.gone else STATUS_OF[task.state]) == status
        for worker in self.workers.values():
            assert not worker.record.retiring, "it has nothing left, and was not told to end"
            held = {task.key for task in worker.record.holds}
            # Messages that cross can make it hold less than is thought; asked for it, it says so.
            assert set(worker.store) <= held, f"{worker.record} holds what nobody knows of"


class SchedulerMachine(RuleBasedStateMachine):
    """Every rule is something that happens outside of the core."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.submitted: list[tuple[str, bytes]] = []
        self.world.add_client()
        self.world.add_worker(1)
        self.world.end_step()

    def worker(self, pick: int) -> SimulatedWorker | None:
        workers = list(self.world.workers.values())
        return workers[pick % len(workers)] if workers else None

    def client(self, pick: int) -> SimulatedClient:
        clients = list(self.world.clients.values())
        return clients[pick % len(clients)]

    # -- clients -----------------------------------------------------------------------------------

    @rule(
        pick=PICK,
        fid=st.sampled_from([b"f", b"g"]),
        options=st.sampled_from([None, None, {"retries": 1}, {"priority": 3}, {"priority": -0.5}]),
        shapes=st.lists(st.lists(PICK, max_size=3), min_size=1, max_size=5),
        unheard_of=st.integers(0, 15),
    )
    def submit(
        self, pick: int, fid: bytes, options: Any, shapes: list[list[int]], unheard_of: int
    ) -> None:
        client = self.client(pick)
        items = []
        for shape in shapes:
            known = [*client.futures, *(["unheard-of"] if unheard_of == 7 else [])]
            inputs = [known[each % len(known)] for each in shape] if known else []
            key = self.world.new_name("k")
            items.append((key, b"arguments", inputs or None))
            self.submitted.append((key, fid))
            client.futures[key] = "pending"
        self.world.state.submit(client.record, fid, options, items)
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def submit_what_was_submitted_before(self, pick: int, which: int) -> None:
        """By another client, or by the same before it lost interest."""
        client = self.client(pick)
        if self.submitted:
            key, fid = self.submitted[which % len(self.submitted)]
            client.futures[key] = "pending"
            self.world.state.submit(client.record, fid, None, [(key, b"arguments", None)])
        self.world.end_step()

    def any_key(self, which: int) -> str | None:
        keys = [key for client in self.world.clients.values() for key in client.futures]
        return keys[which % len(keys)] if keys else None

    @rule(pick=PICK, size=st.sampled_from([12, 50]))
    def scatter(self, pick: int, size: int) -> None:
        client, key = self.client(pick), self.world.new_name("s")
        client.futures[key] = "pending"
        self.world.state.scatter(client.record, None, [(key, value_of(key, size))])
        self.world.end_step()

    @rule(pick=PICK, which=st.lists(PICK, min_size=1, max_size=5))
    def release(self, pick: int, which: list[int]) -> None:
        client = self.client(pick)
        keys = list(client.futures)
        chosen = list({keys[each % len(keys)] for each in which}) if keys else []
        for key in chosen:
            del client.futures[key]
        self.world.state.release(client.record, sorted(chosen))
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def cancel(self, pick: int, which: int) -> None:
        client = self.client(pick)
        if client.futures:
            key = list(client.futures)[which % len(client.futures)]
            self.world.state.cancel(client.record, False, [key])
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def fetch(self, pick: int, which: int) -> None:
        client, key = self.client(pick), self.any_key(which)
        if key is not None:
            client.fetching[key] += 1
            self.world.state.transfers.fetch(client.record, [key])
        self.world.end_step()

    @rule(pick=PICK, joins=st.booleans())
    def clients_come_and_go(self, pick: int, joins: bool) -> None:
        if joins and len(self.world.clients) < 3:
            self.world.add_client()
        elif len(self.world.clients) > 1:
            client = self.client(pick)
            del self.world.clients[client.record.name]
            self.world.state.remove_client(client.record)
        self.world.end_step()

    # -- workers -----------------------------------------------------------------------------------

    @rule(nthreads=st.integers(1, 2))
    def worker_joins(self, nthreads: int) -> None:
        if len(self.world.workers) < 4:
            self.world.add_worker(nthreads)
        self.world.end_step()

    @rule(pick=PICK, charge=st.booleans())
    def worker_dies(self, pick: int, charge: bool) -> None:
        worker = self.worker(pick)
        if worker is not None:
            self.world.lose_worker(worker, charge=charge)
        self.world.end_step()

    @rule(pick=PICK)
    def worker_retires(self, pick: int) -> None:
        worker = self.worker(pick)
        if worker is not None:
            self.world.state.transfers.retire(worker.record)
        self.world.end_step()

    @rule(pick=PICK, count=st.integers(1, 5))
    def worker_hears(self, pick: int, count: int) -> None:
        worker = self.worker(pick)
        while worker is not None and worker.inbox and count and not worker.ended:
            worker.hear()
            count -= 1
        if worker is not None and worker.ended:
            self.world.lose_worker(worker, charge=False)
        self.world.end_step()

    @rule(pick=PICK, outcome=OUTCOME)
    def worker_runs(self, pick: int, outcome: str) -> None:
        worker = self.worker(pick)
        if worker is not None and worker.running:
            worker.end(worker.running[0], outcome)
        while worker and worker.queue and len(worker.running) < worker.record.nthreads:
            worker.begin()
        if worker is not None and worker.outbox:
            self.world.speak(worker)
        self.world.end_step()

    @rule(pick=PICK, reachable=st.booleans())
    def worker_fetches(self, pick: int, reachable: bool) -> None:
        worker = self.worker(pick)
        if worker is not None and worker.fetching:
            worker.end_fetch(next(iter(worker.fetching)), reachable=reachable)
        self.world.end_step()

    @rule(pick=PICK, count=st.integers(1, 5))
    def worker_speaks(self, pick: int, count: int) -> None:
        worker = self.worker(pick)
        while worker is not None and worker.outbox and count:
            self.world.speak(worker)
            count -= 1
        self.world.end_step()

    @rule(pick=PICK, outcome=OUTCOME)
    def worker_does_all_it_can(self, pick: int, outcome: str) -> None:
        worker = self.worker(pick)
        if worker is not None:
            worker.work(outcome)
        self.world.end_step()

    @rule(steps=st.integers(1, 3))
    def scheduler_is_busy(self, steps: int) -> None:
        self.world.busy_steps = steps

    @rule(which=PICK)
    def result_turns_out_unpicklable(self, which: int) -> None:
        self.world.unpicklable = self.any_key(which)

    def teardown(self) -> None:
        self.world.unpicklable = None
        self.world.close()


class WatchedState:
    """Stands in for `Task.state` and counts each change."""

    def __init__(self, slot: Any) -> None:
        self.slot = slot
        self.seen: Counter[tuple[str, str]] = Counter()

    def __get__(self, task: Any, owner: Any = None) -> Any:
        return self if task is None else self.slot.__get__(task, owner)

    def __set__(self, task: Any, new: str) -> None:
        try:
            old = self.slot.__get__(task)
        except AttributeError:  # it is being made
            old = new
        self.slot.__set__(task, new)
        if new is not old:
            self.seen[old, new] += 1


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedState]:
    """Every change of state of every task is counted."""
    watch = WatchedState(Task.state)  # type: ignore[attr-defined]
    monkeypatch.setattr(Task, "state", watch)
    return watch


def test_whatever_happens_the_core_stays_consistent(watched):
    """No invariant breaks, no edge is missing from the table, and everything comes to an end."""
    run_state_machine_as_test(
        SchedulerMachine,
        settings=settings(max_examples=120, stateful_step_count=60, deadline=None),
    )
    assert watched.seen.keys() <= TRANSITIONS.keys()
