"""Finding a job id among whatever else a site prints."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobqueue.batch.base import BatchAdapter
from jobqueue.batch.ids import mark_in, new_mark, range_texts
from jobqueue.batch.pbs import PBSAdapter
from jobqueue.batch.slurm import SlurmAdapter

ADAPTERS = (SlurmAdapter(), PBSAdapter())
BREAKS = st.sampled_from(["\n", "\r\n"])
NOISE = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=5)


def is_id(adapter: BatchAdapter, line: str) -> bool:
    return bool(adapter.parse_job_ids(line))


@given(adapter=st.sampled_from(ADAPTERS), noise=NOISE, line_break=BREAKS)
def test_noise_yields_no_id(adapter: BatchAdapter, noise: list[str], line_break: str) -> None:
    """Where no line is an id from its first to its last character, there is no id."""
    output = line_break.join(noise)
    assume(not any(is_id(adapter, line) for line in output.split("\n")))
    assert adapter.parse_job_ids(output) == ()


@given(
    adapter=st.sampled_from(ADAPTERS),
    number=st.integers(0, 10**9),
    before=NOISE,
    after=NOISE,
    line_break=BREAKS,
)
def test_id_among_noise_is_found(
    adapter: BatchAdapter, number: int, before: list[str], after: list[str], line_break: str
) -> None:
    """A banner before or after the id, in whatever line breaks, does no harm."""
    own = str(number) if adapter.name == "slurm" else f"{number}.pbs-01.site.edu"
    others = [line for text in (*before, *after) for line in text.split("\n")]
    assume(not any(is_id(adapter, line) for line in others))
    output = line_break.join([*before, own, *after])
    assert adapter.parse_job_ids(output) == (own,)


@pytest.mark.parametrize(
    ("adapter", "output", "count"),
    [
        (SlurmAdapter(), "Stampede2\n", 1),
        (SlurmAdapter(), "Submitted batch job 12\n", 1),
        (SlurmAdapter(), "12 ; galaxy\n", 1),
        (SlurmAdapter(), "١٢\n", 1),
        (SlurmAdapter(), "at\x0b12\n", 1),
        (PBSAdapter(), "22[].server\n", 1),  # an array, where one job was asked for
        (PBSAdapter(), "22.server\n", 3),  # one job, where an array was asked for
        (PBSAdapter(), "22[3].server\n", 1),
    ],
)
def test_what_looks_like_an_id_and_is_none(adapter: BatchAdapter, output: str, count: int) -> None:
    """Neither digits in a sentence nor the id of something else will do."""
    assert adapter.parse_job_ids(output, count) == ()


def test_pbs_prefers_an_id_with_its_server() -> None:
    """A bare number is an id only where no line has a server's name."""
    assert PBSAdapter().parse_job_ids("2026\n22.server\n7\n") == ("22.server",)


@given(st.sets(st.integers(0, 300)))
def test_ranges_hold_exactly_the_numbers(numbers: set[int]) -> None:
    """They are sorted, apart from each other, and stand for the numbers they were made of."""
    ends = [text.partition("-") for text in range_texts(numbers)]
    found = [(int(first), int(last or first)) for first, _, last in ends]
    assert {n for first, last in found for n in range(first, last + 1)} == numbers
    assert all(b + 1 < c for (_, b), (c, _) in itertools.pairwise(found))


def test_range_texts() -> None:
    """A run of one is written as a number."""
    assert range_texts([9, 1, 2, 3]) == ["1-3", "9"]


@given(st.text(st.sampled_from("dask-jq09af_."), max_size=12), st.sampled_from(["", "[3]", ".7"]))
def test_a_mark_is_found_behind_any_name(name: str, index: str) -> None:
    """Each submission has one of its own."""
    mark = new_mark()
    assert mark_in(f"{name}-{mark}{index}") == mark
    assert mark_in(f"{name}{index}") == ""
    assert mark != new_mark()
