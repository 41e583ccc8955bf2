"""What a scheduler tells its owner of its workers."""

from __future__ import annotations

from jobqueue.protocol.frames import encode
from jobqueue.protocol.hello import WorkerFacts
from jobqueue.scheduler.info import WorkerInfo
from jobqueue.scheduler.worker_record import WorkerRecord


def test_a_worker_is_described_as_it_stands(core):
    """What it said of itself, what it runs and what it holds."""
    facts = WorkerFacts("w-0", 2, ("tls://10.0.0.1:4000",), 10**9, "17_3", "node1", 4242)._replace(
        resources={"GPU": 1.0}, pool="gpu", time_left=60.0
    )
    worker = WorkerRecord("w-0", 2, addresses=facts.addresses, job_id=facts.job_id, facts=facts)
    worker.measured = {"memory": 6000, "cpu": 99.5, "unheard of": 1}
    core.state.add_worker(worker, 10.0)
    client = core.client()
    core.submit(client, "a", "b")
    core.done(worker, "a", nbytes=5000)
    info = WorkerInfo.of(worker)
    assert info == WorkerInfo(
        name="w-0",
        job_id="17_3",
        pool="gpu",
        ends_at=70.0,
        host="node1",
        pid=4242,
        addresses=("tls://10.0.0.1:4000",),
        nthreads=2,
        resources={"GPU": 1.0},
        status="running",
        processing=1,
        running=1,
        stored_bytes=5000,
        memory_limit=10**9,
        memory=6000,
        spilled=None,
        cpu=99.5,
    )
    assert not info.idle
    core.done(worker, "b", b"1")
    core.retire(worker)
    info = WorkerInfo.of(worker)
    assert info.idle
    assert info.retiring
    assert info.status == "retiring"
    core.said(client)


def test_a_worker_that_said_little_is_described_too():
    """As workers of tests and simulators."""
    info = WorkerInfo.of(WorkerRecord("w", 1))
    assert (info.host, info.pid, info.memory_limit, info.idle) == ("", 0, None, True)


def test_what_is_known_of_a_worker_travels(core):
    """As a dict of plain values, which clients show."""
    worker = WorkerRecord("w", 1, addresses=("tls://h:1",))
    core.state.add_worker(worker, 0.0)
    client = core.client()
    core.submit(client, "a", "b")
    worker.ends_at = 100.0
    told = WorkerInfo.of(worker).to_dict(40.0)
    assert told["time_left"] == 60.0
    assert (told["processing"], told["running"], told["waiting"]) == (2, 1, 1)
    assert told["addresses"] == ["tls://h:1"]
    assert encode([(told,)])
