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
