"""What `adapt` is told, and what it answers to nonsense."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jobqueue.cluster.adapt import Policy
from jobqueue.cluster.amounts import JobSize
from jobqueue.cluster.bounds import policy_of
from jobqueue.errors import ConfigError

SIZE = JobSize(workers=2, threads=24, cores=24, memory=100 * 10**9)


def policy(**given: Any) -> Policy:
    return policy_of(SIZE, 100, given)


def test_what_is_not_given() -> None:
    """No minimum, the cluster's own maximum, a minute of patience."""
    assert policy(minimum=None) == Policy(maximum=100, target=5.0, idle=60.0, interval=1.0)
    assert str(policy()) == "adaptive, 0 to 100 jobs"
    assert policy(maximum=math.inf).maximum == 100
    assert policy(minimum_jobs=200).maximum == 200


@pytest.mark.parametrize(
    ("given", "minimum", "maximum"),
    [
        ({"minimum": 3, "maximum": 5}, 2, 2),
        ({"minimum_jobs": 1, "maximum_jobs": 4}, 1, 4),
        ({"minimum_cores": 8, "maximum_cores": 50}, 1, 2),
        ({"minimum_memory": "110 GB", "maximum_memory": "0.45 TB"}, 2, 4),
        ({"minimum": 2, "maximum_cores": 240}, 1, 10),
    ],
)
def test_bounds_in_any_unit(given: dict[str, Any], minimum: int, maximum: int) -> None:
    """Whole jobs: at least so much, and at most so much; the ends may differ in their unit."""
    assert (policy(**given).minimum, policy(**given).maximum) == (minimum, maximum)


def test_times() -> None:
    """Text or seconds; dask counted intervals."""
    assert policy(idle_timeout="5 min", target_duration="1 min", interval=0.5) == Policy(
        maximum=100, target=60.0, idle=300.0, interval=0.5
    )
    assert policy(wait_count=3, interval="2s").idle == 6.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minimum_jobs": 3, "maximum_jobs": 2}, "at least 3 jobs and at most 2 jobs; one job"),
        (
            {"minimum_cores": 30, "maximum_cores": 40},
            "adapt(minimum_cores=30, maximum_cores=40): that is at least 2 jobs and at most 1 job; "
            "one job brings 2 workers, 24 cores, 100 GB",
        ),
        ({"minimum": 1, "minimum_cores": 8}, "give one of minimum (workers), minimum_jobs"),
        ({"maximum": 9, "maximum_memory": "1 TB"}, "give one of maximum (workers)"),
        ({"maximum_cores": 8}, "adapt(maximum_cores=8): one job brings 24 cores"),
        ({"maximum": 0}, "adapt(maximum=0): no task could ever run"),
        ({"minimum": -1}, "adapt(minimum=-1): give a whole number from 0"),
        ({"minimum": 1.5}, "adapt(minimum=1.5): give a whole number"),
        ({"maximum_memory": "lots"}, "adapt(maximum_memory='lots'): "),
        ({"idle_timeout": "soon"}, "adapt(idle_timeout='soon'): 'soon' is not a length of time"),
        ({"interval": 0}, "adapt(interval=0): 0 is not a positive length of time"),
        ({"wait_count": 3, "idle_timeout": "1s"}, "give one of them; wait_count counts"),
        ({"wait_count": 0}, "adapt(wait_count=0): give a whole number from 1"),
    ],
)
def test_nonsense_is_one_clear_error(given: dict[str, Any], words: str) -> None:
    """It says what was given, what that means, and what would do."""
    with pytest.raises(ConfigError) as told:
        policy(**given)
    assert words in str(told.value)
