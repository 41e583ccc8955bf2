"""Workers that die, fall silent or come back, and what becomes of what they had."""

from __future__ import annotations

import pytest

from jobqueue.errors import DataLost, KilledWorker
from jobqueue.protocol import messages as m
from jobqueue.protocol.failures import Failure
from jobqueue.scheduler.losses import (
    NEEDED_AFTER,
    REPORT_PATIENCE,
    REPORT_USE,
    SUSPECT_AFTER,
    Report,
)
from jobqueue.scheduler.state import WORKER_TTL
from jobqueue.scheduler.states import ASSIGNED, FAILED, MEMORY, READY
from jobqueue.scheduler.worker_record import ASIDE, SUSPECT

FAILURE = Failure(b"", "ZeroDivisionError: division by zero", "Traceback ...")


def pass_time(core, seconds, *well, start=0.0, tick=1.0):
    """Tick by tick; these workers show that they live. Return the time it is then."""
    now = start
    while now < start + seconds:
        now += tick
        for worker in well:
            core.state.heard(worker, now)
        core.happens(core.state.losses.look, now)
        core.happens(core.state.losses.judge, now)
    return now


# -- whose fault it was ----------------------------------------------------------------------------


def doubtful(core, *keys, name="w", deaths=0, **facts):
    """A worker with an agent has died, which has been given these; return the client."""
    client = core.client()
    core.submit(client, *keys)
    for key in keys:
        core.task(key).deaths = deaths
    worker = core.worker(name, agent=True, **facts)
    assert core.placed(worker) == list(keys)
    core.lose(worker, cause="its connection ended")
    return client


def report(core, running=None, *, name="w", cause="killed by signal 9", blame=True, pid=0):
    lines = ["Boom", "Aborted"]
    core.happens(core.state.losses.reported, name, Report(cause, blame, lines, running, pid))


def deaths(core, *keys):
    return [core.task(key).deaths for key in keys]


def test_an_agents_report_names_the_cause(core):
    """With the last lines that the worker wrote."""
    client = doubtful(core, "bad", deaths=2)
    report(core, ["bad"])
    error = core.failure(client)
    assert isinstance(error, KilledWorker)
    assert (error.worker, error.cause) == ("w", "killed by signal 9")
    assert error.log_tail == "Boom\nAborted"
    assert "3 workers that died, the last of them w: killed by signal 9" in str(error)
    assert str(error).endswith("Boom\nAborted")


def test_only_what_was_running_is_charged(core):
    """Wherever it stood among all that the worker had been given."""
    doubtful(core, "ended", "bad", "next", nthreads=2)
    report(core, ["bad"])
    assert deaths(core, "ended", "bad", "next") == [0, 1, 0]


def test_nothing_that_may_be_bad_is_placed_before_the_report(core):
    """A worker that has room must not die of it meanwhile; what it did not have, it gets."""
    client = doubtful(core, "good", "bad")
    other = core.worker("other", nthreads=2)
    core.submit(client, "fine")
    assert core.placed(other) == ["fine"]
    report(core, ["bad"])
    assert sorted(core.placed(other)) == ["bad", "good"]


def test_who_ran_beside_the_bad_one_twice_is_not_there_the_third_time(core):
    """They would run in step with it, and fail as well; each gets its own worker, or time."""
    client = doubtful(core, "a", "bad", "b", nthreads=3)
    report(core, ["a", "bad", "b"])
    second = core.worker("second", nthreads=3, agent=True)
    assert core.placed(second) == ["a", "bad", "b"]
    core.lose(second)
    report(core, ["a", "bad", "b"], name="second")
    third, fourth = core.worker("third", nthreads=3, agent=True), core.worker("fourth", nthreads=3)
    core.submit(client, "c", "d")
    assert sorted([core.placed(third)[0], core.placed(fourth)[0]]) == ["a", "bad"]
    at = core.task("bad").worker
    assert (core.state_of("b"), core.state_of("c"), core.state_of("d")) == (READY, *[ASSIGNED] * 2)
    core.done(core.task("a").worker, "a", b"1")
    assert core.task("b").worker not in (None, at)
    core.said(third), core.said(fourth), core.said(client)


