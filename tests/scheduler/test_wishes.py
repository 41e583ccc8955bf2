"""What clients want beyond tasks: to join, keep, retry, cancel by force, and start anew."""

from __future__ import annotations

import pytest

from jobqueue.errors import TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.losses import Report
from jobqueue.scheduler.states import CANCELLED, FAILED, READY

FAILURE = Failure(b"", "ZeroDivisionError: division by zero", "Traceback ...")


# -- wanting ---------------------------------------------------------------------------------------


def test_a_client_joins_those_that_want_a_task(core):
    """It hears what they hear, and the task stays for it."""
    first, second, worker = core.client("first"), core.client("second"), core.worker()
    core.submit(first, "a")
    core.placed(worker)
    core.happens(core.state.wishes.want, second, ["a"])
    core.happens(core.state.wishes.release, first, ["a"])
    core.done(worker, "a", b"1")
    assert core.said(second) == [(m.FINISHED, [("a", b"1")])]


def test_what_is_not_known_cannot_be_wanted(core):
    """The client hears so: it would wait for ever."""
    client = core.client()
    core.happens(core.state.wishes.want, client, ["a"])
    error = core.failure(client)
    assert isinstance(error, TaskError)
    assert "'a' is not known" in str(error)


def test_a_task_that_is_kept_runs_though_nobody_holds_a_future(core):
    """And is forgotten once it has ended."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a", "bad")
    core.placed(worker)
    core.happens(core.state.wishes.keep, ["a", "bad"])
    core.happens(core.state.wishes.release, client, ["a"])
    core.happens(core.state.remove_client, client)
    assert core.said(worker) == []
    core.done(worker, "a")
    assert core.said(worker) == [(m.FREE, ["a"])]
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    assert not core.state.tasks


def test_what_has_ended_is_not_kept(core):
    """There is nothing to be done about it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    core.done(worker, "a", b"1")
    core.happens(core.state.wishes.keep, ["a", "unheard-of"])
    core.happens(core.state.wishes.release, client, ["a"])
    assert not core.state.tasks
    core.said(client)


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again",
    [
        {"fid": b"g"},
        {"inputs": ["x"]},
        {"digest": b"2"},
        {"fid": b"g", "digest": b"2"},
    ],
)
def test_a_key_in_use_cannot_be_used_for_other_work(core, again):
    """Whoever tries hears so; nobody else is touched."""
    first, second = core.client("first"), core.client("second")
    core.submit(first, "x")
    core.submit(first, "k", digest=b"1")
    core.submit(second, "k", **again)
    if again == {"inputs": ["x"]}:
        core.submit(first, "x", inputs=["k"])  # a circle, if it were taken
        assert "'x' is used already" in str(core.failure(first))
    assert "'k' is used already" in str(core.failure(second))
    assert core.task("k").clients == (first,)
    assert core.state_of("k") == READY


def test_the_same_work_under_a_key_is_done_once(core):
    """By its digest, even if the function was pickled in another way."""
    first, second, worker = core.client("first"), core.client("second"), core.worker()
    core.submit(first, "k", digest=b"1")
    core.submit(second, "k", digest=b"1", fid=b"g")
    assert core.placed(worker) == ["k"]
    core.done(worker, "k", b"1")
    for client in (first, second):
        assert core.said(client) == [(m.FINISHED, [("k", b"1")])]


def test_a_task_cannot_be_its_own_input(core):
    """It would wait for itself; no retry helps."""
    client = core.client()
    core.submit(client, "a", inputs=["a"])
    error = core.failure(client)
    assert isinstance(error, TaskError)
    assert "'a' is among its own inputs" in str(error)
    core.happens(core.state.wishes.retry, ["a"])
    assert core.state_of("a") == FAILED


# -- functions -------------------------------------------------------------------------------------


