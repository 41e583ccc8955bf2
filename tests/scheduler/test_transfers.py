"""Results on the move: requests, copies, retiring workers."""

from __future__ import annotations

from jobqueue.errors import TaskCancelled, TaskError
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.protocol.payload import Payload
from jobqueue.scheduler.states import CANCELLED, MEMORY, READY

FAILURE = Failure(b"", "TypeError: cannot pickle", "")


def large_result(core, client, *workers, key="a"):
    """A result that lies at all of these workers."""
    core.submit(client, key)
    first = core.task(key).worker
    core.placed(first)
    core.done(first, key)
    for worker in workers:
        if worker is not first:
            core.happens(core.state.copied, worker, [key], [])
    assert core.task(key).holders == set(workers)
    core.said(client)


def ask(core, client, key="a"):
    core.happens(core.state.transfers.fetch, client, [key])


def asked(core, worker):
    """Take what a worker is told, which must be one SEND; give its number."""
    ((operation, number, _key),) = core.said(worker)
    assert operation == m.SEND
    return number


# -- requests --------------------------------------------------------------------------------------


def test_a_client_gets_a_value_from_its_holder(core):
    """The scheduler passes it on unopened, and keeps nothing of it."""
    client, worker = core.client(), core.worker()
    large_result(core, client, worker)
    ask(core, client)
    value = Payload(b"head", [b"buffer"])
    core.happens(core.state.transfers.data, worker, asked(core, worker), value)
    assert core.said(client) == [(m.FETCHED, "a", value)]
    assert core.state.results.held_bytes == 0
    assert not core.state.transfers.requests


def test_another_holder_is_asked_when_the_first_dies(core):
    """One after the other; the client waits and hears once."""
    client, one, two = core.client(), core.worker("w1"), core.worker("w2")
    large_result(core, client, one, two)
    ask(core, client)
    asked(core, one)
    core.lose(one)
    core.happens(core.state.transfers.data, two, asked(core, two), b"value")
    assert core.said(client) == [(m.FETCHED, "a", b"value")]


def test_a_value_whose_last_holder_dies_is_computed_again_for_whoever_asked(core):
    """The request waits for it."""
    client, one = core.client(), core.worker("w1")
    large_result(core, client, one)
    ask(core, client)
    asked(core, one)
    core.lose(one, charge=False)
    assert core.said(client) == [(m.LOST, ["a"])]
    two = core.worker("w2")
    assert core.placed(two) == ["a"]
    core.done(two, "a", b"small this time")
    finished, fetched = sorted(core.said(client))[::-1]
    assert finished == (m.FINISHED, [("a", b"small this time")])
    assert fetched == (m.FETCHED, "a", b"small this time")


def test_a_holder_that_has_it_not_is_not_asked_again(core):
    """Its word counts."""
    client, one, two = core.client(), core.worker("w1"), core.worker("w2")
    large_result(core, client, one, two)
    ask(core, client)
    core.happens(core.state.transfers.no_data, one, asked(core, one), None)
    assert core.task("a").holders == {two}
    core.happens(core.state.transfers.data, two, asked(core, two), b"value")
    assert core.said(client) == [(m.FETCHED, "a", b"value")]


def test_a_value_that_cannot_be_pickled_is_refused(core):
    """The client hears why; the result stays where it is, for other tasks."""
    client, worker = core.client(), core.worker()
    large_result(core, client, worker)
    ask(core, client)
    core.happens(core.state.transfers.no_data, worker, asked(core, worker), FAILURE)
    assert core.said(client) == [(m.FETCH_FAILED, "a", FAILURE)]
    assert core.state_of("a") == MEMORY


def test_what_is_not_done_yet_is_awaited(core):
    """And cannot be answered any more if the task fails or is cancelled: then it is refused."""
    client, worker = core.client(), core.worker(nthreads=2)
    core.submit(client, "good", "bad", "unwanted")
    core.placed(worker)
    core.happens(core.state.transfers.fetch, client, ["good", "bad", "unwanted"])
    assert core.said(client) == []
    core.done(worker, "good", b"1")
    assert (m.FETCHED, "good", b"1") in core.said(client)
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    assert (m.FETCH_FAILED, "bad", FAILURE) in core.said(client)
    core.happens(core.state.wishes.cancel, client, False, ["unwanted"])
    refused = next(fields for op, *fields in core.said(client) if op == m.FETCH_FAILED)
    assert isinstance(refused[1].to_exception(), TaskCancelled)
    core.said(worker)


