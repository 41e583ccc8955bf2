"""When the batch system is asked."""

from __future__ import annotations

from jobqueue.cluster.polling import Polling


def test_polling_becomes_sparse_and_starts_anew_with_each_event() -> None:
    """Intervals grow while nothing changes; an event brings the next query near again."""
    polling = Polling((1.0, 2.0, 60.0))
    assert polling.due == float("inf")
    polling.soon(0.0)
    assert polling.due == 1.0
    polling.asked(1.0, news=False)
    assert polling.due == 3.0
    polling.asked(3.0, news=False)
    polling.asked(63.0, news=False)
    assert polling.due == 123.0
    polling.soon(70.0)
    assert polling.due == 71.0
    polling.asked(71.0, news=True)
    assert polling.due == 72.0