def test_a_function_is_forgotten_with_the_last_who_needs_it(core):
    """Clients that may name it, and tasks that call it; then the workers forget it too."""
    client, worker = core.client(), core.worker()
    core.happens(core.state.wishes.add_functions, client, [(b"h", "h", b"pickle of h")])
    core.submit(client, "a", fid=b"h")
    core.said(worker)
    core.happens(core.state.wishes.forget_functions, client, [b"h", b"never heard of"])
    assert b"h" in core.state.functions, "the task may have to run again"
    core.done(worker, "a", b"1")
    core.happens(core.state.wishes.release, client, ["a"])
    assert b"h" not in core.state.functions
    assert core.said(worker) == [(m.FORGET_FUNCTIONS, [b"h"])]
    core.happens(core.state.wishes.add_functions, client, [(b"h", "h", b"pickle of h")])
    core.submit(client, "b", fid=b"h")
    assert core.said(worker)[0] == (m.FUNCTIONS, [(b"h", "h", b"pickle of h")])
    core.said(client)


def test_functions_go_with_their_clients(core):
    """Of several, with the last one."""
    one, other = core.client("one"), core.client("other")
    for client in (one, other):
        core.happens(core.state.wishes.add_functions, client, [(b"h", "h", b"pickle of h")])
    core.happens(core.state.remove_client, one)
    assert b"h" in core.state.functions
    core.happens(core.state.remove_client, other)
    assert b"h" not in core.state.functions


# -- again, by force, and anew ---------------------------------------------------------------------


def failed_chain(core, client, worker):
    """`a` raised, so `b` and `c` have failed."""
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.placed(worker)
    core.happens(core.state.failed, worker, [("a", FAILURE, 0.1)])
    core.said(client)


def test_a_failed_task_is_tried_again_with_the_inputs_it_failed_of(core):
    """All the way up; who holds futures of them sees them wait again."""
    client, worker = core.client(), core.worker()
    failed_chain(core, client, worker)
    core.happens(core.state.wishes.retry, ["c"])
    assert core.placed(worker) == ["a"]
    assert core.said(client) == [(m.LOST, [key]) for key in "cba"]
    for key in "abc":
        core.done(worker, key, b"1")
    core.said(worker)
    assert core.said(client) == [(m.FINISHED, [(key, b"1") for key in "abc"])]


def test_retrying_an_input_leaves_what_failed_of_it(core):
    """Only what is asked for is run again."""
    client, worker = core.client(), core.worker()
    failed_chain(core, client, worker)
    core.happens(core.state.wishes.retry, ["a"])
    assert core.placed(worker) == ["a"]
    assert [core.state_of(key) for key in "bc"] == [FAILED, FAILED]
    core.said(client)


def test_retries_and_deaths_are_counted_anew(core):
    """As if it had just been submitted."""
    client = core.client()
    core.submit(client, "bad", retries=1)
    for name in ("w1", "w2", "w3"):
        worker = core.worker(name)
        core.placed(worker)
        core.happens(core.state.losses.reported, name, Report("killed", True))
        core.lose(worker)
    core.failure(client)
    core.happens(core.state.wishes.retry, ["bad"])
    worker = core.worker("w4")
    for _ in range(2):
        assert core.placed(worker) == ["bad"]
        core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    assert core.said(client) == [(m.LOST, ["bad"]), (m.FAILED, [("bad", FAILURE)])]


def test_force_cancels_what_others_want_and_interrupts_what_runs(core):
    """Even what is kept."""
    one, other, worker = core.client("one"), core.client("other"), core.worker()
    core.submit(one, "a")
    core.submit(other, "a")
    core.happens(core.state.wishes.keep, ["a"])
    core.placed(worker)
    core.happens(core.state.wishes.cancel, one, False, ["a"])
    assert core.said(one) == []
    core.happens(core.state.wishes.cancel, one, True, ["a"])
    for client in (one, other):
        assert core.said(client) == [(m.CANCELLED, ["a"])]
    assert core.said(worker) == [(m.CANCEL, True, ["a"])]
    assert core.state_of("a") == CANCELLED


