"""What happens to tasks, behaviour by behaviour; after each test nothing else was said."""

from __future__ import annotations

from itertools import pairwise

from jobqueue.errors import DataLost, KilledWorker, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler import placing
from jobqueue.scheduler.states import ASSIGNED, CANCELLED, FAILED, MEMORY, READY, RELEASED, WAITING

FAILURE = Failure(b"", "ZeroDivisionError: division by zero", "Traceback ...")


# -- submitting ------------------------------------------------------------------------------------


def test_a_task_goes_to_a_worker_and_its_result_to_the_client(core):
    """A function goes to each worker once, before its first task."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    assert core.said(worker) == [
        (m.FUNCTIONS, [(b"f", "f", b"pickle of f")]),
        (m.RUN, [("a", b"f", b"arguments", None)]),
    ]
    core.submit(client, "b")
    assert core.said(worker) == [(m.RUN, [("b", b"f", b"arguments", None)])]
    core.done(worker, "a", b"small")
    assert core.said(client) == [(m.FINISHED, [("a", b"small")])]


def test_what_is_said_in_a_turn_leaves_together(core):
    """Many tasks make one message in each direction."""
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "a", "b", "c")
    assert [operation for operation, _ in core.said(worker)] == [m.FUNCTIONS, m.RUN]
    results = [("a", b"1", 1, 1.0), ("b", None, 9999, 1.0), ("c", b"3", 1, 1.0)]
    core.happens(core.state.done, worker, results)
    assert core.said(client) == [(m.FINISHED, [("a", b"1"), ("b", None), ("c", b"3")])]


def test_without_workers_tasks_wait(core):
    """They stand ready, and go to the first worker that comes."""
    client = core.client()
    core.submit(client, "a")
    assert core.state_of("a") == READY
    assert core.placed(core.worker()) == ["a"]


def test_a_task_waits_for_its_inputs(core):
    """It is placed when the last of them is done."""
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "a", "b")
    core.submit(client, "sum", inputs=["a", "b", "a"])
    assert core.placed(worker) == ["a", "b"]
    core.done(worker, "a", b"1")
    assert core.state_of("sum") == WAITING
    core.done(worker, "b", b"2")
    assert core.said(worker) == [
        (m.RUN, [("sum", b"f", b"arguments", [("a", b"1", ()), ("b", b"2", ())])])
    ]
    assert core.said(client) == [(m.FINISHED, [("a", b"1"), ("b", b"2")])]


def test_a_worker_is_told_where_its_inputs_are(core):
    """Small ones stand in the message; of large ones the addresses of all holders."""
    client, one, other = core.client(), core.worker("one"), core.worker("other")
    core.submit(client, "large", "small")
    holder, second = core.task("large").worker, core.task("small").worker
    assert {holder, second} == {one, other}
    core.placed(holder), core.placed(second)
    core.done(holder, "large")
    core.done(second, "small", b"1")
    core.submit(client, "keeps-holder-busy-1", "keeps-holder-busy-2", fid=b"g")
    core.submit(client, "next", inputs=["large", "small"])
    assert core.state_of("next") == ASSIGNED
    place = core.task("next").worker
    runs = {item[0]: item for op, items in core.said(place) if op == m.RUN for item in items}
    expected = () if place is holder else [(f"at {holder.name}",)]
    assert runs["next"][3] == [("large", None, expected), ("small", b"1", ())]
    core.said(client), core.said(one), core.said(other)


def test_of_very_many_small_inputs_the_worker_asks_for_the_rest(core, monkeypatch):
    """A task's message must fit into a frame, whatever its inputs are together."""
    monkeypatch.setattr(placing, "INLINE_INPUTS", 8)
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "a", "b", "c")
    for key in "abc":
        core.done(worker, key, b"12345")
    core.said(client), core.said(worker)
    core.submit(client, "t", inputs=["a", "b", "c"])
    ((_, ((_, _, _, inputs),)),) = core.said(worker)
    assert inputs == [("a", b"12345", ()), ("b", None, []), ("c", None, [])]
    core.happens(core.state.transfers.relay, worker, "b")
    assert core.said(worker) == [(m.RELAYED, "b", b"12345", None)]
    core.happens(core.state.copied, worker, ["b"], [])


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
    core.happens(core.state.cancel, client, False, ["unwanted"])
    core.said(client), core.said(worker)
    core.submit(client, "a", inputs=["bad"])
    core.submit(client, "b", inputs=["unwanted"])
    assert core.said(client) == [(m.FAILED, [("a", FAILURE)]), (m.CANCELLED, ["b"])]


# -- lost workers ----------------------------------------------------------------------------------


def chain(core, client, worker):
    """`a` (large) -> `b` (large) -> `c`; a and b are released, c waits at the worker."""
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.done(worker, "a")
    core.done(worker, "b")
    core.happens(core.state.release, client, ["a", "b"])
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
    core.happens(core.state.release, client, ["a"])
    assert list(core.state.tasks) == ["b"]
    core.said(client), core.said(worker)


