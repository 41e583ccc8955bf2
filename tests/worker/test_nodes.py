"""Which node this is, and which the others are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.worker.arguments import AgentOptions
from jobqueue.worker.nodes import at_this_node, expand, job_hosts

FOUR = AgentOptions(("a",), "jq-7", exit_record="/logs/7.json", nodes=4)


def no_file(path: str) -> str:
    raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({"SLURM_NODEID": "2"}, 2),
        ({"PMI_RANK": "1", "SLURM_NODEID": "0"}, 1),  # mpiexec within srun's own step
        ({"OMPI_COMM_WORLD_RANK": "3", "PBS_NODENUM": "0"}, 3),
        ({"PMIX_RANK": "1"}, 1),
        ({"JOBQUEUE_NODE_RANK": "2", "PMI_RANK": "0"}, 2),  # the script's own environment is older
        ({"PBS_NODENUM": "1"}, 1),
        ({"SLURM_NODEID": "7", "SLURM_JOB_NODELIST": "n[1-4]"}, 2),  # no node of this job
        ({"SLURM_JOB_NODELIST": "n[1-4]"}, 2),
    ],
)
def test_which_node_this_is(environ: dict[str, str], rank: int) -> None:
    """The launcher says it, the innermost if there are several; else the list of nodes."""
    found = at_this_node(FOUR, environ, "n3.cluster", read=no_file)
    assert isinstance(found, AgentOptions)
    assert (found.rank, found.name) == (rank, f"jq-7-{rank}")
    assert found.exit_record == f"/logs/7.{rank}.json"


def test_the_first_node() -> None:
    """It keeps the name of the job's record; a single one keeps everything."""
    found = at_this_node(FOUR, {"SLURM_NODEID": "0"}, "n1", read=no_file)
    assert isinstance(found, AgentOptions)
    assert (found.rank, found.name, found.exit_record) == (0, "jq-7-0", "/logs/7.json")
    one = FOUR._replace(nodes=1)
    assert at_this_node(one, {}, "n1", read=no_file) is one


def test_a_node_that_nobody_knows() -> None:
    """One line that names what was looked for."""
    found = at_this_node(FOUR, {"SLURM_JOB_NODELIST": "m[1-4]"}, "n1", read=no_file)
    assert isinstance(found, str)
    assert found.startswith(
        "which of the job's 4 nodes n1 is, nothing tells: none of JOBQUEUE_NODE_RANK,"
    )


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"PBS_NODEFILE": "/f"}, "n1\nn1\nn2\n"),
        ({"OAR_NODEFILE": "/f"}, "n1\nn2\n"),
        ({"LSB_DJOB_HOSTFILE": "/f"}, "n1\nn2\nn2"),
        ({"PE_HOSTFILE": "/f"}, "n1 4 all.q@n1 UNDEFINED\nn2 4 all.q@n2 UNDEFINED\n"),
        ({"SLURM_JOB_NODELIST": "n[1-2]"}, ""),
        ({"PBS_NODEFILE": "", "SLURM_JOB_NODELIST": "n1,n2"}, ""),
    ],
)
def test_the_nodes_of_a_job(environ: dict[str, str], text: str) -> None:
    """Each once, in the batch system's order."""
    assert job_hosts(environ, lambda path: text) == ["n1", "n2"]


def test_lists_that_cannot_be_read() -> None:
    """pbsdsh's nodes may not have the file, and a list may be no list: then nothing is known."""
    assert job_hosts({"PBS_NODEFILE": "/f", "SLURM_JOB_NODELIST": "n["}, no_file) == []
    assert job_hosts({"PBS_NODEFILE": "/f", "SLURM_JOB_NODELIST": "n5"}, no_file) == ["n5"]


@pytest.mark.parametrize(
    "text", ["n[1-", "n]", "n[a]", "n[]", ",", "n[1-4],", "n[0-100000]", "n[0-999]m[0-999]"]
)
def test_what_is_no_list(text: str) -> None:
    """Refused, at once, however much it would stand for."""
    with pytest.raises(ValueError, match=r"no list|no name|no numbers|more than"):
        expand(text)


NAMES = st.from_regex(re.compile(r"[a-z][a-z.-]{0,5}"), fullmatch=True)
RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=3
)


@given(st.lists(st.tuples(NAMES, st.none() | RANGES, st.just("") | NAMES), min_size=1, max_size=4))
def test_what_was_shortened_is_written_out(
    parts: list[tuple[str, list[tuple[int, int, int]] | None, str]],
) -> None:
    """Any prefix, ranges with leading zeros, and what stands behind the brackets."""
    short, long = [], []
    for prefix, ranges, suffix in parts:
        if ranges is None:
            short.append(prefix)
            long.append(prefix)
            continue
        spans = [(str(a).zfill(width), str(a + more).zfill(width)) for a, more, width in ranges]
        inner = ",".join(first if first == last else f"{first}-{last}" for first, last in spans)
        short.append(f"{prefix}[{inner}]{suffix}")
        long += [
            f"{prefix}{str(number).zfill(len(first))}{suffix}"
            for first, last in spans
            for number in range(int(first), int(last) + 1)
        ]
    assert expand(",".join(short)) == long