def test_restart_leaves_nothing(core):
    """Whatever state it was in; clients hear so, and workers begin anew."""
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "done", "bad", "runs", "ready", "more")
    core.submit(client, "waits", inputs=["runs"])
    core.happens(core.state.wishes.keep, ["runs"])
    core.done(worker, "done")
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    core.said(client), core.said(worker)
    core.happens(core.state.wishes.restart)
    assert not core.state.tasks
    assert {key for _, (key,) in core.said(client)} == {
        "done",
        "bad",
        "runs",
        "ready",
        "more",
        "waits",
    }
    assert core.said(worker)[-1] == (m.RESTART, "restarted by a client")
    core.submit(client, "next")
    assert core.said(worker) == [], "it is about to end"
    assert core.placed(core.worker("fresh")) == ["next"]


# -- results that hold futures ---------------------------------------------------------------------


def test_what_a_result_mentions_stays_while_that_is_in_memory(core):
    """Whoever reads the result finds its futures alive."""
    client, task, worker = core.client(), core.client("task"), core.worker(nthreads=2)
    core.submit(client, "outer")
    core.submit(task, "inner")
    core.placed(worker)
    core.happens(core.state.wishes.mentions, worker, "outer", ["inner", "outer"])
    assert core.said(worker) == [(m.MENTIONED, ["outer"])]
    core.happens(core.state.wishes.release, task, ["inner"])
    core.done(worker, "outer", b"a future")
    core.done(worker, "inner", b"1")
    core.happens(core.state.wishes.want, client, ["inner"])
    core.happens(core.state.wishes.release, client, ["inner"])
    assert "inner" in core.state.tasks
    core.happens(core.state.wishes.release, client, ["outer"])
    assert not core.state.tasks
    core.said(client)


def test_what_a_lost_result_mentioned_is_let_go(core):
    """It is computed again, and mentions anew."""
    client, task, worker = core.client(), core.client("task"), core.worker("first", nthreads=2)
    core.submit(client, "outer")
    core.submit(task, "inner")
    core.placed(worker)
    core.happens(core.state.wishes.mentions, worker, "outer", ["inner"])
    core.done(worker, "outer")
    core.happens(core.state.wishes.release, task, ["inner"])
    core.lose(worker)
    assert list(core.state.tasks) == ["outer"]
    core.said(client)


def test_mentions_of_a_task_that_is_not_there_any_more_are_answered(core):
    """The worker waits for the word."""
    worker = core.worker()
    core.happens(core.state.wishes.mentions, worker, "gone", ["inner"])
    assert core.said(worker) == [(m.MENTIONED, ["gone"])]


def test_what_was_cancelled_begins_anew_when_it_is_submitted_again(core):
    """Also after it was done, and with inputs; whoever waited for it before waits again."""
    one, other, worker = core.client("one"), core.client("other"), core.worker("w")
    core.submit(one, "input", "a")
    core.submit(one, "b", inputs=["input"])
    core.happens(core.state.wishes.want, other, ["a"])
    assert core.placed(worker) == ["input", "a"]
    core.done(worker, "input", b"1")
    core.done(worker, "a", b"2")
    core.happens(core.state.wishes.cancel, one, True, ["a", "b"])
    core.said(worker)
    core.said(one)
    core.said(other)
    core.submit(one, "a")
    core.submit(one, "b", inputs=["input"])
    assert core.said(other) == [(m.LOST, ["a"])]
    core.happens(core.state.returned, worker, [])
    core.said(worker)
    core.done(worker, "a", b"3")
    core.done(worker, "b", b"4")
    assert core.said(other) == [(m.FINISHED, [("a", b"3")])]
    assert core.said(one)[-1] == (m.FINISHED, [("a", b"3"), ("b", b"4")])
    core.said(worker)


def test_a_value_that_was_cancelled_is_there_when_it_is_scattered_again(core):
    """As if it had been forgotten meanwhile."""
    client = core.client()
    core.happens(core.state.scatter, client, None, [("value", b"1")])
    core.happens(core.state.wishes.cancel, client, False, ["value"])
    core.said(client)
    core.happens(core.state.scatter, client, None, [("value", b"1")])
    assert core.said(client) == [(m.FINISHED, [("value", b"1")])]
