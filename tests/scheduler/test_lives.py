"""How tasks come from one state to another; after each test nothing else was said."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import jobqueue.scheduler
from jobqueue.errors import DataLost, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.states import ASSIGNED, CANCELLED, MEMORY, READY, RELEASED

FAILURE = Failure(b"", "ZeroDivisionError: division by zero", "Traceback ...")


# -- the rule --------------------------------------------------------------------------------------


def test_states_change_where_the_rules_about_them_stand():
    """Who wants to know all that may happen to a task has three files to read, and no more."""
    changing = set()
    for path in Path(jobqueue.scheduler.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=whose, attr="state", ctx=ast.Store()):
                    if ast.unparse(whose) != "self":
                        changing.add(path.name)
    assert changing == {"lives.py", "placing.py", "state.py"}


# -- they wait for inputs --------------------------------------------------------------------------


def test_an_input_that_nobody_knows_fails_the_task(core):
    """It says which, and what may have become of it."""
    client = core.client()
    core.submit(client, "a", inputs=["unheard-of"])
    error = core.failure(client)
    assert isinstance(error, TaskError)
    assert "'a' needs 'unheard-of'" in str(error)
    assert "released" in str(error)


def test_an_input_that_has_failed_already_fails_the_task(core):
    """With the same error; a cancelled one cancels it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "bad", "unwanted")
    core.placed(worker)
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    core.happens(core.state.wishes.cancel, client, False, ["unwanted"])
    core.said(client), core.said(worker)
    core.submit(client, "a", inputs=["bad"])
    core.submit(client, "b", inputs=["unwanted"])
    assert core.said(client) == [(m.FAILED, [("a", FAILURE)]), (m.CANCELLED, ["b"])]


def test_a_failure_reaches_the_client_and_all_that_depends_on_it(core):
    """Each dependent fails with the error of the task that raised, and the worker hears nothing."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.placed(worker)
    core.happens(core.state.failed, worker, [("a", FAILURE, 0.1)])
    assert core.said(client) == [(m.FAILED, [(key, FAILURE)]) for key in "abc"]


def test_chains_may_be_longer_than_the_stack(core):
    """Nothing recurses along dependencies: not losing, nor failing, nor releasing."""
    client, worker = core.client(), core.worker()
    length = 3000
    keys = [f"t{i}" for i in range(length)]
    core.submit(client, keys[0])
    for before, key in pairwise(keys):
        core.state.submit(client, b"f", None, [(key, b"", [before])])
    for key in keys[:-1]:
        core.state.settle()
        core.state.done(worker, [(key, None, 5000, 1.0)])
    core.happens(core.state.wishes.release, client, keys[:-1])
    core.lose(worker)
    assert core.state_of(keys[0]) == READY
    core.happens(core.state.wishes.cancel, client, False, [keys[-1]])
    core.happens(core.state.wishes.release, client, [keys[-1]])
    assert not core.state.tasks
    core.said(client)


# -- they are computed again -----------------------------------------------------------------------


def chain(core, client, worker):
    """`a` (large) -> `b` (large) -> `c`; a and b are released, c waits at the worker."""
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.done(worker, "a")
    core.done(worker, "b")
    core.happens(core.state.wishes.release, client, ["a", "b"])
    core.said(client), core.said(worker)


def test_lost_results_are_computed_again_through_released_inputs(core):
    """Whatever is needed for what somebody waits for, and the client need not know of it."""
    client, worker = core.client(), core.worker("first")
    chain(core, client, worker)
    assert (core.state_of("a"), core.state_of("b")) == (RELEASED, MEMORY)
    core.lose(worker, charge=False)
    second = core.worker("second")
    assert core.placed(second) == ["a"]
    core.done(second, "a")
    assert core.placed(second) == ["b"]
    core.done(second, "b")
    assert core.said(second) == [
        (m.FREE, ["a"]),
        (m.RUN, [("c", b"f", b"arguments", [("b", None, ())])]),
    ]
    core.done(second, "c", b"at last")
    assert core.said(client) == [(m.FINISHED, [("c", b"at last")])]
    assert core.said(second) == [(m.FREE, ["b"])]
    assert list(core.state.tasks) == ["c"]


def test_the_client_hears_of_a_lost_result_that_it_wants(core):
    """It may wait for it again; it hears when it is there again."""
    client, worker = core.client(), core.worker("first")
    core.submit(client, "a")
    core.placed(worker)
    core.done(worker, "a")
    core.lose(worker)
    second = core.worker("second")
    core.placed(second)
    core.done(second, "a")
    finished = (m.FINISHED, [("a", None)])
    assert core.said(client) == [finished, (m.LOST, ["a"]), finished]


def test_a_small_result_ends_the_chain_of_what_may_be_computed_again(core):
    """What it was computed from is forgotten, since it cannot be lost itself."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.done(worker, "a")
    core.done(worker, "b", b"small")
    core.happens(core.state.wishes.release, client, ["a"])
    assert list(core.state.tasks) == ["b"]
    core.said(client), core.said(worker)


