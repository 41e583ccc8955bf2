"""Workers, cores and memory as whole jobs."""

from __future__ import annotations

import pytest

from jobqueue.cluster.amounts import JobSize, amount_of, jobs_of, whole_jobs
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import ConfigError

SIZE = JobSize(workers=6, threads=24, cores=24, memory=100 * 10**9)


@pytest.mark.parametrize(
    ("unit", "value", "least", "most"),
    [
        ("n", 7, 2, 1),
        ("jobs", 3, 3, 3),
        ("cores", 48, 2, 2),
        ("cores", 49, 3, 2),
        ("memory", "1 TB", 10, 10),
        ("memory", "150 GB", 2, 1),
        ("cores", 0, 0, 0),
    ],
)
def test_at_least_is_rounded_up_and_at_most_down(
    unit: str, value: object, least: int, most: int
) -> None:
    """So that a bound holds, however large the jobs are."""
    amount = amount_of(unit, value, "")
    assert whole_jobs(SIZE, unit, amount, "") == least
    assert whole_jobs(SIZE, unit, amount, "", most=True) == most


@pytest.mark.parametrize(
    ("amount", "jobs"),
    [
        ({"n": 7}, 2),
        ({"n": 7, "cores": None}, 2),
        ({"jobs": 2}, 2),
        ({"cores": 49}, 3),
        ({"memory": "100.1 GB"}, 2),
        ({"memory": 100 * 10**9}, 1),
        ({"n": 0}, 0),
    ],
)
def test_what_scale_is_told_is_one_amount(amount: dict[str, object], jobs: int) -> None:
    """Rounded up to whole jobs, for so much was asked for at least."""
    assert jobs_of(SIZE, **amount) == jobs


@pytest.mark.parametrize("amount", [{}, {"n": None}, {"n": 1, "jobs": 1}])
def test_none_and_several_amounts_are_refused(amount: dict[str, object]) -> None:
    """The message holds what was given."""
    with pytest.raises(ConfigError, match=r"^scale\(.*\): give exactly one of"):
        jobs_of(SIZE, **amount)


def test_less_than_one_job_is_no_maximum() -> None:
    """The error says how large a job is."""
    with pytest.raises(ConfigError, match=r"^called: one job brings 24 cores, and there are whole"):
        whole_jobs(SIZE, "cores", 8, "called", most=True)
    with pytest.raises(ConfigError, match="one job brings 100 GB"):
        whole_jobs(SIZE, "memory", 1, "called", most=True)
    assert whole_jobs(SIZE, "cores", 8, "called") == 1


def test_without_a_limit_memory_is_no_measure() -> None:
    """Of a LocalCluster whose workers may use all there is."""
    size = JobSize(workers=1, threads=1, cores=1, memory=0)
    with pytest.raises(ConfigError, match="the workers have no memory limit"):
        whole_jobs(size, "memory", 1, "called")


@pytest.mark.parametrize(
    ("words", "resources"),
    [
        ((), {"GPU": 1.0}),
        (("--lifetime", "1h", "--resources", "GPU=2,MEM=1.5"), {"GPU": 2.0, "MEM": 1.5}),
        (("--resources='GPU=4 FPGA=1'",), {"GPU": 4.0, "FPGA": 1.0}),
        (("--resources", '"GPU=lots"'), {"GPU": 1.0}),
        (("--resources",), {"GPU": 1.0}),
    ],
)
def test_resources_may_come_from_the_worker_command(
    words: tuple[str, ...], resources: dict[str, float]
) -> None:
    """Sites write them among the further arguments, where they count before all others."""
    spec = JobSpec(cores=4, memory=8, resources={"GPU": 1.0}, worker_extra_args=words)
    assert JobSize.of(spec).resources == resources


def test_cores_that_workers_cannot_share_bring_no_threads() -> None:
    """Five cores are two threads for each of two workers."""
    size = JobSize.of(JobSpec(cores=5, memory=8, processes=2))
    assert (size.workers, size.threads, size.cores, size.memory) == (2, 4, 5, 8)