def test_a_task_that_is_set_apart_keeps_its_other_demands(core):
    """And needs no worker that is empty, or idle."""
    client = core.client()
    core.submit(client, "a", resources={"GPU": 1}, workers=["node"], allow_other_workers=True)
    core.task("a").deaths = 1
    first = core.worker("w", agent=True, resources={"GPU": 1})
    assert core.placed(first) == ["a"]
    core.lose(first)
    report(core, ["a"])
    without = core.worker("without")
    core.submit(client, "b", "c")
    assert core.placed(without) == ["b", "c"]
    assert core.state_of("a") == READY
    assert core.placed(core.worker("x", host="node", resources={"GPU": 1})) == ["a"]


def test_if_nothing_was_running_nobody_is_charged(core):
    """Somebody has killed a worker while it waited, or a call that is no task has."""
    doubtful(core, "a")
    report(core, [])
    assert deaths(core, "a") == [0]


def test_without_a_report_nobody_is_charged(core):
    """The agent is gone as well: its node has failed, or its job was killed."""
    doubtful(core, "a", deaths=2)
    pass_time(core, REPORT_PATIENCE + 2)
    assert deaths(core, "a") == [2]
    assert core.placed(core.worker("other")) == ["a"]


@pytest.mark.parametrize("placed", [True, False])
def test_a_report_that_comes_late_counts(core, placed):
    """It takes a bad task away even from the next worker."""
    client = doubtful(core, "bad", deaths=2)
    pass_time(core, REPORT_PATIENCE + 2)
    if placed:
        other = core.worker("other")
        assert core.placed(other) == ["bad"]
    report(core, ["bad"])
    assert core.state_of("bad") == FAILED
    assert isinstance(core.failure(client), KilledWorker)
    if placed:
        assert core.said(other) == [(m.CANCEL, False, ["bad"])]


def test_a_report_that_comes_far_too_late_does_not(core):
    """Nobody remembers what it is about."""
    doubtful(core, "a")
    pass_time(core, REPORT_USE + 2)
    assert not core.state.losses._departures
    report(core, ["a"])
    assert deaths(core, "a") == [0]


def test_what_has_ended_elsewhere_by_then_is_not_charged(core):
    """A late report finds it done."""
    client = doubtful(core, "a", deaths=2)
    pass_time(core, REPORT_PATIENCE + 2)
    other = core.worker("other")
    core.placed(other)
    core.done(other, "a", b"1")
    report(core, ["a"])
    assert core.said(client) == [(m.FINISHED, [("a", b"1")])]


def test_an_agent_that_does_not_know_what_was_running(core):
    """Then it is guessed, as for workers without an agent: those that came first."""
    doubtful(core, "first", "second")
    report(core, None)
    assert deaths(core, "first", "second") == [1, 0]


def test_a_report_of_no_fault_charges_nobody(core):
    """Whom a node's failure hit may run again."""
    doubtful(core, "a", deaths=2)
    report(core, ["a"], cause="the node failed", blame=False)
    assert deaths(core, "a") == [2]
    assert core.placed(core.worker("other")) == ["a"]


def test_a_worker_without_an_agent_is_not_waited_for(core):
    """It is an object in a program that has died: its first tasks are charged at once."""
    client = core.client()
    core.submit(client, "bad", "next")
    for name in ("w1", "w2"):
        worker = core.worker(name)
        assert core.placed(worker) == ["bad", "next"]
        core.lose(worker)
    assert deaths(core, "bad", "next") == [2, 0]
    worker = core.worker("w3")
    core.placed(worker)
    core.lose(worker, cause="its connection ended")
    assert "the last of them w3: its connection ended" in str(core.failure(client))


def test_a_report_may_come_before_the_end_of_the_connection(core):
    """Then nothing is waited for."""
    client = core.client()
    core.submit(client, "good", "bad")
    for name in ("w1", "w2", "w3"):
        worker = core.worker(name, agent=True)
        core.placed(worker)
        report(core, ["bad"], name=name)
        core.lose(worker, cause="its connection ended")
    assert "killed by signal 9" in str(core.failure(client))
    assert deaths(core, "good") == [0]


