"""Time limits as users write them."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from jobqueue import Event, as_completed, wait
from jobqueue.client.timeouts import seconds
from jobqueue.errors import ConfigError


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (None, None),
        (3, 3),
        (0.5, 0.5),
        ("10", 10),
        ("200 ms", 0.2),
        ("2 minutes", 120),
        (datetime.timedelta(minutes=1), 60),
    ],
)
def test_a_time_limit_is_seconds_or_text(timeout: Any, expected: float | None) -> None:
    """As for distributed."""
    assert seconds(timeout) == expected


@pytest.mark.parametrize("timeout", ["soon", "", b"3", [3]])
def test_what_is_no_time_limit(timeout: Any) -> None:
    """Says what may be written."""
    with pytest.raises(ConfigError, match=r"it is seconds, text such as '10s'"):
        seconds(timeout)


def test_all_that_waits_takes_text(client, gate):
    """Futures, groups of them, workers, actors, and what programs coordinate by."""
    never = client.submit(gate.function)
    actor = client.submit(Sleeper, actor=True).result(timeout="30 s")
    waits = (
        lambda: never.result(timeout="1ms"),
        lambda: never.exception(timeout="1ms"),
        lambda: never.traceback(timeout="1ms"),
        lambda: wait([never], timeout="1ms"),
        lambda: list(as_completed([never], timeout="1ms")),
        lambda: client.wait_for_workers(99, timeout="1ms"),
        lambda: actor.sleep(0.05).result(timeout="1ms"),
    )
    for each in waits:
        with pytest.raises(TimeoutError, match=r"0.001 s"):
            each()
    assert not Event().wait(timeout="1ms")
    gate.open()


class Sleeper:
    """An actor."""

    def sleep(self, seconds: float) -> None:
        """Take as long."""
        time.sleep(seconds)
