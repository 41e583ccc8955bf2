"""What is known of a worker: its outbox keeps the order of what is said."""

from __future__ import annotations

from jobqueue.protocol import messages as m
from jobqueue.scheduler.worker_record import WorkerRecord


def test_a_worker_hears_in_the_order_of_what_happened():
    """What was freed in a turn stands before what was placed at its end, under the same key too."""
    worker = WorkerRecord("w", 1)
    worker.say((m.END, "first"))
    worker.free("k")
    worker.out_run.append(("k", b"f", b"", None))
    worker.say((m.SEND, 1, "k"))
    worker.free("l")
    assert worker.take_messages() == [
        (m.END, "first"),
        (m.FREE, ["k"]),
        (m.RUN, [("k", b"f", b"", None)]),
        (m.SEND, 1, "k"),
        (m.FREE, ["l"]),
    ]
    assert worker.take_messages() == []


def test_what_a_worker_is_known_as():
    """Its addresses and their hosts; one that shares the scheduler's machine is on localhost."""
    near = WorkerRecord("near", 1, addresses=("unix:///tmp/0.peer",))
    far = WorkerRecord("far", 1, addresses=("tls://10.0.0.1:4000", "tls://[fe80::1]:4000"))
    assert {"near", "localhost", "127.0.0.1", "unix:///tmp/0.peer"} <= near.known_as
    assert {"far", "10.0.0.1", "10.0.0.1:4000", "tls://10.0.0.1:4000", "fe80::1"} <= far.known_as
    assert "localhost" not in far.known_as