def test_scattered_values_are_lost_with_their_workers(core):
    """They cannot be computed again; what needs them fails with them."""
    client, worker = core.client(), core.worker()
    core.happens(core.state.scatter, client, None, [("data", b"x" * 5000)])
    assert core.said(worker) == [(m.STORE, [("data", b"x" * 5000)])]
    core.happens(core.state.copied, worker, ["data"], [])
    assert core.state.results.held_bytes == 0
    core.submit(client, "a", inputs=["data"])
    core.said(worker), core.said(client)
    core.lose(worker)
    (operation, ((key, failure),)), dependent = core.said(client)
    assert (operation, key) == (m.GONE, "data")
    assert dependent == (m.FAILED, [("a", failure)])
    assert isinstance(failure.to_exception(), DataLost)
    assert "'data'" in failure.summary


# -- they are cancelled ----------------------------------------------------------------------------


def test_cancelling_takes_all_dependents_along(core):
    """Wherever they are; workers hear of what they have."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.submit(client, "other")
    assert core.placed(worker) == ["a", "other"]
    core.happens(core.state.wishes.cancel, client, False, ["a"])
    assert core.said(client) == [(m.CANCELLED, [key]) for key in "abc"]
    assert core.said(worker) == [(m.CANCEL, False, ["a"])]
    assert {core.state_of(key) for key in "abc"} == {CANCELLED}


def test_a_finished_task_can_be_cancelled(core):
    """Its result is freed, and what was computed from it already stays."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.done(worker, "a")
    core.done(worker, "b", b"1")
    core.said(client), core.said(worker)
    core.happens(core.state.wishes.cancel, client, False, ["a"])
    assert core.said(client) == [(m.CANCELLED, ["a"])]
    assert core.said(worker) == [(m.FREE, ["a"])]
    assert core.state_of("b") == MEMORY


def test_what_another_client_wants_too_is_not_cancelled(core):
    """A client cancels what is its own."""
    one, other = core.client("one"), core.client("other")
    core.submit(one, "shared")
    core.submit(other, "shared")
    core.happens(core.state.wishes.cancel, one, False, ["shared"])
    assert core.state_of("shared") == READY


# -- nobody needs them -----------------------------------------------------------------------------


def test_releasing_frees_the_result(core):
    """At the worker that holds it; and the record goes, if nothing was computed from it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a", "b")
    core.placed(worker)
    core.done(worker, "a")
    core.done(worker, "b", b"small")
    core.happens(core.state.wishes.release, client, ["a", "b"])
    assert core.said(worker) == [(m.FREE, ["a"])]
    assert not core.state.tasks
    assert core.state.results.held_bytes == 0
    core.said(client)


def test_releasing_what_nobody_else_needs_takes_it_back(core):
    """A worker that has not begun with it never will; inputs go with it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.placed(worker)
    core.happens(core.state.wishes.release, client, ["a"])
    assert core.state_of("a") == ASSIGNED, "b needs it"
    core.happens(core.state.wishes.release, client, ["b"])
    assert core.said(worker) == [(m.CANCEL, False, ["a"])]
    assert not core.state.tasks


def test_a_key_released_and_submitted_again_in_one_turn_keeps_its_new_result(core):
    """The worker hears of the end of the old one first."""
    client, worker = core.client(), core.worker()
    core.submit(client, "pure")
    core.placed(worker)
    core.done(worker, "pure")
    core.said(client)
    core.state.wishes.release(client, ["pure"])
    core.submit(client, "pure")
    assert [operation for operation, _ in core.said(worker)] == [m.FREE, m.RUN]


def test_a_released_task_that_is_wanted_again_is_computed_again(core):
    """As long as its record is there, for what was computed from it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.done(worker, "a")
    core.done(worker, "b")
    core.happens(core.state.wishes.release, client, ["a"])
    assert core.state_of("a") == RELEASED
    core.said(client), core.said(worker)
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]
