"""The records of the core: small, and with outboxes that keep the order of what is said."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from jobqueue.protocol import messages as m
from jobqueue.scheduler.records import UNKNOWN_DURATION, ClientRecord, Function
from jobqueue.scheduler.state import SchedulerState
from jobqueue.scheduler.states import FORGOTTEN, TRANSITIONS, WAITING

MANY = 100_000


def test_a_waiting_task_takes_less_than_a_kilobyte():
    """With its key, its pickled arguments and its place in line: a million fit into a gigabyte."""
    state = SchedulerState()
    client = ClientRecord("c", 0)
    state.add_client(client)
    state.wishes.add_functions(client, [(b"f", "f", b"pickle")])
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        items = ((f"function-1-{i:x}", b"%0100d" % i, None) for i in range(MANY))
        state.submit(client, b"f", None, items)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(state.tasks) == MANY
    assert (after - before) / MANY < 1024


def test_the_table_of_transitions_has_no_dead_ends():
    """Every state can be reached, and from every state a task can be forgotten."""
    states = {state for edge in TRANSITIONS for state in edge}
    forwards, backwards = {WAITING}, {FORGOTTEN}
    for _ in states:
        forwards |= {after for before, after in TRANSITIONS if before in forwards}
        backwards |= {before for before, after in TRANSITIONS if after in backwards}
    assert forwards == backwards == states
    assert FORGOTTEN not in {before for before, _ in TRANSITIONS}


def test_durations_are_learnt():
    """The first call replaces the guess; later ones weigh a tenth."""
    function = Function(b"f", "f", b"")
    assert function.duration == UNKNOWN_DURATION
    function.took(2.0)
    assert function.duration == 2.0
    function.took(1.0)
    assert function.duration == pytest.approx(1.9)


def test_a_client_hears_of_many_ends_in_one_message():
    """And still before what was said after them."""
    client = ClientRecord("c", 0)
    client.out_finished += [("a", b"1"), ("b", None)]
    client.say((m.LOST, ["b"]))
    client.out_finished.append(("c", b"3"))
    assert client.take_messages() == [
        (m.FINISHED, [("a", b"1"), ("b", None)]),
        (m.LOST, ["b"]),
        (m.FINISHED, [("c", b"3")]),
    ]
    assert client.take_messages() == []


def test_records_say_what_they_are(core):
    """Their reprs stand in assertions and logs."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "k")
    assert repr(core.task("k")) == "<Task k assigned>"
    assert core.task("k").name == "f"
    assert repr(worker) == "<Worker w 1 tasks, 0 results>"
    assert repr(client) == "<Client client wants 1>"
    assert repr(core.task("k").function) == "<Function f 0.5 s>"
    assert core.placed(worker) == ["k"]