def test_a_task_that_kills_its_workers_fails(core):
    """After three of them, with the last one's name and why it is thought to have died."""
    client = core.client()
    core.submit(client, "bad")
    for name in ("w1", "w2", "w3"):
        worker = core.worker(name)
        assert core.placed(worker) == ["bad"]
        core.lose(worker, cause="signal 11")
    error = core.failure(client)
    assert isinstance(error, KilledWorker)
    assert str(error) == (
        "task 'bad' was running on 3 workers that died, the last of them w3: signal 11"
    )
    assert core.state_of("bad") == FAILED


def test_only_the_tasks_that_were_running_are_charged(core):
    """Those behind them in the worker's queue had nothing to do with it."""
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "t1", "t2", "t3", "t4")
    core.placed(worker)
    core.lose(worker)
    assert [core.task(f"t{i}").deaths for i in (1, 2, 3, 4)] == [1, 1, 0, 0]


def test_nobody_is_charged_for_a_worker_that_ended_in_order(core):
    """However often: walltime is not the task's fault."""
    client = core.client()
    core.submit(client, "long")
    for number in range(5):
        worker = core.worker(f"w{number}")
        assert core.placed(worker) == ["long"]
        core.lose(worker, charge=False)
    assert core.task("long").deaths == 0
    assert core.state_of("long") == READY


def test_tasks_behind_each_other_at_a_lost_worker_keep_their_order(core):
    """They go to the next worker as they were submitted."""
    client, worker = core.client(), core.worker("first", nthreads=2)
    core.submit(client, "t1", "t2", "t3", "t4", "t5")
    assert core.placed(worker) == ["t1", "t2", "t3", "t4"]
    core.lose(worker)
    assert core.placed(core.worker("second", nthreads=3)) == ["t1", "t2", "t3", "t4", "t5"]


def test_scattered_values_are_lost_with_their_workers(core):
    """They cannot be computed again; what needs them fails with them."""
    client, worker = core.client(), core.worker()
    core.happens(core.state.scatter, client, None, [("data", b"x" * 5000)])
    assert core.said(worker) == [(m.STORE, [("data", b"x" * 5000)])]
    core.happens(core.state.copied, worker, ["data"], [])
    assert core.state.held_bytes == 0
    core.submit(client, "a", inputs=["data"])
    core.said(worker), core.said(client)
    core.lose(worker)
    (operation, ((key, failure),)), dependent = core.said(client)
    assert (operation, key) == (m.GONE, "data")
    assert dependent == (m.FAILED, [("a", failure)])
    assert isinstance(failure.to_exception(), DataLost)
    assert "'data'" in failure.summary


# -- failures --------------------------------------------------------------------------------------


def test_a_failure_reaches_the_client_and_all_that_depends_on_it(core):
    """Each dependent fails with the error of the task that raised, and the worker hears nothing."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.placed(worker)
    core.happens(core.state.failed, worker, [("a", FAILURE, 0.1)])
    assert core.said(client) == [(m.FAILED, [(key, FAILURE)]) for key in "abc"]


def test_retries(core):
    """A task that raises is run again as often as it was asked for; nobody hears of it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "flaky", retries=2)
    for _ in range(2):
        assert core.placed(worker) == ["flaky"]
        core.happens(core.state.failed, worker, [("flaky", FAILURE, 0.1)])
        assert core.said(client) == []
    assert core.placed(worker) == ["flaky"]
    core.happens(core.state.failed, worker, [("flaky", FAILURE, 0.1)])
    assert core.said(client) == [(m.FAILED, [("flaky", FAILURE)])]


def test_news_of_a_task_from_a_worker_that_has_it_no_more_is_passed_over(core):
    """A result that nobody asked for is freed there."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    core.happens(core.state.release, client, ["a"])
    assert core.said(worker) == [(m.CANCEL, False, ["a"])]
    core.done(worker, "a")
    assert core.said(worker) == [(m.FREE, ["a"])]
    core.done(worker, "a", b"small")
    core.happens(core.state.failed, worker, [("a", FAILURE, 0.1)])
    core.happens(core.state.returned, worker, ["a"])


def test_an_input_that_is_gone_is_not_looked_for_there_again(core):
    """A worker that has lost what it was thought to hold gets it again, or it is computed again."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.done(worker, "a")
    core.said(client), core.said(worker)
    core.happens(core.state.input_gone, worker, "b", "a")
    assert core.said(client) == [(m.LOST, ["a"])]
    free, (run, ((key, *_),)) = core.said(worker)
    assert free == (m.FREE, ["a"])
    assert (run, key) == (m.RUN, "a")


# -- cancelling and releasing ----------------------------------------------------------------------


