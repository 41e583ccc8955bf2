"""Which batch system the command line takes."""

from __future__ import annotations

import pytest

from jobqueue.cli.systems import SYSTEMS, find, keywords


@pytest.mark.parametrize(
    ("present", "environment", "expected"),
    [
        (["sbatch"], {}, "slurm"),
        (["qsub"], {}, "pbs"),
        (["sbatch", "qsub"], {}, "slurm"),
        ([], {}, "embedded"),
        (["qsub"], {"SGE_ROOT": "/opt/sge"}, "sge"),
        (["qsub", "qconf"], {}, "sge"),
        (["bsub"], {}, "lsf"),
        (["oarsub"], {}, "oar"),
        (["condor_submit"], {}, "htcondor"),
        (["msub", "qsub"], {}, "pbs"),
        (["msub"], {}, "moab"),
    ],
)
def test_the_batch_system_is_known_by_its_commands(present, environment, expected):
    """Slurm before PBS, for wrappers; Grid Engine's qsub is not taken for PBS's."""
    which = {command: f"/usr/bin/{command}" for command in present}.get
    assert find("auto", which=which, environment=environment).name == expected


@pytest.mark.parametrize("choice", SYSTEMS)
def test_a_choice_is_kept(choice):
    """What was asked for is taken, whatever is on PATH."""
    assert find(choice, which={}.get, environment={}).name == choice


@pytest.mark.parametrize("choice", SYSTEMS)
def test_every_choice_can_be_made_from_the_options(choice, places):
    """The names in the table exist, and take what the options give."""
    options = {"cores": 1, "memory": "1GB", "queue": None, "walltime": "00:10:00"}
    cluster = SYSTEMS[choice].make(name="mine", **keywords(SYSTEMS[choice], options))
    with cluster:
        assert cluster.name == "mine"
        assert "mine" in cluster.job_script()


@pytest.mark.parametrize("choice", SYSTEMS)
def test_it_is_said_through_what_jobs_go(choice, places):
    """In one line; a missing command is called missing."""
    text = SYSTEMS[choice].introduction()
    assert "\n" not in text
    assert ("not on PATH" in text) == bool(SYSTEMS[choice].command)


def test_an_account_is_a_project_where_there_are_projects():
    """What was typed as account is charged, whatever the batch system calls it."""
    options = {"cores": 1, "memory": "1GB", "queue": "q", "account": "p1", "walltime": "00:10:00"}
    assert keywords(SYSTEMS["lsf"], options)["project"] == "p1"
    assert keywords(SYSTEMS["slurm"], options)["account"] == "p1"
