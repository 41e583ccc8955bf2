"""Memory as batch systems and readers write it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.units import (
    hours_minutes,
    kibibytes,
    lsf_memory,
    mebibytes,
    pbs_memory,
    slurm_memory,
    whole_mebibytes,
)

FACTOR = {"B": 1, "K": 2**10, "KB": 2**10, "M": 2**20, "MB": 2**20, "G": 2**30, "GB": 2**30}


@pytest.mark.parametrize(
    ("nbytes", "pbs", "slurm"),
    [
        (28 * 10**9, "27GB", "27G"),
        (100 * 10**9, "94GB", "94G"),
        (16 * 2**30, "16GB", "16G"),
        (10 * 2**30, "10GB", "10G"),
        (2 * 10**9, "1908MB", "1908M"),
        (36 * 10**6, "35MB", "35M"),
        (5000, "5000B", "5K"),
        (1, "1B", "1K"),
    ],
)
def test_memory_in_directives(nbytes: int, pbs: str, slurm: str) -> None:
    """Both count in powers of 1024, and a whole unit is given rather than less than was asked."""
    assert (pbs_memory(nbytes), slurm_memory(nbytes)) == (pbs, slurm)


@given(st.integers(1, 2**60), st.sampled_from([pbs_memory, slurm_memory]))
def test_memory_is_never_less_nor_much_more(nbytes: int, write: object) -> None:
    """What is asked for holds what was wanted, and at most a tenth or 10 KiB more."""
    match = re.fullmatch(r"(\d+)(\D+)", write(nbytes))  # type: ignore[operator]
    assert match is not None
    asked = int(match[1]) * FACTOR[match[2]]
    assert nbytes <= asked <= max(10 * 1024, nbytes * 1.1)


@given(st.integers(1, 2**60))
def test_memory_for_readers_is_never_more(nbytes: int) -> None:
    """A limit is rounded down, by less than a MiB."""
    match = re.fullmatch(r"(\d+)(B|MiB|GiB)", mebibytes(nbytes))
    assert match is not None
    limit = int(match[1]) * {"B": 1, "MiB": 2**20, "GiB": 2**30}[match[2]]
    assert nbytes - 2**20 < limit <= nbytes


@given(st.integers(1, 2**50), st.sampled_from(["kb", "mb", "gb"]))
def test_bare_numbers_are_never_less(nbytes: int, unit: str) -> None:
    """LSF's in powers of 1000, HTCondor's of 1024: rounded up to a whole unit, never more."""
    for text, size in (
        (lsf_memory(nbytes, unit), {"kb": 10**3, "mb": 10**6, "gb": 10**9}[unit]),
        (whole_mebibytes(nbytes), 2**20),
        (kibibytes(nbytes), 2**10),
    ):
        assert nbytes <= int(text) * size < nbytes + size


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "00:01"), (60, "00:01"), (1800, "00:30"), (129_601, "36:01")]
)
def test_hours_and_minutes(seconds: int, text: str) -> None:
    """LSF counts whole minutes: a job gets no less than was asked for."""
    assert hours_minutes(seconds) == text
