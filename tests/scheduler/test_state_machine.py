"""Chance against the scheduler core: simulated workers and clients do whatever real ones do."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from jobqueue.protocol import messages as m
from jobqueue.scheduler.losses import Report
from jobqueue.scheduler.records import Task
from jobqueue.scheduler.states import FAILED, TRANSITIONS

_NAME = "jobqueue_simulated"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name("simulated.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
simulated: Any = sys.modules[_NAME]

HOSTS, World, value_of = simulated.HOSTS, simulated.World, simulated.value_of

LIVES = int(os.environ.get("JOBQUEUE_LIVES", settings.default.max_examples))
"""How many are lived by `test_long_lives`; more by setting the variable."""

STEPS = 150

PICK = st.integers(0, 2**16)
OUTCOMES = ["small", "small", "large", "large", "raises"]
OUTCOME = st.sampled_from(OUTCOMES)
KINDS: list[dict[str, Any] | None] = [
    None,
    None,
    None,
    {"retries": 1},
    {"priority": 3},
    {"priority": -0.5},
    {"actor": True},
    {"workers": ["h1"]},
    {"workers": ["h2"], "allow_other_workers": True, "priority": 1},
    {"resources": {"GPU": 1}},
    {"resources": {"GPU": 0.5}, "retries": 1},
    {"resources": {"GPU": 0.5}, "workers": ["h2"]},
    {"resources": {"GPU": 0.5}, "workers": ["h1"], "allow_other_workers": True},
    {"resources": {"nodes": 2}},
    {"resources": {"nodes": 1}, "workers": ["h1"], "allow_other_workers": True},
]
OPTIONS = st.sampled_from(KINDS)


def actions(random: Random) -> dict[str, tuple[float, dict[str, Any]]]:
    """How often each rule's thing happens in ordinary life, and with which arguments just now."""

    def pick() -> int:
        return random.randrange(2**16)

    def maybe() -> bool:
        return random.random() < 0.5

    def some(most: int) -> int:
        return random.randint(1, most)

    one, two = {"pick": pick()}, {"pick": pick(), "which": pick()}
    shapes = [[pick() for _ in range(random.randrange(3))] for _ in range(some(4))]
    return {
        "submit": (
            4,
            {
                **one,
                "fid": random.choice([b"f", b"g"]),
                "options": random.choice(KINDS),
                "shapes": shapes,
                "unheard_of": random.randrange(16),
            },
        ),
        "submit_what_was_submitted_before": (2, {**two, "options": random.choice(KINDS)}),
        "use_a_key_anew": (2, two),
        "want": (1, two),
        "keep": (1, {"which": [pick()]}),
        "retry": (1, {"which": pick()}),
        "forget_functions": (0.5, one),
        "scatter": (1, {**one, "size": random.choice([12, 50])}),
        "scatter_what_was_lost": (0.5, {**one, "size": random.choice([12, 50])}),
        "release": (1.5, {**one, "which": [pick() for _ in range(some(3))]}),
        "cancel": (1.5, {**two, "force": maybe()}),
        "fetch": (1, two),
        "clients_come_and_go": (0.5, {**one, "joins": maybe()}),
        "worker_joins": (
            3,
            {
                "nthreads": some(2),
                "host": random.choice(HOSTS),
                "gpus": random.choice([0, 1]),
                "nodes": random.choice([0, 2]),
                "job_id": random.choice([None, "j1", "j2"]),
                "time_left": random.choice([None, None, 10.0, 40.0]),
            },
        ),
        "worker_dies": (
            1,
            {
                **one,
                "charge": maybe(),
                "report": random.choice(["none", "before", "after", "late"]),
                "blame": maybe(),
                "known": maybe(),
            },
        ),
        "a_report_comes_late": (0.5, {}),
        "worker_retires": (0.5, one),
        "worker_drains": (
            1,
            {**one, "seconds": random.choice([3.0, 12.0]), "ran": random.choice([0.0, 4.0])},
        ),
        "worker_falls_silent": (1, {**one, "silent": maybe()}),
        "time_passes": (2, {"ticks": some(3)}),
        "worker_pauses": (1, one),
        "task_secedes": (2, two),
        "worker_hears": (8, {**one, "count": some(5)}),
        "worker_runs": (
            10,
            {
                **two,
                "outcome": random.choice(OUTCOMES),
                "mention": random.choice([None, None, pick()]),
            },
        ),
        "worker_fetches": (4, {**one, "reachable": maybe()}),
        "worker_speaks": (6, {**one, "count": some(5)}),
        "worker_does_all_it_can": (1, {**one, "outcome": random.choice(OUTCOMES)}),
        "scheduler_is_busy": (0.5, {"steps": some(3)}),
        "result_turns_out_unpicklable": (0.3, {"which": pick()}),
    }


