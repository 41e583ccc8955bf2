"""What one task demands of its worker, and when a worker meets that."""

from __future__ import annotations

import pytest

from jobqueue.protocol import messages as m
from jobqueue.scheduler.demand import ANY, Kind, kind_of
from jobqueue.scheduler.worker_record import WorkerRecord

# -- what is demanded ------------------------------------------------------------------------------


def test_what_any_worker_may_run_demands_nothing():
    """Whichever way that is said: such tasks go the short way."""
    assert kind_of(None) == ANY
    assert kind_of({"retries": 1}) == ANY
    assert kind_of({"workers": [], "resources": {}}) == ANY
    assert kind_of({"resources": {"GPU": 0}}) == ANY
    assert kind_of({"workers": "w"}) == Kind(names=frozenset({"w"}))


def test_options_that_cannot_be_understood_change_nothing(core):
    """Their client loses its connection; the core is as it was."""
    client = core.client()
    with pytest.raises((TypeError, ValueError)):
        core.submit(client, "a", resources={"GPU": "many"})
    assert not core.state.tasks
    core.end_turn()


def test_a_demand_says_what_is_missing(core):
    """For whoever asks why a task does not run."""
    client, worker = core.client(), core.worker("w", resources={"GPU": 1})
    core.submit(client, "a", workers=["absent", "gone"])
    core.submit(client, "b", resources={"GPU": 2})
    core.submit(client, "c", resources={"GPU": 1})
    core.submit(client, "d", workers=["w"], resources={"disk": 1})
    core.submit(client, "e", workers=["pool:gpu"])
    core.placed(worker)
    lacks = {key: core.task(key).demand.lacks(core.state.workers.values()) for key in "abcde"}
    assert lacks == {
        "a": "no worker is known as 'absent' or 'gone'",
        "b": "no worker satisfies resources GPU=2",
        "c": "",
        "d": "no worker satisfies resources disk=1",
        "e": "no worker of pool 'gpu' is connected",
    }
    assert core.task("c").demand.eligible == {worker}


# -- workers by name -------------------------------------------------------------------------------


@pytest.mark.parametrize("called", ["w", "node7", "at w", "123", "pool:gpu"])
def test_a_worker_goes_by_its_name_host_address_job_or_pool(core, called):
    """Whichever of them the user knows."""
    client = core.client()
    core.submit(client, "a", workers=[called])
    other = core.worker("other", pool="other")
    worker = core.worker("w", host="node7", job_id="123", pool="gpu")
    assert (core.placed(other), core.placed(worker)) == ([], ["a"])


def test_an_address_may_be_given_without_its_scheme_or_port():
    """As they are seen in logs and on dashboards."""
    worker = WorkerRecord("w", 1, addresses=("tls://10.0.0.7:4711", "tls://[fe80::1]:4711"))
    assert worker.known_as >= {"tls://10.0.0.7:4711", "10.0.0.7:4711", "10.0.0.7", "fe80::1"}


def test_other_workers_do_while_the_preferred_ones_are_not_there(core):
    """And not when they are, even if those are busy."""
    client, other = core.client(), core.worker("other")
    core.submit(client, "a", workers=["mine"], allow_other_workers=True)
    assert core.placed(other) == ["a"]
    mine = core.worker("mine")
    core.submit(client, "b", "c", "d", workers=["mine"], allow_other_workers=True)
    assert (core.placed(mine), core.placed(other)) == (["b", "c"], [])
    core.lose(mine, charge=False)
    assert core.placed(other) == ["b"]


def test_other_workers_must_have_the_resources_too(core):
    """Names are a preference then, resources never are."""
    client, plain = core.client(), core.worker("plain")
    options = {"workers": ["mine"], "allow_other_workers": True, "resources": {"GPU": 1}}
    core.submit(client, "a", **options)
    assert core.placed(plain) == []
    assert core.placed(core.worker("gpu", resources={"GPU": 2})) == ["a"]


# -- resources -------------------------------------------------------------------------------------


def test_resources_are_taken_while_a_task_has_its_worker(core):
    """One GPU runs one task at a time, however many threads there are."""
    client, worker = core.client(), core.worker("w", nthreads=4, resources={"GPU": 1})
    core.submit(client, "a", "b", resources={"GPU": 1})
    core.submit(client, "half-1", "half-2", resources={"GPU": 0.5})
    core.submit(client, "any")
    assert core.placed(worker) == ["a", "any"]
    core.done(worker, "a", b"1")
    assert core.placed(worker) == ["b"]
    core.happens(core.state.failed, worker, [("b", (b"", "", ""), 0.1)])
    assert core.placed(worker) == ["half-1", "half-2"]
    core.said(client)


def test_amounts_that_do_not_add_up_exactly_fit_all_the_same(core):
    """Ten tenths are one, whatever binary floating point says."""
    client, worker = core.client(), core.worker("w", nthreads=10, resources={"GPU": 1})
    core.submit(client, *(f"t{i}" for i in range(11)), resources={"GPU": 0.1})
    assert len(core.placed(worker)) == 10


def test_resources_come_back_when_their_task_is_withdrawn(core):
    """By its client, or since the worker hands it back."""
    client, worker = core.client(), core.worker("w", resources={"GPU": 1})
    core.submit(client, "a", "b", "c", resources={"GPU": 1})
    assert core.placed(worker) == ["a"]
    core.happens(core.state.wishes.release, client, ["a"])
    assert [operation for operation, *_ in core.said(worker)] == [m.CANCEL, m.RECALL]
    core.happens(core.state.returned, worker, [])  # it does not run that
    assert core.placed(worker) == ["b"]
    core.happens(core.state.returned, worker, ["b"])
    assert core.placed(worker) == ["b"], "it is first in line again"