def test_a_report_of_no_fault_before_the_end_charges_nobody(core):
    """Whatever the end of the connection looks like."""
    client, worker = core.client(), core.worker("w", agent=True)
    core.submit(client, "a")
    core.placed(worker)
    report(core, ["a"], blame=False)
    core.lose(worker, charge=True)
    assert deaths(core, "a") == [0]


def test_a_report_is_of_one_process(core):
    """The successor, which is there at once, has the same name, and nothing to do with it."""
    doubtful(core, "a", pid=1)
    second = core.worker("w", agent=True, pid=2)
    report(core, ["a"], pid=1)
    assert deaths(core, "a") == [1]
    assert core.placed(second) == ["a"]
    core.lose(second)
    report(core, ["a"], pid=1)
    assert deaths(core, "a") == [1]
    report(core, ["a"], pid=2)
    assert deaths(core, "a") == [2]


def test_a_report_that_belongs_to_nobody_is_forgotten(core):
    """It must not be taken for one of a worker that dies much later."""
    client, worker = core.client(), core.worker("w", agent=True)
    report(core, ["a"])
    pass_time(core, REPORT_PATIENCE + 2, worker)
    core.submit(client, "a")
    core.placed(worker)
    core.lose(worker)
    assert deaths(core, "a") == [0]
    assert core.state.losses.in_doubt


def test_a_key_that_is_other_work_by_now_is_not_charged(core):
    """The report is of the task that the worker had."""
    client = doubtful(core, "a")
    core.happens(core.state.wishes.release, client, ["a"])
    assert not core.state.tasks
    core.submit(client, "a", fid=b"g")
    report(core, ["a"])
    assert deaths(core, "a") == [0]


def test_a_task_that_has_left_its_thread_is_charged_too(core):
    """It was running, whatever threads there are."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "outer")
    core.happens(core.state.seceded, worker, "outer")
    core.submit(client, "inner", "next")
    core.placed(worker)
    core.lose(worker)
    assert [core.task(key).deaths for key in ("outer", "inner", "next")] == [1, 1, 0]


# -- silence ---------------------------------------------------------------------------------------


def test_a_silent_worker_gets_nothing_more(core):
    """After three heartbeats; what it has not begun goes elsewhere, what it runs stays."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "runs", "waits")
    assert core.placed(silent) == ["runs", "waits"]
    other = core.worker("other")
    pass_time(core, SUSPECT_AFTER, other)
    assert silent.silent is SUSPECT
    assert core.said(silent) == [(m.CANCEL, False, ["waits"])]
    assert core.placed(other) == ["waits"]
    core.submit(client, "later", "latest")
    assert core.placed(other) == ["later"]
    assert core.task("runs").worker is silent


def test_a_suspect_worker_that_speaks_is_as_good_as_any(core):
    """It goes on with what it runs, and gets new tasks."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    now = pass_time(core, SUSPECT_AFTER)
    core.submit(client, "b")
    assert core.placed(worker) == []
    core.happens(core.state.heard, worker, now)
    assert core.placed(worker) == ["b"]
    core.done(worker, "a", b"1")
    assert core.said(client) == [(m.FINISHED, [("a", b"1")])]


def set_aside(core, worker, *well):
    now = pass_time(core, WORKER_TTL + 1, *well)
    assert worker.silent is ASIDE
    return now


def test_a_worker_that_stays_silent_is_given_up_for_now(core):
    """Its tasks run elsewhere, uncharged; what only it held is computed again if needed."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "large")
    core.placed(silent)
    core.done(silent, "large")
    core.submit(client, "runs")
    core.placed(silent)
    other = core.worker("other", nthreads=2)
    set_aside(core, silent, other)
    assert sorted(core.placed(other)) == ["large", "runs"]
    assert core.task("runs").deaths == 0
    assert core.said(client) == [(m.FINISHED, [("large", None)]), (m.LOST, ["large"])]


