"""What happens when peers come, speak and go; after each test nothing else was said."""

from __future__ import annotations

from jobqueue.errors import KilledWorker
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler import placing
from jobqueue.scheduler.states import ASSIGNED, FAILED, MEMORY, READY, WAITING

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


# -- lost workers ----------------------------------------------------------------------------------


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


# -- failures --------------------------------------------------------------------------------------


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
    core.happens(core.state.wishes.release, client, ["a"])
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
    core.happens(core.state.wishes.release, one, ["shared"])
    assert core.state_of("shared") == MEMORY
    core.happens(core.state.remove_client, other)
    assert not core.state.tasks
    assert core.said(worker) == [(m.FREE, ["shared"])]


def test_a_client_that_comes_late_hears_how_a_task_stands(core):
    """Done, failed or cancelled: at once."""
    first, late, worker = core.client("first"), core.client("late"), core.worker()
    core.submit(first, "good", "bad", "unwanted")
    core.state.wishes.cancel(first, False, ["unwanted"])
    core.done(worker, "good", b"1")
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    core.said(first), core.said(worker)
    core.submit(late, "good", "bad")
    core.happens(core.state.wishes.want, late, ["unwanted"])
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
