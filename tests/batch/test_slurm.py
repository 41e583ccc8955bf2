"""What is Slurm's own: federations, comments, slow controllers, short arrays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.answers import Completed
from jobqueue.batch.slurm import STATES, SlurmAdapter, compact, expand

FAILED = "sbatch: error: Batch job submission failed: "


@pytest.mark.parametrize(
    "directive", ["-M galaxy", "-Mgalaxy", "--clusters=galaxy", "--clusters galaxy"]
)
def test_jobs_on_another_cluster_are_looked_for_there(directive: str) -> None:
    """A job script with `-M` sends squeue, sacct, scontrol and scancel to that cluster as well."""
    adapter = SlurmAdapter().with_directives(["--exclusive", directive])
    queries = [adapter.status_query(["5"]), *adapter.ended_queries(["5"])]
    for argv in (*(query.argv for query in queries), adapter.cancel_argv(["5"])):
        assert "--clusters=galaxy" in argv
    assert not any("clusters" in word for word in SlurmAdapter().cancel_argv(["5"]))


def test_tag_is_appended_to_a_comment_of_the_users() -> None:
    """A command line's comment replaces the script's, so ours has to hold both."""
    adapter = SlurmAdapter().with_directives(['--comment="project x"'])
    assert "--comment=project x tag-1" in adapter.submit_argv("job.sh", tag="tag-1")
    assert "--comment=tag-1" in SlurmAdapter().submit_argv("job.sh", tag="tag-1")
    assert not any("comment" in word for word in adapter.submit_argv("job.sh"))


@pytest.mark.parametrize(
    ("stderr", "uncertain"),
    [
        (f"{FAILED}Socket timed out on send/recv operation", True),
        (f"{FAILED}Unable to contact slurm controller (connect failure)", True),
        (f"{FAILED}Zero Bytes were transmitted or received", True),
        (f"{FAILED}Invalid partition name specified", False),
        ("sbatch: error: invalid partition specified: nosuch", False),
        (f"{FAILED}Job violates accounting/QOS policy (job submit limit, ...)", False),
    ],
)
def test_submission_that_may_have_been_accepted(stderr: str, uncertain: bool) -> None:
    """A controller that did not answer may run the job all the same; one that refused will not."""
    completed = Completed(("sbatch", "job.sh"), 1, "", f"{stderr}\n")
    assert SlurmAdapter().uncertain(completed) is uncertain
    assert not SlurmAdapter().uncertain(Completed(("sbatch", "job.sh"), 0, "5\n", stderr))


def test_arrays_are_shortened_where_the_site_wants_it() -> None:
    """An array over MaxArraySize is refused: shorter ones are tried, and in the end plain jobs."""
    said = "sbatch: error: Batch job submission failed: Invalid job array specification\n"
    refused = Completed(("sbatch", "--array=0-999", "job.sh"), 1, "", said)
    limits = []
    adapter: SlurmAdapter | None = SlurmAdapter()
    while adapter := adapter.fallback(refused):
        limits.append(adapter.array_limit)
    assert limits == [100, 10, 1]


def test_status_query_names_no_job() -> None:
    """A single unknown id is an error to squeue, so that all of the user's jobs are asked for."""
    query = SlurmAdapter().status_query(["5", "6"])
    assert {"5", "6"}.isdisjoint(query.argv)
    assert {"--me", "-r", "-h"} <= set(query.argv)


def test_few_commands_for_ended_jobs() -> None:
    """A thousand ended jobs cost one sacct, and scontrol, which takes one id, a few times only."""
    queries = SlurmAdapter().ended_queries([str(number) for number in range(1000)])
    assert [query.argv[0] for query in queries].count("sacct") == 1
    assert len(queries) < 10
    one_array = SlurmAdapter().ended_queries([f"5_{index}" for index in range(1000)])
    assert [query.argv[0] for query in one_array] == ["sacct", "scontrol"]


def test_accounting_that_is_off_is_an_error() -> None:
    """Without accounting sacct says so, and that must not look like "no such job"."""
    query = SlurmAdapter().ended_queries(["5"])[0]
    said = "Slurm accounting storage is disabled\n"
    with pytest.raises(Exception, match="accounting storage is disabled"):
        query.parse(Completed(query.argv, 1, "", said))


def test_jobs_that_ran_elsewhere_are_passed_over() -> None:
    """In a federation a job is listed as REVOKED where it does not run."""
    query = SlurmAdapter().status_query([])
    said = "5|REVOKED|None|N/A||\n5|RUNNING|None|N/A|node1|\n5|REVOKED|None|N/A||\n"
    (status,) = query.parse(Completed(query.argv, 0, said, "")).values()
    assert status.raw_state == "RUNNING"


@given(st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(0, 40)), unique=True))
def test_compact_ids_stand_for_the_same_jobs(jobs: list[tuple[int, int | None]]) -> None:
    """Writing ids short and reading them again gives the same jobs."""
    ids = [f"{a}" if i is None else f"{a}_{i}" for a, i in jobs]
    assert sorted(each for text in compact(ids) for each in expand(text)) == sorted(ids)


def test_every_ended_state_has_a_cause() -> None:
    """An end is explained in Slurm's table; nothing else has a cause."""
    for state, cause in STATES.values():
        assert (cause is not None) == (state.value == "ended")