def result_at_a_silent_worker(core, **options):
    """A client, a large result that only one worker has, and another worker without work."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "large", **options)
    core.placed(silent)
    core.done(silent, "large")
    core.said(client)
    return client, silent, core.worker("other")


def test_a_result_that_somebody_waits_for_is_computed_again_sooner(core):
    """By another worker, once the one that has it was silent for a minute; nobody is charged."""
    client, silent, other = result_at_a_silent_worker(core)
    core.happens(core.state.transfers.fetch, client, ["large"])
    core.said(silent)
    pass_time(core, NEEDED_AFTER - 1, other)
    assert silent.silent is SUSPECT
    pass_time(core, NEEDED_AFTER + 1, other)
    assert silent.silent is ASIDE
    assert core.placed(other) == ["large"]
    assert core.task("large").deaths == 0
    assert core.said(client) == [(m.LOST, ["large"])]


def test_an_input_that_others_wait_for_is_computed_again_sooner(core):
    """But not for the silent worker itself, which may be in a long call."""
    client, silent, other = result_at_a_silent_worker(core)
    core.submit(client, "own", inputs=["large"])
    assert core.placed(silent) == ["own"]
    now = pass_time(core, NEEDED_AFTER + 1, other)
    assert silent.silent is SUSPECT
    core.submit(client, "elsewhere", inputs=["large"])
    assert core.placed(other) == ["elsewhere"]
    pass_time(core, 1, other, start=now)
    assert silent.silent is ASIDE
    assert core.placed(other) == ["large"]
    assert {core.task(key).deaths for key in ("large", "own", "elsewhere")} == {0}
    core.said(client)


def test_a_silent_worker_whose_results_nobody_waits_for_has_its_time(core):
    """Nothing is done in vain."""
    _, silent, other = result_at_a_silent_worker(core)
    pass_time(core, NEEDED_AFTER + 1, other)
    assert silent.silent is SUSPECT


def test_what_cannot_be_made_again_waits_for_its_worker(core):
    """A scattered value would be lost, though another result there is waited for."""
    client, silent, other = result_at_a_silent_worker(core)
    core.happens(core.state.scatter, client, {"workers": ["silent"]}, [("data", b"x" * 5000)])
    core.happens(core.state.copied, silent, ["data"], [])
    core.happens(core.state.transfers.fetch, client, ["large"])
    pass_time(core, NEEDED_AFTER + 1, other)
    assert silent.silent is SUSPECT
    core.said(silent)
    core.said(client)


def test_nobody_is_left_who_could_make_it_again(core):
    """Then the only worker has its time to come back."""
    client, silent, other = result_at_a_silent_worker(core)
    core.lose(other)
    core.happens(core.state.transfers.fetch, client, ["large"])
    core.said(silent)
    pass_time(core, NEEDED_AFTER + 1)
    assert silent.silent is SUSPECT


def test_the_first_result_counts_and_the_other_run_is_withdrawn(core):
    """A task that held the interpreter's lock all the while does end, and for good."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "a")
    core.placed(silent)
    other = core.worker("other")
    now = set_aside(core, silent, other)
    assert core.placed(other) == ["a"]
    core.happens(core.state.heard, silent, now)
    core.done(silent, "a", b"1")
    assert core.said(client) == [(m.FINISHED, [("a", b"1")])]
    assert core.said(other) == [(m.CANCEL, False, ["a"])]
    core.done(other, "a", b"2")
    assert core.task("a").value == b"1"


