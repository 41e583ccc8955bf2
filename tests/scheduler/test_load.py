"""What is read off the core to scale a cluster by."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.scheduler.load import Backlog, Load, load_of
from jobqueue.scheduler.records import ClientRecord


def backlog(core: Any) -> dict[bytes, int]:
    """How many calls of each function wait for a worker."""
    counts: dict[bytes, int] = {}
    for entry in load_of(core.state).backlog:
        counts[entry.function] = counts.get(entry.function, 0) + entry.tasks
    return counts


def test_what_waits_is_counted_by_function(core):
    """With what one of its calls takes: a guess until one was seen to end."""
    client = core.client()
    core.submit(client, "a", "b", "c")
    core.submit(client, "d", fid=b"g")
    f, g = load_of(core.state).backlog
    assert f == Backlog(b"f", 3, 0.5)
    assert (g.function, g.tasks) == (b"g", 1)


def test_what_has_a_worker_is_in_its_job(core):
    """Tasks, the seconds they take, results, of all workers of a job together."""
    client = core.client()
    workers = [core.worker(name, job_id="7") for name in ("w1", "w2")]
    other = core.worker("other", job_id="8")
    core.submit(client, *"abcdefgh")
    load = load_of(core.state)
    assert load.backlog == [Backlog(b"f", 5, 0.5, begun=True)], (
        "two ready, three in line at workers"
    )
    job = load.jobs["", "7"]
    assert (job.threads, job.tasks, job.seconds, job.busy) == (2, 2, 1.0, True)
    assert load.jobs["", "8"].tasks == 1
    core.done(other, next(iter(other.assigned)).key, nbytes=500)
    assert load_of(core.state).jobs["", "8"].stored_bytes == 500
    for peer in (client, other, *workers):
        core.said(peer)


def test_tasks_that_cannot_begin_are_not_counted(core):
    """Those whose inputs are missing, and those that were cancelled or released."""
    client = core.client()
    core.submit(client, "a", "b", "c")
    core.submit(client, "after", inputs=["a"])
    assert backlog(core) == {b"f": 3}
    core.happens(core.state.wishes.cancel, client, False, ["a"])
    assert backlog(core) == {b"f": 2}
    core.happens(core.state.wishes.release, client, ["b"])
    assert backlog(core) == {b"f": 1}
    core.said(client)


def test_a_task_whose_input_is_lost_does_not_wait_for_a_worker(core):
    """It waits for the input, which is to be computed again and counts in its place."""
    client, worker = core.client(), core.worker("w")
    core.submit(client, "source", fid=b"g")
    core.done(worker, "source")
    core.submit(client, "blocker", "another", fid=b"g")
    core.submit(client, "a", inputs=["source"])
    assert backlog(core) == {b"g": 1, b"f": 1}
    core.lose(worker, charge=False)
    assert backlog(core) == {b"g": 3}
    core.said(client)


def test_demands_are_told(core):
    """What certain workers alone may run, and what needs resources; kept apart."""
    client = core.client()
    core.submit(client, "a", workers=["there"])
    core.submit(client, "b", workers=["there"], allow_other_workers=True)
    core.submit(client, "c", "d", resources={"GPU": 2})
    found = {(e.bound, tuple(e.resources.items())): e.tasks for e in load_of(core.state).backlog}
    assert found == {(True, ()): 1, (False, ()): 1, (False, (("GPU", 2.0),)): 2}
    worker = core.worker("w", nthreads=2, resources={"GPU": 4})
    load = load_of(core.state)
    assert [entry.bound for entry in load.backlog] == [True]
    assert load.jobs["", None].taken == {"GPU": 4.0}
    core.said(worker)


@pytest.mark.parametrize("trouble", ["retiring", "paused", "silent"])
def test_workers_that_get_no_tasks_bring_no_threads(core, trouble):
    """What they hold, and have to do, is theirs all the same."""
    worker = core.worker("w", nthreads=4, job_id="7")
    if trouble == "retiring":
        core.retire(worker)
    elif trouble == "paused":
        core.happens(core.state.paused, worker, "short of memory")
    else:
        core.happens(core.state.losses.look, 100.0)
    assert load_of(core.state).jobs["", "7"].threads == 0
    core.said(worker)


def test_a_job_with_an_actor_is_busy(core):
    """It would be lost with its worker."""
    client, worker = core.client(), core.worker("w", job_id="7")
    core.submit(client, "actor", actor=True)
    core.done(worker, "actor")
    job = load_of(core.state).jobs["", "7"]
    assert (job.tasks, job.busy) == (0, True)
    core.said(worker)
    core.said(client)


def test_work_between_two_looks_is_noticed(core):
    """Short tasks that come and end between them show in the turns."""
    client, worker = core.client(), core.worker("w", job_id="7")
    before = load_of(core.state).jobs["", "7"]
    core.submit(client, "a")
    core.done(worker, "a", b"1")
    after = load_of(core.state).jobs["", "7"]
    assert (before.busy, after.busy) == (False, False)
    assert after.turns > before.turns
    assert load_of(core.state).jobs["", "7"].turns == after.turns
    core.said(worker)
    core.said(client)


def test_nobody_and_nothing() -> None:
    """An empty scheduler has neither work nor workers."""
    from jobqueue.scheduler.state import SchedulerState

    state = SchedulerState()
    state.add_client(ClientRecord("c", 0))
    assert load_of(state) == Load([], {})


def test_what_waits_at_a_worker_for_resources_stays_there(core):
    """It has taken them already."""
    client, worker = core.client(), core.worker("w", job_id="7", resources={"GPU": 4})
    core.submit(client, "a", "b", resources={"GPU": 1})
    load = load_of(core.state)
    assert load.backlog == []
    assert (load.jobs["", "7"].tasks, load.jobs["", "7"].taken) == (2, {"GPU": 2.0})
    core.said(worker)


def test_what_only_some_pools_may_run_says_which(core):
    """New workers of these pools would help; for workers that are meant by name, none would."""
    client = core.client()
    core.submit(client, "pools", workers=["pool:gpu", "pool:large", "node7"])
    core.submit(client, "named", workers=["node7"])
    core.submit(client, "prefers", workers=["pool:gpu"], allow_other_workers=True)
    told = [(entry.pools, entry.bound) for entry in load_of(core.state).backlog]
    assert told == [({"gpu", "large"}, False), (None, True), (None, False)]


def test_a_job_belongs_to_a_pool(core):
    """So that each pool counts its own."""
    core.worker("w1", job_id="7", pool="gpu")
    core.worker("w2", job_id="8")
    core.worker("w3", job_id="7", pool="far")  # in another batch system
    core.submit(core.client(), "busy", workers=["w3"])
    assert core.placed(core.state.workers["w3"]) == ["busy"]
    told = {job: load.tasks for job, load in load_of(core.state).jobs.items()}
    assert told == {("gpu", "7"): 0, ("", "8"): 0, ("far", "7"): 1}