def test_cancelling_takes_all_dependents_along(core):
    """Wherever they are; workers hear of what they have."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.submit(client, "c", inputs=["b"])
    core.submit(client, "other")
    assert core.placed(worker) == ["a", "other"]
    core.happens(core.state.cancel, client, False, ["a"])
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
    core.happens(core.state.cancel, client, False, ["a"])
    assert core.said(client) == [(m.CANCELLED, ["a"])]
    assert core.said(worker) == [(m.FREE, ["a"])]
    assert core.state_of("b") == MEMORY


def test_what_another_client_wants_too_is_not_cancelled(core):
    """A client cancels what is its own."""
    one, other = core.client("one"), core.client("other")
    core.submit(one, "shared")
    core.submit(other, "shared")
    core.happens(core.state.cancel, one, False, ["shared"])
    assert core.state_of("shared") == READY


def test_releasing_frees_the_result(core):
    """At the worker that holds it; and the record goes, if nothing was computed from it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a", "b")
    core.placed(worker)
    core.done(worker, "a")
    core.done(worker, "b", b"small")
    core.happens(core.state.release, client, ["a", "b"])
    assert core.said(worker) == [(m.FREE, ["a"])]
    assert not core.state.tasks
    assert core.state.held_bytes == 0
    core.said(client)


def test_releasing_what_nobody_else_needs_takes_it_back(core):
    """A worker that has not begun with it never will; inputs go with it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.placed(worker)
    core.happens(core.state.release, client, ["a"])
    assert core.state_of("a") == ASSIGNED, "b needs it"
    core.happens(core.state.release, client, ["b"])
    assert core.said(worker) == [(m.CANCEL, False, ["a"])]
    assert not core.state.tasks


def test_a_key_released_and_submitted_again_in_one_turn_keeps_its_new_result(core):
    """The worker hears of the end of the old one first."""
    client, worker = core.client(), core.worker()
    core.submit(client, "pure")
    core.placed(worker)
    core.done(worker, "pure")
    core.said(client)
    core.state.release(client, ["pure"])
    core.submit(client, "pure")
    assert [operation for operation, _ in core.said(worker)] == [m.FREE, m.RUN]


def test_a_released_task_that_is_wanted_again_is_computed_again(core):
    """As long as its record is there, for what was computed from it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    core.done(worker, "a")
    core.done(worker, "b")
    core.happens(core.state.release, client, ["a"])
    assert core.state_of("a") == RELEASED
    core.said(client), core.said(worker)
    core.submit(client, "a")
    assert core.placed(worker) == ["a"]


# -- several clients -------------------------------------------------------------------------------


def test_two_clients_share_a_task(core):
    """It runs once, both hear of it, and it stays until both have let go."""
    one, other = core.client("one"), core.client("other")
    worker = core.worker()
    core.submit(one, "shared")
    core.submit(other, "shared")
    assert core.placed(worker) == ["shared"]
    core.done(worker, "shared")
    for client in (one, other):
        assert core.said(client) == [(m.FINISHED, [("shared", None)])]
    core.happens(core.state.release, one, ["shared"])
    assert core.state_of("shared") == MEMORY
    core.happens(core.state.remove_client, other)
    assert not core.state.tasks
    assert core.said(worker) == [(m.FREE, ["shared"])]


def test_a_client_that_comes_late_hears_how_a_task_stands(core):
    """Done, failed or cancelled: at once."""
    first, late, worker = core.client("first"), core.client("late"), core.worker()
    core.submit(first, "good", "bad", "unwanted")
    core.state.cancel(first, False, ["unwanted"])
    core.done(worker, "good", b"1")
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    core.said(first), core.said(worker)
    core.submit(late, "good", "bad")
    core.happens(core.state.want, late, ["unwanted"])
    assert core.said(late) == [
        (m.FINISHED, [("good", b"1")]),
        (m.FAILED, [("bad", FAILURE)]),
        (m.CANCELLED, ["unwanted"]),
    ]


def test_a_client_that_goes_takes_its_tasks_along(core):
    """What only it wanted is taken back from the workers; others' tasks stay."""
    goes, stays, worker = core.client("goes"), core.client("stays"), core.worker()
    core.submit(goes, "a")
    core.submit(stays, "b")
    core.placed(worker)
    core.happens(core.state.remove_client, goes)
    assert core.said(worker) == [(m.CANCEL, False, ["a"])]
    assert list(core.state.tasks) == ["b"]


# -- size ------------------------------------------------------------------------------------------


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
    core.happens(core.state.release, client, keys[:-1])
    core.lose(worker)
    assert core.state_of(keys[0]) == READY
    core.happens(core.state.cancel, client, False, [keys[-1]])
    core.happens(core.state.release, client, [keys[-1]])
    assert not core.state.tasks
    core.said(client)