def test_a_question_ends_with_the_task(core):
    """Who asks for what is then released, or was, hears so, also while others' records keep it."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.submit(client, "b", inputs=["a"])
    ask(core, client)
    core.happens(core.state.wishes.release, client, ["a"])
    core.happens(core.state.wishes.cancel, client, False, ["b"])
    answers = [fields for op, *fields in core.said(client) if op == m.FETCH_FAILED]
    ((key, failure),) = answers
    assert key == "a"
    assert isinstance(failure.to_exception(), TaskError)
    ask(core, client, "unheard-of")
    ((operation, key, failure),) = core.said(client)
    assert (operation, key) == (m.FETCH_FAILED, "unheard-of")
    assert "released" in str(Failure(*failure).to_exception())
    core.said(worker)


def test_a_worker_that_reaches_nobody_gets_its_input_through_the_scheduler(core):
    """Or hears that it is not to be had now, and hands the task back."""
    client, holder = core.client(), core.worker("w1")
    large_result(core, client, holder)
    asking = core.worker("w2")
    core.happens(core.state.transfers.relay, asking, "a")
    core.happens(core.state.transfers.data, holder, asked(core, holder), b"value")
    assert core.said(asking) == [(m.RELAYED, "a", b"value", None)]
    core.happens(core.state.transfers.relay, asking, "a")
    core.happens(core.state.transfers.no_data, holder, asked(core, holder), FAILURE)
    assert core.said(asking) == [(m.RELAYED, "a", None, FAILURE)]
    core.happens(core.state.transfers.relay, asking, "unheard-of")
    assert core.said(asking) == [(m.RELAYED, "unheard-of", None, None)]


def test_the_questions_of_those_who_are_gone_are_forgotten(core):
    """Their answers, if they come, go nowhere."""
    client, other, worker = core.client(), core.client("other"), core.worker()
    large_result(core, client, worker)
    ask(core, other)
    number = asked(core, worker)
    core.happens(core.state.remove_client, other)
    assert not core.state.transfers.requests
    core.happens(core.state.transfers.data, worker, number, b"value")
    core.happens(core.state.transfers.no_data, worker, number, None)


# -- scattered values ------------------------------------------------------------------------------


def test_a_large_scattered_value_waits_for_the_first_worker(core):
    """Until that says that it has it, it is held here."""
    client = core.client()
    core.happens(core.state.scatter, client, None, [("data", b"x" * 5000), ("small", b"1")])
    assert core.said(client) == [(m.FINISHED, [("data", None), ("small", b"1")])]
    first = core.worker("w1")
    assert core.said(first) == [(m.STORE, [("data", b"x" * 5000)])]
    core.lose(first)
    second = core.worker("w2")
    assert core.said(second) == [(m.STORE, [("data", b"x" * 5000)])]
    core.happens(core.state.copied, second, ["data"], [])
    assert core.state.results.held_bytes == 1
    assert core.task("data").holders == {second}


def test_scattered_values_are_spread(core):
    """Each goes to the worker that holds least."""
    client, one, two = core.client(), core.worker("w1"), core.worker("w2")
    for number in range(4):
        core.happens(core.state.scatter, client, None, [(f"d{number}", b"x" * 5000)])
        for worker in (one, two):
            for _, items in core.said(worker):
                core.happens(core.state.copied, worker, [key for key, _ in items], [])
    assert one.stored == two.stored == 10_000
    core.said(client)


# -- retiring --------------------------------------------------------------------------------------


def test_a_worker_with_nothing_ends_at_once(core):
    """There is nothing to wait for."""
    worker = core.worker()
    core.retire(worker)
    assert core.said(worker) == [(m.END, "retired")]
    core.lose(worker, charge=False)


def test_a_retiring_worker_hands_back_what_it_has_not_begun(core):
    """What runs may end there; then the worker ends, and gets nothing new before."""
    client, retiring = core.client(), core.worker("w1")
    core.submit(client, "runs", "waits")
    core.placed(retiring)
    core.retire(retiring)
    assert core.said(retiring) == [(m.RECALL, ["runs", "waits"])]
    core.happens(core.state.returned, retiring, ["waits"])
    assert core.state_of("waits") == READY
    assert core.said(retiring) == []
    other = core.worker("w2")
    assert core.placed(other) == ["waits"]
    core.done(retiring, "runs", b"1")
    assert core.said(retiring) == [(m.END, "retired")]
    core.lose(retiring, charge=False)
    assert core.said(client) == [(m.FINISHED, [("runs", b"1")])]


def test_only_results_that_are_nowhere_else_are_moved(core):
    """To another worker, straight from this one; then it ends, and nothing is computed again."""
    client, one, two = core.client(), core.worker("w1"), core.worker("w2")
    large_result(core, client, one, two, key="both")
    core.submit(client, "unique")
    retiring = core.task("unique").worker
    other = two if retiring is one else one
    core.placed(retiring)
    core.done(retiring, "unique")
    core.said(client)
    core.retire(retiring)
    assert core.said(other) == [(m.COPY, [("unique", [retiring.addresses])])]
    assert core.said(retiring) == []
    core.happens(core.state.copied, other, ["unique"], [])
    assert core.said(retiring) == [(m.END, "retired")]
    core.lose(retiring, charge=False)
    assert core.said(client) == []
    assert core.task("unique").holders == {other}


def test_without_another_worker_the_scheduler_takes_unique_results(core):
    """Nothing is lost by scaling down to nothing."""
    client, worker = core.client(), core.worker()
    large_result(core, client, worker)
    core.retire(worker)
    core.happens(core.state.transfers.data, worker, asked(core, worker), b"v" * 10_000)
    assert core.said(worker) == [(m.END, "retired")]
    core.lose(worker, charge=False)
    ask(core, client)
    assert core.said(client) == [(m.FETCHED, "a", b"v" * 10_000)]


def test_a_copy_that_fails_goes_through_the_scheduler(core):
    """Workers may not reach each other."""
    client, retiring = core.client(), core.worker("w1")
    large_result(core, client, retiring)
    other = core.worker("w2")
    core.retire(retiring)
    assert [operation for operation, _ in core.said(other)] == [m.COPY]
    core.happens(core.state.copied, other, [], ["a"])
    core.happens(core.state.transfers.data, retiring, asked(core, retiring), b"v" * 10_000)
    assert core.said(retiring) == [(m.END, "retired")]
    assert core.state_of("a") == MEMORY


def test_a_move_begins_again_when_its_target_dies(core):
    """With the next worker."""
    client, retiring = core.client(), core.worker("w1")
    large_result(core, client, retiring)
    first, second = core.worker("w2"), core.worker("w3")
    core.retire(retiring)
    assert [operation for operation, _ in core.said(first)] == [m.COPY]
    core.lose(first)
    assert [operation for operation, _ in core.said(second)] == [m.COPY]
    core.happens(core.state.copied, second, ["a"], [])
    assert core.said(retiring) == [(m.END, "retired")]


def test_workers_that_retire_together_each_bring_their_results_away(core):
    """Also what two of them hold, and nobody else."""
    client, one, two = core.client(), core.worker("w1"), core.worker("w2")
    large_result(core, client, one, two)
    stays = core.worker("w3")
    core.state.transfers.retire(one)
    core.retire(two)
    assert {operation for operation, _ in core.said(stays)} == {m.COPY}
    core.happens(core.state.copied, stays, ["a"], [])
    for worker in (one, two):
        assert core.said(worker) == [(m.END, "retired")]


def test_a_result_that_cannot_be_pickled_does_not_keep_its_worker(core):
    """It is computed again where it is needed, and the worker ends."""
    client, retiring = core.client(), core.worker("w1")
    large_result(core, client, retiring)
    core.retire(retiring)
    core.happens(core.state.transfers.no_data, retiring, asked(core, retiring), FAILURE)
    assert core.said(retiring) == [(m.END, "retired")]
    assert core.said(client) == [(m.LOST, ["a"])]
    assert core.state_of("a") == READY


def test_a_retiring_worker_that_dies_leaves_no_moves_behind(core):
    """Its results are computed again; a copy that was made in time saves that."""
    client, retiring = core.client(), core.worker("w1")
    large_result(core, client, retiring)
    other = core.worker("w2")
    core.retire(retiring)
    core.said(other)
    core.lose(retiring, charge=False)
    core.happens(core.state.wishes.cancel, client, False, ["a"])
    core.happens(core.state.copied, other, [], ["a"])
    assert not core.state.transfers.requests
    assert core.state_of("a") == CANCELLED
    core.said(client), core.said(other)
