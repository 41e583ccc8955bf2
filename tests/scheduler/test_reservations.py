"""Tasks that take a job with several nodes as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.protocol import messages as m
from jobqueue.scheduler.explain import explain
from jobqueue.scheduler.reservations import job_of
from jobqueue.scheduler.states import ASSIGNED, READY

WHOLE = {"nodes": 2}


def job(core: Any, number: str, nodes: int = 2, **facts: Any) -> list[Any]:
    """The workers of a job; the first is its lead."""
    return [
        core.worker(
            f"{number}-{rank}",
            job_id=number,
            resources={"nodes": nodes} if rank == 0 else {},
            **facts,
        )
        for rank in range(nodes)
    ]


def test_it_runs_alone_on_the_lead_of_an_idle_job(core):
    """While it does, none of the job's workers is given anything; then they are again."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, "whole", resources=WHOLE)
    core.submit(client, "a", "b")
    assert (core.placed(lead), core.placed(mate)) == (["whole"], [])
    core.done(lead, "whole", b"1")
    assert sorted(core.placed(lead) + core.placed(mate)) == ["a", "b"]
    core.said(client)


def test_it_waits_for_what_runs_and_takes_back_what_has_not_begun(core):
    """However much else there is to do: it is not kept waiting forever."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, *"abcd")
    first, second = core.placed(lead), core.placed(mate)
    core.submit(client, "whole", resources=WHOLE)
    core.submit(client, *"efgh")
    assert core.said(lead) == [(m.RECALL, first[1:])]
    assert core.said(mate) == [(m.RECALL, second[1:])]
    core.happens(core.state.returned, lead, first[1:])
    core.happens(core.state.returned, mate, second[1:])
    core.done(lead, first[0], b"1")
    assert (core.said(lead), core.said(mate)) == ([], [])
    core.done(mate, second[0], b"1")
    assert (core.placed(lead), core.placed(mate)) == (["whole"], [])
    core.said(client)


def test_it_has_its_place_in_line(core):
    """What was submitted before it, and any worker may run, goes first."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, *"abcdef")
    core.submit(client, "whole", resources=WHOLE)
    assert core.state_of("whole") == READY
    assert not core.state.reservations.by_job
    core.submit(client, "urgent", resources=WHOLE, priority=1)
    assert list(core.state.reservations.by_task) == [core.task("urgent")]
    core.said(lead), core.said(mate)


def test_the_least_loaded_job_that_is_large_enough_is_taken(core):
    """And of a small one nothing is asked."""
    client = core.client()
    small, busy, idle = job(core, "1"), job(core, "2", 4), job(core, "3", 4)
    core.submit(client, "a", workers=["2-1"])
    core.submit(client, "whole", resources={"nodes": 3})
    assert core.placed(idle[0]) == ["whole"]
    for worker in (*small, *busy):
        assert not worker.reserved
        core.said(worker)


def test_two_of_them_have_a_job_each_and_a_third_waits(core):
    """They never wait for each other."""
    client = core.client()
    jobs = [job(core, "1"), job(core, "2")]
    core.submit(client, "a", "b", "c", resources=WHOLE)
    placed = [core.placed(workers[0]) for workers in jobs]
    assert sorted(placed) == [["a"], ["b"]]
    lead = core.task("a").worker
    core.done(lead, "a", b"1")
    assert core.placed(lead) == ["c"]
    core.said(client)


def test_if_the_job_goes_another_one_is_reserved(core):
    """Its workers die, or it retires, before the task has begun."""
    client = core.client()
    first = job(core, "1")
    core.submit(client, "a", workers=["1-1"])
    core.submit(client, "whole", resources=WHOLE)
    assert first[1].reserved
    second = job(core, "2")
    assert core.state_of("whole") == READY, "it keeps to the one that it has"
    core.retire(first[0])
    assert core.placed(second[0]) == ["whole"]
    assert not first[1].reserved
    for worker in first:
        core.said(worker)


def test_a_task_lost_with_its_job_has_another_one(core):
    """As any other task."""
    client = core.client()
    (lead, mate), (other, *_) = job(core, "1"), job(core, "2")
    core.submit(client, "whole", workers=["1"], allow_other_workers=True, resources=WHOLE)
    assert core.placed(lead) == ["whole"]
    core.lose(lead, charge=False)
    core.lose(mate, charge=False)
    assert core.placed(other) == ["whole"]


