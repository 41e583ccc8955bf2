"""One pool of a batch cluster: its keywords, and the user's own directives beside them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from jobqueue.batch.systems import ADAPTERS
from jobqueue.cluster.batch_pool import BatchPool
from jobqueue.errors import ConfigError

JOB: dict[str, Any] = {"cores": 1, "memory": 10**9, "walltime": 1800, "walltime_margin": None}


def pool(system: str, *directives: str, **keywords: Any) -> BatchPool:
    """Make a pool, as it is made of resolved keywords."""
    own: Any = dict(each.split(" = ") for each in directives) if system == "htcondor" else None
    values = {**JOB, "job_extra_directives": own or list(directives), **keywords}
    return BatchPool("default", values, ADAPTERS[system])


@pytest.mark.parametrize(
    ("system", "directive", "seconds"),
    [
        ("slurm", "-t 1", 60),
        ("slurm", "#SBATCH --time=1-0", 86_400),
        ("slurm", "--time=UNLIMITED", None),
        ("pbs", "-l walltime=01:00", 60),
        ("moab", "-l walltime=3600", 3600),
        ("sge", "-l h_rt=0:10:00", 600),
        ("lsf", "-W 1:30", 5400),
        ("htcondor", "+MaxRuntime = 600", 600),
        ("htcondor", "+MaxWallTimeMins = 20", 1200),
        ("htcondor", "+MaxRuntime = 7200", 1800),  # the walltime holds as well
    ],
)
def test_a_time_limit_among_the_directives_is_the_jobs_own(
    system: str, directive: str, seconds: int | None
) -> None:
    """Agents hand over before it, and the script asks for it: there are no two truths."""
    made = pool(system, directive)
    assert made.spec.walltime == seconds
    script = made.job_script(("tls://10.1.2.3:4000",))
    assert (f"--walltime {seconds} " in script) is (seconds is not None)
    assert "--walltime 1800 " not in script or seconds == 1800


def test_a_margin_that_is_longer_is_refused() -> None:
    """As for a walltime that is told in the usual way."""
    with pytest.raises(ConfigError, match="walltime_margin=100 s on a walltime of 60 s"):
        pool("slurm", "-t 1", walltime_margin=100)


@pytest.mark.parametrize(
    ("system", "directive", "words"),
    [
        ("slurm", "-t soon", "'-t soon' is no time that can be read here; say it by walltime"),
        ("oar", "-l /core=1,walltime=1", "OAR grants one or the other"),
        ("htcondor", "periodic_remove = NumJobStarts > 3", "takes the place of the line"),
        ("htcondor", "+MaxRuntime = 60 * 60", "is no time that can be read here"),
    ],
)
def test_a_time_limit_that_cannot_be_known_is_warned_of(
    system: str, directive: str, words: str
) -> None:
    """What jobs go by then is said, too."""
    with pytest.warns(UserWarning, match=r"as if walltime=00:30:00 were theirs") as caught:
        assert pool(system, directive).spec.walltime == 1800
    assert words in str(caught[0].message)


def test_where_no_time_is_known_nothing_is_replaced() -> None:
    """HTCondor has no walltime of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = pool("htcondor", "periodic_remove = NumJobStarts > 3", walltime=None)
    assert made.spec.walltime is None
    with pytest.warns(UserWarning, match="hand over when the batch system tells them to end"):
        pool("htcondor", "+MaxRuntime = 60 * 60", walltime=None)


@pytest.mark.parametrize(
    ("system", "directive"),
    [("slurm", "--array=0-3"), ("pbs", "-J 0-3"), ("sge", "-t 1-4"), ("htcondor", "queue = 4")],
)
def test_an_array_among_the_directives_is_refused(system: str, directive: str) -> None:
    """The cluster would know one job of it, and leave the others behind."""
    with pytest.raises(ConfigError, match=r"makes several jobs of each.*scale\(jobs="):
        pool(system, directive)
