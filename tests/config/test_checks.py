"""What must hold between keywords."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config.checks import (
    check_margin,
    check_nodes,
    check_processes,
    check_shares,
    default_processes,
    idle_cores,
)
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


@given(
    st.integers(1, 64),
    st.integers(1, 6),
    st.dictionaries(st.sampled_from("ab"), st.integers(1, 12)),
)
def test_default_processes_share_nodes_and_resources(
    own: int, nodes: int, amounts: dict[str, int]
) -> None:
    """Each node has as many workers, no core idles, and each worker has whole devices."""
    cores = own * nodes
    if any(amount % nodes for amount in amounts.values()):
        with pytest.raises(ConfigError, match=f"nodes={nodes}"):
            default_processes(cores, nodes=nodes, resources=amounts)
        return
    processes = default_processes(cores, nodes=nodes, resources=amounts)
    assert cores % processes == 0
    assert processes % nodes == 0
    assert all(amount % processes == 0 for amount in amounts.values())


def test_what_cannot_be_shared_is_told_with_both_numbers() -> None:
    """Totals are per job, so parts of a job need equal shares of them; fractions divide anyhow."""
    with pytest.raises(ConfigError, match=r"GPU=3, .* processes=2; give a multiple of 2"):
        check_shares({"licence": 0.5, "GPU": 3}, 2, "processes")
    check_shares({"licence": 0.5, "GPU": 4}, 2, "processes")
    with pytest.raises(ConfigError, match=r"processes=6, .* nodes=4; give a multiple of 4"):
        check_nodes(4, cores=8, processes=6)
    with pytest.raises(ConfigError, match="walltime_margin=60 s on a walltime of 60 s"):
        check_margin(60, 60)
    check_margin(60, None)