def test_a_task_whose_lead_falls_silent_has_another_job(make_core):
    """The silent one's is not touched: the program may still run there."""
    core = make_core(worker_ttl=8)
    client = core.client()
    (lead, mate), (other, last) = job(core, "1"), job(core, "2")
    core.submit(client, "a", workers=["2-1"])
    core.submit(client, "whole", resources=WHOLE)
    assert core.placed(lead) == ["whole"]
    core.done(last, "a", b"1")
    for now in (4.0, 8.0, 12.0):
        for worker in (mate, other, last):
            core.state.heard(worker, now)
        core.happens(core.state.losses.look, now)
    assert core.placed(other) == ["whole"]
    assert mate.reserved
    core.happens(core.state.heard, lead, 13.0)
    core.done(lead, "whole", b"1")
    assert not mate.reserved
    for peer in (client, lead, other, last):
        core.said(peer)


def test_what_is_cancelled_keeps_its_job_until_the_program_has_ended(core):
    """A thread cannot be made to stop, and so it may go on to use all nodes."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, "whole", resources=WHOLE)
    core.placed(lead)
    core.happens(core.state.lingering.told, lead, ["whole"])
    core.happens(core.state.wishes.cancel, client, False, ["whole"])
    core.submit(client, "a")
    core.happens(core.state.returned, lead, [])
    assert core.state_of("a") == READY
    core.happens(core.state.lingering.told, lead, [])
    assert core.state_of("a") == ASSIGNED
    core.said(lead), core.said(mate), core.said(client)


def test_what_is_cancelled_before_it_began_lets_its_job_go(core):
    """At once."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, "a")
    core.submit(client, "whole", resources=WHOLE)
    core.happens(core.state.wishes.cancel, client, False, ["whole"])
    assert not any(worker.reserved for worker in (lead, mate))
    core.said(lead), core.said(mate), core.said(client)


def test_a_task_that_waits_for_it_does_not_keep_it_from_running(core):
    """One that has left its thread to others counts as if it were not there."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, "outer", workers=["17-0"])
    assert core.placed(lead) == ["outer"]
    core.submit(client, "whole", resources=WHOLE)
    assert core.placed(lead) == []
    core.happens(core.state.seceded, lead, "outer")
    assert core.placed(lead) == ["whole"]
    assert mate.reserved


def test_workers_that_come_late_to_their_job_wait_too(core):
    """A node's agent may start after the task has."""
    client = core.client()
    (lead,) = job(core, "17", 1)
    core.submit(client, "whole", resources={"nodes": 1})
    core.submit(client, "a")
    assert core.placed(lead) == ["whole"]
    late = core.worker("17-1", job_id="17")
    assert core.placed(late) == []
    core.done(lead, "whole", b"1")
    assert core.state_of("a") == ASSIGNED
    core.said(late), core.said(lead), core.said(client)


def test_it_keeps_off_jobs_that_end_too_soon(core):
    """Its calls take longer than the job will last."""
    client = core.client()
    core.state.functions[b"f"].took(100.0)
    short = job(core, "1", time_left=50.0)
    core.submit(client, "whole", resources=WHOLE)
    assert core.state_of("whole") == READY
    assert not any(worker.reserved for worker in short)
    long = job(core, "2", time_left=500.0)
    assert core.placed(long[0]) == ["whole"]


def test_who_waits_for_a_job_is_told_which(core):
    """And how much there is to end before."""
    client, (lead, mate) = core.client(), job(core, "17")
    core.submit(client, "a", workers=["17-0"])
    core.submit(client, "b", workers=["17-1"])
    core.submit(client, "whole", "next", resources=WHOLE)
    core.submit(client, "plain")
    state = core.state
    assert explain(state, "whole", "", 0.0) == (
        "whole is ready to run: job 17 is reserved for it, which waits for 2 tasks there to end."
    )
    assert explain(state, "next", "", 0.0) == (
        "next is ready to run, but the only worker that may run it is reserved for whole, which "
        "takes its job as a whole."
    )
    assert explain(state, "plain", "", 0.0) == (
        "plain is ready to run, but all 2 workers are reserved for whole, which takes its job as a "
        "whole."
    )
    core.said(lead), core.said(mate)


@pytest.mark.parametrize(("job_id", "known"), [("17", "17"), (None, "w")])
def test_a_worker_without_a_job_is_by_itself(core, job_id, known):
    """Two such workers are not of the same job."""
    assert job_of(core.worker("w", job_id=job_id)) == ("", known)


def test_jobs_of_two_batch_systems_may_have_the_same_id(core):
    """One is kept for a task, and the other goes on with what there is."""
    lead = core.worker("near", resources={"nodes": 2}, job_id="7", pool="near")
    far = core.worker("far", job_id="7", pool="far")
    client = core.client()
    core.submit(client, "long", workers=["far"])
    core.submit(client, "whole", resources=WHOLE)
    assert (core.placed(lead), core.placed(far)) == (["whole"], ["long"])
    assert not far.reserved
