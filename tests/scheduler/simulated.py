"""Workers and clients as chance would have them, for the machines that drive the scheduler core.

Messages wait in both directions, so everything may cross on the way. A value names the task it came
from and the arguments it was made of, so that one which arrives under a wrong key, or is of an
earlier task of that key, is seen.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from jobqueue.protocol import messages as m
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.protocol.messages import Message
from jobqueue.scheduler.records import ClientRecord, Task
from jobqueue.scheduler.reservations import job_of
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import CANCELLED, FAILED, MEMORY, UNFINISHED
from jobqueue.scheduler.validation import validate
from jobqueue.scheduler.worker_record import WorkerRecord

INLINE_LIMIT = 20
HELD_BUDGET = 60  # a few small results
SIZES = {"small": 12, "large": 50}
TICK = 4.0
SUSPECT_AFTER, NEEDED_AFTER, WORKER_TTL = TICK, 2 * TICK, 3 * TICK
FAILURE = (b"", "Error: chance", "")
STATUS_OF = {MEMORY: "finished", FAILED: "failed", CANCELLED: "cancelled"}
HOSTS = ("h1", "h2")
SECONDS = (0.001, 0.001, 4.0, 20.0)  # that tasks take


def value_of(key: str, size: int, arguments: str = "") -> bytes:
    """A value that tells which task it belongs to."""
    return f"{key}:{arguments}:".encode().ljust(size, b".")


def is_value_of(value: Any, key: str) -> bool:
    return isinstance(value, bytes) and value.startswith(f"{key}:".encode())


class Run:
    """A task that a worker has begun."""

    def __init__(self, key: str, arguments: str) -> None:
        self.key = key
        self.arguments = arguments
        self.cancelled = False  # nobody will hear of its end
        self.seceded = False


class SimulatedWorker:
    """Answers every message a worker can get, as late as chance wants."""

    def __init__(self, world: World, facts: WorkerFacts) -> None:
        self.world = world
        name, nthreads = facts.name, facts.nthreads
        self.record = WorkerRecord(
            name, nthreads, addresses=(name,), job_id=facts.job_id, facts=facts
        )
        self.inbox: deque[Message] = deque()
        self.outbox: deque[Message] = deque()
        self.store: dict[str, bytes] = {}
        self.functions: set[bytes] = set()
        self.inline_limit = 0
        self.arguments: dict[str, str] = {}  # of what has not begun
        self.takes: dict[str, dict[str, float]] = {}  # of resources, what is to come next
        self.queue: dict[str, tuple[str, ...]] = {}  # task -> inputs in the store
        self.running: list[Run] = []
        self.waiting: dict[str, tuple[set[str], tuple[str, ...]]] = {}  # missing, all
        self.fetching: dict[str, Sequence[Any]] = {}
        self.relaying: set[str] = set()
        self.unwanted: set[str] = set()
        self.paused = False
        self.silent = False  # nothing that it says arrives
        self.ended = False

    @property
    def busy(self) -> bool:
        return any((self.inbox, self.outbox, self.queue, self.running, self.fetching))

    @property
    def has_place(self) -> bool:
        return sum(not run.seceded for run in self.running) < self.record.nthreads

    def say(self, *message: Any) -> None:
        self.outbox.append(message)

    def hear(self) -> None:
        """Take one message in."""
        operation, *fields = self.inbox.popleft()
        getattr(self, f"on_{operation.replace('-', '_')}")(*fields)

    def on_functions(self, functions: Any) -> None:
        self.functions.update(fid for fid, _, _ in functions)

    def on_forget_functions(self, fids: Any) -> None:
        assert self.functions.issuperset(fids)
        self.functions.difference_update(fids)

    def on_reserved(self, items: Any) -> None:
        for key, amounts in items:
            assert amounts, "nothing is said of tasks that take nothing"
            assert key not in self.takes, "it is said just before"
            self.takes[key] = amounts

    def on_run(self, items: Any) -> None:
        for key, fid, arguments, inputs in items:
            self.world.check_takes(key, arguments.decode(), self.takes.pop(key, {}))
            assert fid in self.functions
            assert key not in self.queue, "it has it already"
            assert key not in self.waiting, "it has it already"
            assert all(run.cancelled for run in self.running if run.key == key)
            self.world.check_demand(key, arguments.decode(), self.record)
            stored = tuple(source for source, value, _ in inputs or () if value is None)
            missing = {source for source in stored if source not in self.store}
            for source, value, holders in inputs or ():
                assert value is None or is_value_of(value, source)
                if source in missing:
                    self.fetch(source, holders)
            self.arguments[key] = arguments.decode()
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
            for run in self.running:
                run.cancelled = run.cancelled or run.key == key

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

    def on_mentioned(self, keys: Any) -> None:
        pass

    def on_end(self, reason: str) -> None:
        self.ended = True

    def on_restart(self, reason: str) -> None:
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
            self.running.append(Run(key, self.arguments[key]))

    def secede(self, run: Run) -> None:
        """A task leaves its thread to others, or comes back."""
        run.seceded = not run.seceded
        if not run.cancelled:
            self.say(m.SECEDED if run.seceded else m.REJOINED, run.key)

    def end(self, run: Run, outcome: str, mentions: Sequence[str] = ()) -> None:
        """A task ends: it raises, or has a small or a large result, perhaps with futures in it."""
        self.running.remove(run)
        if run.cancelled:
            return
        key = run.key
        if outcome == "raises":
            self.say(m.FAILED, [(key, FAILURE, 0.1)])
            return
        value = value_of(key, SIZES[outcome], run.arguments)
        small = len(value) <= self.inline_limit and key not in self.world.actors
        if not small:
            self.store[key] = value
        if mentions:
            self.say(m.MENTIONS, key, list(mentions))
        seconds = SECONDS[int(key[1:]) % len(SECONDS)]
        self.say(m.DONE, [(key, value if small else None, len(value), seconds)])

    def pause(self) -> None:
        """It has too little memory left, or enough again."""
        self.paused = not self.paused
        self.say(m.PAUSED, "too little memory" if self.paused else None)

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
        while self.outbox and not self.silent:
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
                if self.futures.get(key) in ("finished", "failed"):
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
            inline_limit=INLINE_LIMIT,
            held_budget=HELD_BUDGET,
            allowed_failures=2,
            worker_ttl=WORKER_TTL,
        )
        self.state.losses.suspect_after = SUSPECT_AFTER
        self.state.losses.needed_after = NEEDED_AFTER
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients: dict[str, SimulatedClient] = {}
        self.arguments: dict[str, str] = {}  # of the task that is known under each key
        self.options: dict[str, Any] = {}
        self.actors: set[str] = set()
        self.count = 0
        self.now = 0.0
        self.busy_steps = 0  # so often the scheduler is too busy to end its turn
        self.unpicklable: str | None = None
        transfers = self.state.transfers
        self.on_worker = {
            m.DONE: self.state.done,
            m.FAILED: self.state.failed,
            m.RETURNED: self.state.returned,
            m.INPUT_GONE: self.state.input_gone,
            m.COPIED: self.state.copied,
            m.SECEDED: self.state.seceded,
            m.REJOINED: self.state.rejoined,
            m.MENTIONS: self.state.wishes.mentions,
            m.PAUSED: self.state.paused,
            m.DRAIN: self.state.draining.begin,
            m.RELAY: transfers.relay,
            m.DATA: transfers.data,
            m.NO_DATA: transfers.no_data,
        }

    def new_name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    # -- workers -----------------------------------------------------------------------------------

    def add_worker(
        self,
        nthreads: int,
        host: str = "h1",
        gpus: float = 0.0,
        nodes: float = 0.0,
        job_id: str | None = None,
        time_left: float | None = None,
    ) -> None:
        name = self.new_name("w")
        given = {"GPU": gpus, "nodes": nodes}
        facts = WorkerFacts(
            name,
            nthreads,
            (name,),
            job_id=job_id,
            host=host,
            resources={resource: amount for resource, amount in given.items() if amount},
            agent=self.count % 3 > 0,
            time_left=time_left,
        )
        worker = SimulatedWorker(self, facts)
        self.workers[worker.record.name] = worker
        self.state.add_worker(worker.record, self.now)

    def lose_worker(self, worker: SimulatedWorker, *, charge: bool) -> None:
        del self.workers[worker.record.name]
        self.state.remove_worker(worker.record, cause="chance", charge=charge)

    def speak(self, worker: SimulatedWorker) -> None:
        """Let the scheduler hear one message of a worker."""
        operation, *fields = worker.outbox.popleft()
        self.state.heard(worker.record, self.now)
        validate(self.state)
        self.on_worker[operation](worker.record, *fields)
        validate(self.state)

    def pass_time(self) -> None:
        """Let a tick pass: workers show that they live, unless nothing of theirs arrives."""
        self.now += TICK
        for worker in self.workers.values():
            if not worker.silent:
                self.state.heard(worker.record, self.now)
        for worker in list(self.workers.values()):
            ends_at = worker.record.ends_at
            if ends_at is not None and self.now >= ends_at + TICK:  # batch systems look late
                self.lose_worker(worker, charge=False)
        self.state.losses.look(self.now)
        validate(self.state)
        self.state.losses.judge(self.now)
        self.state.draining.look(self.now)
        validate(self.state)
        self.state.placing.rebalance()
        self.end_step()

    def check_demand(self, key: str, arguments: str, record: WorkerRecord) -> None:
        """Fail if a task has come to a worker that it must not run on."""
        if self.arguments.get(key) != arguments:
            return  # another task has this key by now
        options = self.options.get(key) or {}
        assert record.facts is not None
        if options.get("workers") and not options.get("allow_other_workers"):
            assert record.facts.host in options["workers"], f"{key} must not run on {record}"
        for name, amount in options.get("resources", {}).items():
            assert record.resources.get(name, 0) >= amount, f"{key} must not run on {record}"

    def check_takes(self, key: str, arguments: str, amounts: dict[str, float]) -> None:
        """Fail if a worker was told something else than what a task takes of it."""
        if self.arguments.get(key) == arguments:
            assert amounts == (self.options.get(key) or {}).get("resources", {}), key

    def check_placed(self, task: Task, record: WorkerRecord) -> None:
        """Fail if a task was placed where it has no time, or where a job is another one's."""
        assert task.function is not None
        assert self.now + task.function.duration <= record.due, f"{task} outlives {record}"
        mates = [w for w in self.state.workers.values() if job_of(w) == job_of(record)]
        tasks = [other for mate in mates for other in mate.assigned]
        if any(other.demand is not None and other.demand.whole for other in tasks):
            assert tasks == [task], f"{task} is not alone in its job"

    # -- clients -----------------------------------------------------------------------------------

    def add_client(self) -> None:
        client = SimulatedClient(self.new_name("c"), self.count)
        self.clients[client.record.name] = client
        self.state.add_client(client.record)

    def submit(
        self, client: SimulatedClient, fid: bytes, options: Any, items: list[tuple[str, Any]]
    ) -> None:
        """Submit tasks: keys and inputs."""
        if fid not in client.record.functions:
            self.state.wishes.add_functions(client.record, [(fid, fid.decode(), b"pickle")])
        described = []
        for key, inputs in items:
            if key not in self.state.tasks:
                self.arguments[key] = self.new_name("")
                self.options[key] = options
                self.actors.discard(key)
                if options and options.get("actor"):
                    self.actors.add(key)
            client.futures[key] = "pending"
            described.append((key, self.arguments[key].encode(), inputs))
        self.state.submit(client.record, fid, options, described)

    def end_step(self) -> None:
        """Check the state; unless it is too busy, the scheduler says what it has to say."""
        validate(self.state)
        for task in self.state.tasks.values():
            if task.value is not None and task.function is not None:
                expected = value_of(task.key, 0, self.arguments[task.key])
                assert task.value.startswith(expected), f"{task} has the value of another run"
        if self.busy_steps:
            self.busy_steps -= 1
            return
        self.state.settle()
        validate(self.state)
        for record in self.state.talking:
            messages = record.take_messages()
            for key in [item[0] for op, *fields in messages if op == m.RUN for item in fields[0]]:
                task = self.state.tasks.get(key)
                if task is not None and task.worker is record:
                    self.check_placed(task, record)
            if record.name in self.workers:
                self.workers[record.name].inbox.extend(messages)
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
            self.state.wishes.release(client.record, list(client.futures))
            self.state.wishes.forget_functions(client.record, list(client.record.functions))
            client.futures.clear()
        self.run_until_quiet()
        state, transfers = self.state, self.state.transfers
        assert not state.tasks
        assert not state.results.held_bytes
        assert not state.functions
        assert not state.demands.by_kind
        assert not state.results.actors
        assert not state.wishes.mentioned
        assert not state.wishes.keeper.wants
        assert not state.losses.strays
        assert not state.losses.in_doubt
        assert not state.reservations.by_job
        assert not state.reservations.by_task
        assert not transfers.requests
        assert not transfers.awaited
        assert not transfers.copies
        assert not transfers._unloading
        for worker in self.workers.values():
            assert not worker.store, f"{worker.record} still holds {worker.store}"
            assert not worker.functions, f"{worker.record} still knows {worker.functions}"

    def run_until_quiet(self) -> None:
        self.busy_steps = 0
        self.end_step()
        for worker in self.workers.values():
            worker.silent = False
            if worker.paused:
                worker.pause()
        for _ in range(10_000):
            self.add_missing_workers()
            for worker in list(self.workers.values()):
                worker.work()
                self.end_step()
            self.pass_time()
            busy = any(worker.busy for worker in self.workers.values())
            if not busy and not self.state.losses.in_doubt:
                return
        raise AssertionError("it never comes to rest")

    def add_missing_workers(self) -> None:
        """See to it that whatever a task may demand is there."""
        records = [worker.record for worker in self.workers.values()]
        there = {
            record.facts.host
            for record in records
            if record.facts and len(record.resources) == 2 and record.ends_at is None
            if not (record.retiring or record.paused or record.silent)
        }
        for host in HOSTS:
            if host not in there:
                self.add_worker(2, host, 1.0, 2.0)
                self.end_step()

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
            for task in worker.record.holds & set(self.state.tasks.values()):
                if task.key in worker.store and task.function is not None:
                    expected = value_of(task.key, 0, self.arguments[task.key])
                    assert worker.store[task.key].startswith(expected), "of another run"
