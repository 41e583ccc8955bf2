"""What must hold between keywords."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config.checks import check_processes, default_processes, idle_cores
from jobqueue.errors import ConfigError


@given(st.integers(1, 512))
def test_default_processes_share_all_cores(cores: int) -> None:
    """No core idle, at least √cores workers, and the fewest of those."""
    processes = default_processes(cores)
    assert cores % processes == 0
    assert processes * processes >= cores
    assert not any(cores % n == 0 for n in range(math.isqrt(cores - 1) + 1, processes) if cores > 4)


def test_known_defaults() -> None:
    """The table that users of dask-jobqueue know."""
    counts = {1: 1, 2: 2, 3: 3, 4: 4, 6: 3, 8: 4, 16: 4, 24: 6, 28: 7, 36: 6, 7: 7}
    assert {cores: default_processes(cores) for cores in counts} == counts


def test_more_processes_than_cores() -> None:
    """Both numbers are told, and what to do."""
    with pytest.raises(ConfigError, match="6 processes on 4 cores") as caught:
        check_processes(4, 6)
    assert "processes ≤ 4" in str(caught.value)
    check_processes(4, 4)


@given(st.integers(1, 512), st.integers(1, 512))
def test_idle_cores_are_those_without_a_thread(cores: int, processes: int) -> None:
    """Equal threads in each process leave the rest."""
    assert idle_cores(cores, processes) == cores - processes * (cores // processes)
