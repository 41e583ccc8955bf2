"""What can be written for each kind of value on the agent's command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue.worker import argument_values as values
from jobqueue.worker.argument_values import AUTO


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.addresses, "tls://a:1, b:2,", ["tls://a:1", "b:2"]),
        (values.protocol, "", "tls"),
        (values.protocol, "tcp://", "tcp"),
        (values.name, " gpu ", "gpu"),
        (values.name, "", ""),
        (values.optional, " ", None),
        (values.count, "12", 12),
        (values.count_or_auto, "Auto", AUTO),
        (values.count_or_auto, "3", 3),
        (values.seconds, "2m", 120.0),
        (values.optional_seconds, "", None),
        (values.optional_seconds, "90", 90.0),
        (values.epoch, "1700000000.5", 1700000000.5),
        (values.epoch, " ", None),
        (values.memory_limit, "auto", AUTO),
        (values.memory_limit, "", AUTO),
        (values.memory_limit, "0", None),
        (values.memory_limit, "0.0", None),
        (values.memory_limit, "none", None),
        (values.memory_limit, "4GB", 4 * 10**9),
        (values.memory_limit, "0.5", 0.5),
        (values.memory_limit, "1", 1.0),
        (values.memory_limit, "2", 2),
        (values.fraction, "0.7", 0.7),
        (values.fraction, "off", None),
        (values.fraction, "0", None),
        (values.ports, "3000", (3000, 3000)),
        (values.ports, "3000:3026", (3000, 3026)),
        (values.ports, "0", None),
        (values.ports, "", None),
        (values.resources, "", {}),
        (values.resources, "GPU=2,MEM=1.5 a=0", {"GPU": 2.0, "MEM": 1.5, "a": 0.0}),
    ],
)
def test_what_is_written_is_understood(
    parse: Callable[[str], Any], text: str, value: object
) -> None:
    """As job scripts, sites' settings and users of dask write it."""
    found = parse(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (values.addresses, ","),
        (values.protocol, "ucx"),
        (values.count, "0"),
        (values.count, "²"),
        (values.count_or_auto, "many"),
        (values.seconds, "0"),
        (values.optional_seconds, "0"),
        (values.epoch, "noon"),
        (values.epoch, "inf"),
        (values.memory_limit, "lots"),
        (values.fraction, "80"),
        (values.ports, "70000"),
        (values.ports, "9:8"),
        (values.ports, "a:b"),
        (values.resources, "GPU"),
        (values.resources, "GPU=nan"),
    ],
)
def test_what_makes_no_sense_is_repeated_in_the_complaint(
    parse: Callable[[str], Any], text: str
) -> None:
    """So that it is found in a long command line."""
    with pytest.raises(ValueError, match=r"is no|holds no") as caught:
        parse(text)
    assert repr(text) in str(caught.value)
