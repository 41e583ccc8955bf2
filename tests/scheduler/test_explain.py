"""Why a task is not done, in words."""

from __future__ import annotations

import pytest

from jobqueue.protocol.hello import WorkerFacts
from jobqueue.scheduler.explain import explain
from jobqueue.scheduler.worker_record import WorkerRecord

FAILURE = (b"", "ZeroDivisionError: division by zero", "Traceback ...")
SUPPLY = "1 job pending: slurm 12345 PENDING (Resources), estimated start 14:05"


@pytest.fixture
def core(make_core):
    """A core of which only the words are looked at."""
    core = make_core()
    yield core
    for peer in core.peers:
        peer.take_messages()


def why(core, key: str, supply: str = "", now: float = 0.0) -> str:
    return explain(core.state, key, supply, now)


def worker_with(core, name: str = "w", nthreads: int = 1, **facts) -> WorkerRecord:
    """A worker that said more of itself."""
    known = WorkerFacts(name, nthreads)._replace(**facts)
    worker = WorkerRecord(name, nthreads, job_id=known.job_id, facts=known)
    core.state.add_worker(worker, 0.0)
    core.end_turn()
    core.peers.append(worker)
    return worker


def test_what_is_unknown_or_over_is_said(core):
    """Released, done, failed and cancelled tasks wait for nothing."""
    assert why(core, "x") == (
        "x is not known to this scheduler: it was released, or never submitted here."
    )
    client, worker = core.client(), core.worker()
    core.submit(client, "done", "failed", "gone")
    core.done(worker, "done", nbytes=123)
    assert why(core, "done") == "done is done; its result has 123 bytes."
    core.happens(core.state.failed, worker, [("failed", FAILURE, 1.0)])
    assert why(core, "failed") == "failed has failed: ZeroDivisionError: division by zero."
    core.happens(core.state.wishes.cancel, client, False, ["gone"])
    assert why(core, "gone") == "gone was cancelled."


def test_without_workers_the_supply_says_when_some_will_come(core):
    """The pending job, its reason, and when the batch system expects to start it."""
    core.submit(core.client(), "a")
    assert why(core, "a") == "a is ready to run, but no worker is connected."
    assert why(core, "a", SUPPLY) == (
        "a is ready to run, but no worker is connected; 1 job pending: slurm 12345 PENDING "
        "(Resources), estimated start 14:05."
    )


def test_what_a_worker_has_is_running_or_waits_there(core):
    """Behind those that it was given before."""
    client = core.client()
    worker_with(core, "w", host="node1")
    core.submit(client, "a", "b", "c")
    assert why(core, "a") == "a is running on worker w on node1, or about to."
    assert why(core, "b") == "b waits at worker w on node1, where 1 task came before it."


def test_how_long_it_will_run_is_told_if_that_is_known(core):
    """From the calls of the same function that have ended."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a", "b")
    core.done(worker, "a", b"1", seconds=12.0)
    assert why(core, "b") == (
        "b is running on worker w, or about to; calls of f have taken about 12 s."
    )


def test_what_stands_in_line_knows_what_is_before_it(core):
    """When all workers have as much as they can take."""
    client = core.client()
    core.worker("w1")
    core.worker("w2")
    core.submit(client, *"abcdefg")
    assert why(core, "g", SUPPLY) == (
        "g is ready to run, but all 2 workers are busy with 4 tasks, and 2 tasks stand before it "
        "in line; " + SUPPLY + "."
    )


def test_inputs_are_named_and_followed_to_their_beginning(core):
    """The first few with their states, and what the first of them waits for in the end."""
    client = core.client()
    inputs = [f"i{number}" for number in range(7)]
    core.submit(client, "root")
    core.submit(client, "middle", inputs=["root"])
    core.submit(client, *inputs, inputs=["middle"])
    core.submit(client, "sum", inputs=inputs)
    assert why(core, "middle") == (
        "middle waits for an input: root (ready). root is ready to run, but no worker is connected."
    )
    assert why(core, "sum") == (
        "sum waits for 7 inputs: i0 (waits for its inputs), i1 (waits for its inputs), "
        "i2 (waits for its inputs), i3 (waits for its inputs), i4 (waits for its inputs) "
        "and 2 more. root is ready to run, but no worker is connected."
    )
    core.worker("w")
    assert why(core, "middle") == (
        "middle waits for an input: root (at worker w). root is running on worker w, or about to."
    )


def test_a_long_chain_has_an_end(core):
    """However long it is: the first thousand are looked through."""
    client = core.client()
    core.submit(client, "0")
    for number in range(1, 2000):
        core.state.submit(client, b"f", None, [(f"{number}", b"", [f"{number - 1}"])])
    assert "0 is ready to run" in why(core, "999")
    assert why(core, "1999").startswith("1999 waits for an input: 1998 (waits for its inputs).")


def test_resources_that_nobody_has_are_compared_with_what_there_is(core):
    """The user sees what the job script should have asked for."""
    client = core.client()
    core.submit(client, "a", resources={"GPU": 1, "memory": 2e9})
    worker_with(core, "w1", resources={"GPU": 0.5})
    worker_with(core, "w2")
    worker_with(core, "w3")
    assert why(core, "a", SUPPLY) == (
        "a is ready to run, but no worker satisfies resources GPU=1; connected: 1 worker with "
        "GPU=0.5, 2 workers with none; " + SUPPLY + "."
    )


def test_workers_that_are_not_there_are_compared_with_those_that_are(core):
    """A name, a host or a job."""
    client = core.client()
    core.submit(client, "a", workers=["node7", "w9"])
    for number in range(7):
        worker_with(core, f"w{number}", host=f"node{number % 2}")
    assert why(core, "a") == (
        "a is ready to run, but no worker is known as 'node7' or 'w9'; connected: w0, w1, w2, w3, "
        "w4 and 2 more."
    )


def test_resources_that_others_use_are_told_of(core):
    """The worker is the right one, and has threads to spare."""
    client = core.client()
    worker_with(core, "gpu", nthreads=4, resources={"GPU": 1})
    core.worker("other")
    core.submit(client, "a", "b", resources={"GPU": 1})
    assert why(core, "b") == (
        "b is ready to run, but the only worker that may run it is using GPU=1 for other tasks."
    )


def test_other_workers_will_do_if_the_user_says_so(core):
    """Then it waits for any of them."""
    client = core.client()
    core.worker("w")
    core.submit(client, "a", "b")
    core.submit(client, "c", workers=["nobody"], allow_other_workers=True)
    assert why(core, "c").startswith("c is ready to run, but the only worker is busy with 2 tasks")


def test_what_was_withdrawn_and_runs_on_is_named(core):
    """Nobody sees these tasks elsewhere, and they may take long."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a", "b")
    core.happens(core.state.wishes.release, client, ["a"])
    core.happens(core.state.lingering.told, worker, ["a"])
    core.submit(client, "c")
    core.said(worker)
    before = "(1 of them withdrawn, but not ended)"
    assert why(core, "b") == f"b waits at worker w, where 1 task came before it {before}."
    assert f"is busy with 2 tasks {before}, and 0 tasks" in why(core, "c")