class SchedulerMachine(RuleBasedStateMachine):
    """Every rule is something that happens outside of the core."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.submitted: list[tuple[str, bytes]] = []  # and with which function
        self.without_inputs: list[str] = []
        self.late_reports: list[Callable[[], None]] = []
        self.world.add_client()
        self.world.add_worker(1)
        self.world.end_step()

    def worker(self, pick: int) -> Any:
        workers = list(self.world.workers.values())
        return workers[pick % len(workers)] if workers else None

    def client(self, pick: int) -> Any:
        clients = list(self.world.clients.values())
        return clients[pick % len(clients)]

    def live(self, random: Random, steps: int) -> None:
        """Let things happen about as often as in ordinary life: much, and hard to shrink."""
        for _ in range(steps):
            table = actions(random)
            (name,) = random.choices(list(table), [weight for weight, _ in table.values()])
            getattr(self, name)(**table[name][1])

    # -- clients -----------------------------------------------------------------------------------

    @rule(
        pick=PICK,
        fid=st.sampled_from([b"f", b"g"]),
        options=OPTIONS,
        shapes=st.lists(st.lists(PICK, max_size=3), min_size=1, max_size=5),
        unheard_of=st.integers(0, 15),
    )
    def submit(
        self, pick: int, fid: bytes, options: Any, shapes: list[list[int]], unheard_of: int
    ) -> None:
        client = self.client(pick)
        items: list[tuple[str, Any]] = []
        for shape in shapes:
            known = [*client.futures, *(["unheard-of"] if unheard_of == 7 else [])]
            inputs = [known[each % len(known)] for each in shape] if known else []
            key = self.world.new_name("k")
            items.append((key, inputs or None))
            self.submitted.append((key, fid))
            if not inputs:
                self.without_inputs.append(key)
            client.futures[key] = "pending"
        self.world.submit(client, fid, options, items)
        self.world.end_step()

    @rule(pick=PICK, which=PICK, options=OPTIONS)
    def submit_what_was_submitted_before(self, pick: int, which: int, options: Any) -> None:
        """By another client, or by the same before it lost interest; other work, if it is gone."""
        client = self.client(pick)
        if self.submitted:
            key, fid = self.submitted[which % len(self.submitted)]
            self.world.submit(client, fid, options, [(key, None)])
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def use_a_key_anew(self, pick: int, which: int) -> None:
        """A client lets go of a task, and at once uses its key for other work."""
        client = self.client(pick)
        fids = dict(self.submitted)
        keys = [key for key in client.futures if key in fids]
        if keys:
            key = keys[which % len(keys)]
            del client.futures[key]
            self.world.state.wishes.release(client.record, [key])
            self.world.submit(client, fids[key], None, [(key, None)])
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def want(self, pick: int, which: int) -> None:
        client = self.client(pick)
        keys = list(self.world.state.tasks)
        if keys:
            key = keys[which % len(keys)]
            client.futures.setdefault(key, "pending")
            self.world.state.wishes.want(client.record, [key])
        self.world.end_step()

    @rule(which=st.lists(PICK, min_size=1, max_size=3))
    def keep(self, which: list[int]) -> None:
        keys = [key for each in which if (key := self.any_key(each)) is not None]
        self.world.state.wishes.keep(keys)
        self.world.end_step()

    @rule(which=PICK)
    def retry(self, which: int) -> None:
        failed = [task.key for task in self.world.state.tasks.values() if task.state is FAILED]
        if failed:
            self.world.state.wishes.retry([failed[which % len(failed)]])
        self.world.end_step()

    @rule(pick=PICK)
    def forget_functions(self, pick: int) -> None:
        client = self.client(pick).record
        self.world.state.wishes.forget_functions(client, sorted(client.functions))
        self.world.end_step()

    @rule(rarely=st.integers(0, 7))
    def restart(self, rarely: int) -> None:
        if rarely != 7:
            return
        self.world.state.wishes.restart()
        self.world.busy_steps = 0
        self.world.end_step()
        assert not self.world.state.tasks
        for client in self.world.clients.values():
            assert set(client.futures.values()) <= {"cancelled"}
            client.futures.clear()

    def later_than(self, key: str, mention: int | None) -> list[str]:
        """A key to mention in a result; of a later task, since circles would never be let go.

        Nor of one with inputs: they may be, by others, what it is mentioned by.
        """
        later = [k for k in self.without_inputs if int(k[1:]) > int(key[1:])]
        return [later[mention % len(later)]] if later and mention is not None else []

    def any_key(self, which: int) -> str | None:
        keys = [key for client in self.world.clients.values() for key in client.futures]
        return keys[which % len(keys)] if keys else None

    @rule(pick=PICK, size=st.sampled_from([12, 50]))
    def scatter(self, pick: int, size: int) -> None:
        client, key = self.client(pick), self.world.new_name("s")
        client.futures[key] = "pending"
        self.world.state.scatter(client.record, None, [(key, value_of(key, size))])
        self.world.end_step()

    @rule(pick=PICK, size=st.sampled_from([12, 50]))
    def scatter_what_was_lost(self, pick: int, size: int) -> None:
        client = self.client(pick)
        lost = [key for key, status in client.futures.items() if status == "gone" and key[0] == "s"]
        for key in lost:
            self.world.state.scatter(client.record, None, [(key, value_of(key, size))])
        self.world.end_step()

    @rule(pick=PICK, which=st.lists(PICK, min_size=1, max_size=5))
    def release(self, pick: int, which: list[int]) -> None:
        client = self.client(pick)
        keys = list(client.futures)
        chosen = list({keys[each % len(keys)] for each in which}) if keys else []
        for key in chosen:
            del client.futures[key]
        self.world.state.wishes.release(client.record, sorted(chosen))
        self.world.end_step()

    @rule(pick=PICK, which=PICK, force=st.booleans())
    def cancel(self, pick: int, which: int, force: bool) -> None:
        client = self.client(pick)
        if client.futures:
            key = list(client.futures)[which % len(client.futures)]
            self.world.state.wishes.cancel(client.record, force, [key])
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

    @rule(
        nthreads=st.integers(1, 2),
        host=st.sampled_from(HOSTS),
        gpus=st.sampled_from([0, 1]),
        nodes=st.sampled_from([0, 2]),
        job_id=st.sampled_from([None, "j1", "j2"]),
        time_left=st.sampled_from([None, 10.0, 40.0]),
    )
    def worker_joins(
        self,
        nthreads: int,
        host: str,
        gpus: float,
        nodes: float,
        job_id: str | None,
        time_left: float | None,
    ) -> None:
        if len(self.world.workers) < 4:
            self.world.add_worker(nthreads, host, gpus, nodes, job_id, time_left)
        self.world.end_step()

    @rule(
        pick=PICK,
        charge=st.booleans(),
        report=st.sampled_from(["none", "before", "after", "late"]),
        blame=st.booleans(),
        known=st.booleans(),
    )
    def worker_dies(self, pick: int, charge: bool, report: str, blame: bool, known: bool) -> None:
        worker = self.worker(pick)
        if worker is not None:
            running = [run.key for run in worker.running] if known else None
            told = Report("chance", blame, ["line"], running)
            tell = partial(self.world.state.losses.reported, worker.record.name, told)
            deaths = {task: task.deaths for task in worker.record.tasks}
            if report == "before":
                tell()
            self.world.lose_worker(worker, charge=charge)
            if report == "after":
                self.world.end_step()
                tell()
            elif report == "late":
                self.late_reports.append(tell)
            if worker.record.facts.agent and (known or report in ("none", "late")):
                guilty = running if report in ("before", "after") and charge and blame else ()
                for task, number in deaths.items():
                    assert task.deaths <= number + (task.key in guilty), f"{task} is innocent"
        self.world.end_step()

    @rule()
    def a_report_comes_late(self) -> None:
        if self.late_reports:
            self.late_reports.pop(0)()
        self.world.end_step()

    @rule(pick=PICK, seconds=st.sampled_from([3.0, 12.0]), ran=st.sampled_from([0.0, 4.0]))
    def worker_drains(self, pick: int, seconds: float, ran: float) -> None:
        worker = self.worker(pick)
        if worker is not None:
            worker.say(m.DRAIN, "walltime", seconds, {run.key: ran for run in worker.running})
        self.world.end_step()

    @rule(pick=PICK, silent=st.booleans())
    def worker_falls_silent(self, pick: int, silent: bool) -> None:
        worker = self.worker(pick)
        if worker is not None:
            worker.silent = silent
        self.world.end_step()

    @rule(ticks=st.integers(1, 3))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.world.pass_time()

    @rule(pick=PICK)
    def worker_pauses(self, pick: int) -> None:
        worker = self.worker(pick)
        if worker is not None:
            worker.pause()
        self.world.end_step()

    @rule(pick=PICK, which=PICK)
    def task_secedes(self, pick: int, which: int) -> None:
        worker = self.worker(pick)
        if worker is not None and worker.running:
            worker.secede(worker.running[which % len(worker.running)])
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

    @rule(pick=PICK, which=PICK, outcome=OUTCOME, mention=st.none() | PICK)
    def worker_runs(self, pick: int, which: int, outcome: str, mention: int | None) -> None:
        worker = self.worker(pick)
        if worker is not None and worker.running:
            run = worker.running[which % len(worker.running)]
            worker.end(run, outcome, self.later_than(run.key, mention))
        while worker and worker.queue and worker.has_place:
            worker.begin()
        if worker is not None and worker.outbox and not worker.silent:
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
        while worker is not None and worker.outbox and count and not worker.silent:
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
        settings=settings(stateful_step_count=60),
    )
    assert watched.seen.keys() <= TRANSITIONS.keys()


def test_long_lives(watched):
    """The same, for hundreds of steps each; the number of the life that failed is told."""
    for number in range(LIVES):
        machine = SchedulerMachine()
        try:
            machine.live(Random(number), STEPS)
            machine.teardown()
        except Exception as error:
            error.add_note(f"in life number {number}")
            raise
    assert watched.seen.keys() <= TRANSITIONS.keys()
    assert len(watched.seen) > 0.8 * len(TRANSITIONS), "little has happened"
