"""Users' own directives: what they say of a job's time, and that it is several."""

from __future__ import annotations

import pytest

from jobqueue.batch.own_directives import array_in, time_limit
from jobqueue.batch.systems import ADAPTERS


@pytest.mark.parametrize(
    ("name", "directive", "value"),
    [
        ("slurm", "-t 10", "10"),
        ("slurm", "-t1-0", "1-0"),
        ("slurm", "--time=01:00:00", "01:00:00"),
        ("slurm", "--exclusive --time 5 -p long", "5"),
        ("slurm", "-t '20'", "20"),
        ("pbs", "-l walltime=01:00:00", "01:00:00"),
        ("pbs", "-l select=1:ncpus=4:mem=8gb,walltime=600,place=free", "600"),
        ("moab", "-l nodes=1:ppn=4,walltime=2:00:00", "2:00:00"),
        ("sge", "-l h_rt=3600", "3600"),
        ("sge", "-q all.q -l h_vmem=4G,h_rt=1:00:00", "1:00:00"),
        ("lsf", "-W 1:30", "1:30"),
        ("lsf", "-W 90/fast_host", "90"),
        ("lsf", '-W "1:30"', "1:30"),
        ("slurm", '--time="90"', "90"),
        ("slurm", "--comment=it's -t 5", "5"),
        ("pbs", '-l "walltime=1:00:00"', "1:00:00"),
        ("pbs", "-l 'select=1,walltime=600'", "600"),
        ("sge", "-l 'h_rt=60'", "60"),
        ("sge", "-soft -l h_rt=30 -hard -l h_rt=60", "60"),
        ("htcondor", "+MaxRuntime = 3600", "3600"),
        ("htcondor", "MY.MaxRuntime=3600", "3600"),
        ("htcondor", "allowed_job_duration = 3600", "3600"),
    ],
)
def test_a_time_limit_is_found_in_whatever_form(name: str, directive: str, value: str) -> None:
    """Alone, or among other options on the same line."""
    found = time_limit(name, ["--first", directive, "--last"])
    assert found is not None
    assert (found.directive, found.value, found.trouble) == (directive, value, "")


@pytest.mark.parametrize(
    ("name", "directive"),
    [
        ("slurm", "--time-min=10"),
        ("slurm", "--tmp=10"),
        ("slurm", "--comment=a-t"),
        ("slurm", "--comment='run -t 5 -a 3 --array=1'"),
        ("pbs", "-N 'x -l walltime=5'"),
        ("lsf", "-R 'select[mem>1] rusage[x=1] -W 5'"),
        ("oar", "-n 'a -l b --array 3'"),
        ("pbs", "-l mem=4gb"),
        ("pbs", "-W umask=027"),
        ("sge", "-l s_rt=10"),
        ("sge", "-terse"),
        ("lsf", "-We 10"),
        ("lsf", "-w done(5)"),
        ("oar", "-t besteffort"),
        ("htcondor", '+JobFlavour = "workday"'),
        ("htcondor", "on_exit_remove = True"),
    ],
)
def test_other_directives_are_none(name: str, directive: str) -> None:
    """However much they look like it."""
    assert time_limit(name, [directive]) is None
    assert array_in(name, [directive]) == ""


@pytest.mark.parametrize(
    "directives",
    [["-soft -l h_rt=60"], ["-soft", "-l h_rt=60"], ["-soft -l a=1", "-l 'h_rt=60' -hard"]],
)
def test_a_wish_is_no_limit(directives: list[str]) -> None:
    """What SGE may ignore ends no job; from -hard on, its word is law again."""
    assert time_limit("sge", directives) is None
    assert time_limit("sge", ["-l h_rt=30", *directives]) == ("-l h_rt=30", "30", 0, False, "")
    found = time_limit("sge", [*directives, "-hard", "-l h_rt=90"])
    assert found is not None
    assert found.value == "90"


def test_of_several_the_last_one_counts() -> None:
    """As for the batch systems; in one line, too."""
    found = time_limit("slurm", ["-t 10", "--time=20 -t 30", "--exclusive"])
    assert found is not None
    assert found.value == "30"


@pytest.mark.parametrize(
    ("name", "directive"),
    [("oar", "-l /core=4,walltime=1"), ("htcondor", "Periodic_Remove = NumJobStarts > 3")],
)
def test_some_leave_open_how_long(name: str, directive: str) -> None:
    """It is said why."""
    found = time_limit(name, [directive])
    assert found is not None
    assert found.trouble


@pytest.mark.parametrize(
    ("name", "directive"),
    [
        ("slurm", "--array=0-3"),
        ("slurm", "--exclusive -a 1,5"),
        ("slurm", "-a '1,5'"),
        ("pbs", "-J 0-3"),
        ("pbs", "-t 0-3"),
        ("moab", "-t name[0-3]"),
        ("sge", "-t 1-4"),
        ("lsf", "-J name[1-4]"),
        ("lsf", '-J "name[1-4]"'),
        ("oar", "--array 4"),
        ("oar", "--array-param-file list"),
        ("htcondor", "queue 4 = "),
    ],
)
def test_several_jobs_in_one_are_found(name: str, directive: str) -> None:
    """By each batch system's own option."""
    assert array_in(name, ["--first", directive]) == directive


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_nothing_is_found_in_nothing(name: str) -> None:
    """Most users give none."""
    assert time_limit(name, []) is None
    assert array_in(name, []) == ""