def test_a_run_that_was_overtaken_is_withdrawn(core):
    """The silent worker hears of it as soon as it hears anything; a late result is freed."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "a")
    core.placed(silent)
    other = core.worker("other")
    now = set_aside(core, silent, other)
    core.placed(other)
    core.done(other, "a", b"1")
    assert core.said(silent) == [(m.CANCEL, False, ["a"])]
    core.happens(core.state.heard, silent, now)
    core.done(silent, "a")
    assert core.said(silent) == [(m.FREE, ["a"])]
    core.said(client)


def test_a_worker_that_comes_back_goes_on_with_what_nobody_else_has_begun(core):
    """It need not begin anew: with one worker alone a long task would never end otherwise."""
    client, alone = core.client(), core.worker("alone")
    core.submit(client, "long")
    core.placed(alone)
    now = set_aside(core, alone)
    assert core.state_of("long") == READY
    core.happens(core.state.heard, alone, now)
    assert core.state_of("long") == ASSIGNED
    assert core.said(alone) == [], "it has it already"
    core.done(alone, "long", b"1")
    assert core.said(client) == [(m.FINISHED, [("long", b"1")])]


def test_a_worker_that_comes_back_brings_its_results(core):
    """Those that are still needed, also if they are being computed again; others are freed."""
    client, silent = core.client(), core.worker("silent", nthreads=3)
    core.submit(client, "again", "gone", "twice")
    core.placed(silent)
    for key in ("again", "gone", "twice"):
        core.done(silent, key)
    other = core.worker("other")
    core.happens(core.state.copied, other, ["twice"], [])
    now = set_aside(core, silent, other)
    core.happens(core.state.wishes.release, client, ["gone"])
    assert core.state_of("again") == ASSIGNED
    core.said(client), core.said(other)
    core.happens(core.state.heard, silent, now)
    assert core.state_of("again") == MEMORY
    assert core.task("twice").holders == {silent, other}
    assert core.said(client) == [(m.FINISHED, [("again", None)])]
    assert core.said(silent) == [(m.FREE, ["gone"])]
    assert core.said(other) == [(m.CANCEL, False, ["again"])]


def test_a_worker_that_was_set_aside_may_die_as_well(core):
    """Nobody is charged for it, and nothing is left of it."""
    client, silent = core.client(), core.worker("silent")
    core.submit(client, "a")
    core.placed(silent)
    set_aside(core, silent)
    core.lose(silent)
    assert core.task("a").deaths == 0
    assert not core.state.losses.strays
    assert core.placed(core.worker("other")) == ["a"]


def test_the_schedulers_own_absence_is_no_silence_of_others(core):
    """A program that was stopped, or held the interpreter's lock, has not read what came."""
    worker = core.worker()
    core.happens(core.state.losses.look, 1.0)
    core.happens(core.state.losses.look, 10 * WORKER_TTL)
    assert worker.silent is None


def test_a_key_that_runs_again_at_the_same_worker_keeps_the_right_result(core):
    """What the worker says before it has heard of the cancellation is of the earlier run."""
    client, worker = core.client(), core.worker()
    core.submit(client, "k")
    core.placed(worker)
    core.happens(core.state.wishes.release, client, ["k"])
    assert core.said(worker) == [(m.CANCEL, False, ["k"])]
    core.submit(client, "k", fid=b"g")
    said = core.said(worker)
    assert [operation for operation, *_ in said] == [m.FREE, m.RECALL, m.FUNCTIONS, m.RUN]
    core.done(worker, "k", b"old")
    core.happens(core.state.failed, worker, [("k", FAILURE, 0.1)])
    assert core.state_of("k") == ASSIGNED
    core.happens(core.state.returned, worker, [])
    core.done(worker, "k", b"new")
    assert core.said(client) == [(m.FINISHED, [("k", b"new")])]


def test_a_worker_need_not_be_asked_for_each_task_that_is_cancelled(core):
    """Only when so many are noted that it is time to forget them."""
    client, worker = core.client(), core.worker()
    for number in range(3000):
        core.state.submit(client, b"f", None, [(f"t{number}", b"", None)])
        core.state.settle()
        core.state.wishes.release(client, [f"t{number}"])
        for operation, *_ in core.said(worker):
            if operation == m.RECALL:
                core.state.returned(worker, [])
    assert len(worker.withdrawn) < 1100


# -- what no task can make again -------------------------------------------------------------------


def test_a_lost_value_can_be_scattered_again(core):
    """All who hold futures of it have it again."""
    client, other = core.client("one"), core.client("other")
    worker = core.worker()
    core.happens(core.state.scatter, client, None, [("data", b"x" * 5000)])
    core.happens(core.state.copied, worker, ["data"], [])
    core.happens(core.state.wishes.want, other, ["data"])
    core.said(client), core.said(other), core.said(worker)
    core.lose(worker)
    for each in (client, other):
        ((operation, ((key, _),)),) = core.said(each)
        assert (operation, key) == (m.GONE, "data")
    core.happens(core.state.scatter, client, None, [("data", b"x" * 5000)])
    for each in (client, other):
        assert core.said(each) == [(m.FINISHED, [("data", None)])]