def test_a_paused_or_silent_worker_is_the_reason(core):
    """What it has may take long, and nothing new begins there."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "a")
    core.happens(core.state.paused, worker, "short of memory")
    core.submit(client, "b")
    assert why(core, "a") == (
        "a is running on worker w, or about to; the worker is paused: short of memory."
    )
    assert why(core, "b") == (
        "b is ready to run, but the only worker is paused, so that nothing new begins there; "
        "worker w: short of memory."
    )
    core.happens(core.state.paused, worker, None)
    core.happens(core.state.losses.look, 1.0)
    for now in range(2, 40):
        core.state.losses.look(now)
    core.end_turn()
    assert why(core, "a", now=40.0) == (
        "a is running on worker w, or about to; nothing was heard of the worker for 40 s."
    )


def test_silence_is_told_before_it_has_consequences(core):
    """Of the worker that runs a task, and of the only one that has a result or an input."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "input", "runs")
    core.placed(worker)
    core.done(worker, "input")
    assert "nothing was heard" not in why(core, "runs", now=10.0)
    assert why(core, "runs", now=12.5) == (
        "runs is running on worker w, or about to; calls of f have taken about 1 s; "
        "nothing was heard of the worker for 12 s."
    )
    away = "only at worker w, of which nothing was heard for 13 s, and it is computed again if"
    assert why(core, "input", now=13.0) == (
        f"input is done; its result has 10000 bytes, and is {away} that lasts."
    )
    core.happens(core.state.heard, worker, 50.0)
    other = core.worker("other")
    core.happens(core.state.heard, other, 60.0)
    core.submit(client, "uses", inputs=["input"], workers=["other"])
    assert core.placed(other) == ["uses"]
    assert f"its input input is {away}" in why(core, "uses", now=63.0)


def test_a_task_that_may_have_killed_its_worker_waits_for_the_report(core):
    """The job agent's report decides; the user reads what is being waited for."""
    client = core.client()
    core.submit(client, "a")
    core.lose(core.worker("w1", agent=True))
    text = why(core, "a")
    assert "a was at worker w1 when that died, and waits for its job agent's report" in text
    core.said(client)


def test_workers_that_take_nothing_are_told_of(core):
    """The reason is theirs, not the task's."""
    client, worker = core.client(), core.worker("w")
    worker.retiring = True
    core.state.open_workers.remove(worker)
    core.submit(client, "a")
    assert why(core, "a") == "a is ready to run, but the only worker is about to end."


def test_a_pool_that_has_no_worker_is_named(core):
    """And the pools that have some."""
    core.worker("w1", pool="cpu"), core.worker("w2", pool="cpu"), core.worker("w3")
    core.submit(core.client(), "a", workers=["pool:gpu"])
    assert explain(core.state, "a", "", 0.0) == (
        "a is ready to run, but no worker of pool 'gpu' is connected; connected: 2 workers of pool "
        "'cpu', 1 worker of no pool."
    )


def test_where_all_jobs_end_too_soon_the_numbers_are_told(core):
    """How long it takes, and how much time there is."""
    client = core.client()
    core.state.functions[b"f"].took(3000.0)
    core.worker("w1", time_left=600.0), core.worker("w2", time_left=1805.0)
    core.submit(client, "a")
    assert explain(core.state, "a", "1 job pending", 0.0) == (
        "a is ready to run, but all 2 workers have at most 1800 s left for tasks before their jobs "
        "end, and calls of f take about 3000 s; 1 job pending."
    )