def actor(core, client, worker):
    core.submit(client, "actor", actor=True)
    core.placed(worker)
    core.done(worker, "actor")
    core.said(client)


def test_an_actor_goes_with_its_worker(core):
    """It is not made again, for its state would be another; copies of its handle are freed."""
    client, home = core.client(), core.worker("home")
    actor(core, client, home)
    assert core.state.results.actors == {core.task("actor"): home}
    other = core.worker("other")
    core.happens(core.state.copied, other, ["actor"], [])
    core.submit(client, "uses", inputs=["actor"])
    core.said(home), core.said(other)
    core.lose(home)
    said = core.said(client)
    assert (m.GONE, "actor") in [(operation, items[0][0]) for operation, items in said]
    failure = core.task("actor").failure
    assert isinstance(failure.to_exception(), DataLost)
    assert "actor 'actor'" in failure.summary
    assert (m.FREE, ["actor"]) in core.said(other)


def test_a_worker_that_retires_does_not_wait_for_its_actor(core):
    """It cannot move; the worker ends."""
    client, home = core.client(), core.worker("home")
    actor(core, client, home)
    core.worker("other")
    core.retire(home)
    assert core.said(home) == [(m.END, "retired")]


def test_an_actor_stays_while_anything_needs_it(core):
    """And is freed with the last future of it."""
    client, home = core.client(), core.worker("home")
    actor(core, client, home)
    core.submit(client, "uses", inputs=["actor"])
    core.placed(home)
    core.happens(core.state.wishes.release, client, ["actor"])
    assert core.state_of("actor") == MEMORY
    core.done(home, "uses", b"1")
    assert core.said(home) == [(m.FREE, ["actor"])]
    assert not core.state.results.actors
    core.said(client)


# -- pausing and seceding --------------------------------------------------------------------------


def test_a_paused_worker_gets_nothing_more(core):
    """What it has not begun is taken back, until it has memory again."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a", "b")
    core.placed(worker)
    core.happens(core.state.paused, worker, "86 % of its memory is used")
    assert core.said(worker) == [(m.RECALL, ["a", "b"])]
    core.happens(core.state.returned, worker, ["b"])
    assert core.state_of("b") == READY
    core.done(worker, "a", b"1")
    assert core.said(worker) == []
    core.happens(core.state.paused, worker, None)
    assert core.placed(worker) == ["b"]
    core.said(client)


@pytest.mark.parametrize("depth", [2, 50])
def test_tasks_that_wait_for_tasks_do_not_fill_a_worker(core, depth):
    """Each leaves its thread while it waits, so the last one can run."""
    client, worker = core.client(), core.worker(nthreads=1)
    for level in range(depth):
        core.submit(client, f"t{level}")
        assert core.placed(worker) == [f"t{level}"]
        core.happens(core.state.seceded, worker, f"t{level}")
    assert len(worker.seceded) == depth
    for level in reversed(range(depth)):
        core.happens(core.state.rejoined, worker, f"t{level}")
        core.done(worker, f"t{level}", b"1")
    assert not worker.busy
    core.said(client)


def test_a_task_may_end_without_having_rejoined(core):
    """Well or not; the worker has nothing of it any more."""
    client, worker = core.client(), core.worker()
    core.submit(client, "good", "bad")
    core.placed(worker)
    for key in ("good", "bad"):
        core.happens(core.state.seceded, worker, key)
    core.done(worker, "good", b"1")
    core.happens(core.state.failed, worker, [("bad", FAILURE, 0.1)])
    assert not worker.busy
    assert core.said(client) == [(m.FINISHED, [("good", b"1")]), (m.FAILED, [("bad", FAILURE)])]


def test_a_worker_retires_after_the_tasks_that_have_left_their_threads(core):
    """They are its tasks still."""
    client, worker = core.client(), core.worker()
    core.submit(client, "a")
    core.placed(worker)
    core.happens(core.state.seceded, worker, "a")
    core.retire(worker)
    assert core.said(worker) == []
    core.done(worker, "a", b"1")
    assert core.said(worker) == [(m.END, "retired")]
    core.said(client)
