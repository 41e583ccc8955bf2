"""`jobqueue doctor`, on machines without a batch system and with one that refuses."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from jobqueue.cli import doctor
from jobqueue.cli.doctor_checks import Finding, Verdict
from jobqueue.cli.main import main
from jobqueue.cli.systems import SYSTEMS

ROWS = {"job", "python", "packages", "network", "round trip", "job log", "clock", "cpus", "memory"}


def test_all_is_well_on_this_machine(places, capsys):
    """Without a batch system the embedded one is examined, which is said; nothing is left."""
    main(["doctor"])
    said = capsys.readouterr().out
    assert "No batch system's commands are on PATH" in said
    assert "Jobs go through the embedded batch system" in said
    assert "1 job" in said, "it was said what is waited for"
    rows = {line[6:20].strip() for line in said.splitlines() if line.startswith(("ok ", "note "))}
    assert rows >= ROWS | {"shared folder", "local disk", "ulimit"}
    assert "bad " not in said
    assert said.rstrip().splitlines()[-1].startswith("All is well")
    assert list((places / "state").iterdir()) == []


def test_json_for_programs(places, capsys):
    """On standard output there is nothing else; status 0."""
    assert main(["doctor", "--cluster", "local", "--json"]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert (report["ok"], report["system"]) == (True, "local")
    assert {row["check"] for row in report["findings"]} >= ROWS
    assert "No jobs: LocalCluster starts workers" in told.err


def test_a_job_that_dies_is_explained(places, capsys):
    """What its log says, what that means, and what to do; one job is submitted, not three."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text(
        "jobqueue:\n  broken: {extends: slurm, python: /no/such/python}\n"
    )
    assert main(["doctor", "--cluster", "embedded", "--config-name", "broken"]) == 1
    said = capsys.readouterr().out
    assert "exit code 127" in said
    assert "/no/such/python" in said
    assert "the job's Python is not on the node" in said
    assert "→ let `python` name one that is" in said
    assert said.count("bad   job ") == 1
    assert "to be put right." in said


def test_a_folder_that_cannot_be_written_to_is_told(places, capsys):
    """A folder of somebody else's, a full disk: it is a finding, and no job is submitted."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text(
        "jobqueue:\n  ours: {extends: slurm, log-directory: /proc}\n"
    )
    assert main(["doctor", "--cluster", "embedded", "--config-name", "ours"]) == 1
    said = capsys.readouterr().out
    assert "bad   shared folder  /proc: nothing can be written there" in said
    assert "1 job" not in said
    assert list((places / "state").iterdir()) == []


def test_a_section_says_which_batch_system_it_is_for(places, capsys):
    """Then no other is taken, whatever is on PATH."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text("jobqueue:\n  ours: {extends: pbs}\n")
    assert main(["doctor", "--config-name", "ours"]) == 1
    said = capsys.readouterr().out
    assert "Jobs go through PBS: qsub, which is not on PATH" in said
    assert "bad   submission     qsub is not on PATH" in said


def test_a_job_that_does_not_come_up_in_time(places, capsys):
    """The wait is bounded, and the job is cancelled."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text(
        "jobqueue:\n  slow: {extends: slurm, python: sleep 600;}\n"
    )
    options = ["--cluster", "embedded", "--config-name", "slow", "--timeout", "1"]
    assert main(["doctor", *options]) == 1
    assert "not there after 1 s: 0 workers; 1 job" in capsys.readouterr().out
    assert list((places / "state").iterdir()) == []


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.section])
def test_the_job_is_small_whatever_the_configuration_says(name, places):
    """One core, and what the site wants besides stays."""
    keywords = doctor.small(SYSTEMS[name], {"config_name": "ours", "queue": "q", "account": "a"})
    assert (keywords["cores"], keywords["processes"], keywords["config_name"]) == (1, 1, "ours")
    assert "a" in (keywords.get("account"), keywords.get("project")) or name == "htcondor"


def test_a_rich_configuration_yields_a_small_job_all_the_same(places):
    """Whatever it says of sizes, processes, nodes and further pools."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text(
        "jobqueue:\n  ours: {extends: slurm, cores: 24, memory: 100GB, processes: 6, nodes: 2,\n"
        "    job-cpu: 48, job-mem: 90GB, queue: long, pools: {wide: {processes: 12}}}\n"
    )
    keywords = doctor.small(SYSTEMS["embedded"], {"config_name": "ours"})
    with SYSTEMS["embedded"].make(name="small", **keywords) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --cpus-per-task=1\n" in script
    assert "#SBATCH --mem=489M\n" in script
    assert "#SBATCH -p long\n" in script
    assert list(cluster.pools) == ["default"]


def test_a_walltime_that_is_shorter_than_the_doctors_is_kept(places):
    """The queue may allow no more."""
    config = places / ".config" / "jobqueue"
    config.mkdir(parents=True)
    (config / "jobqueue.yaml").write_text(
        "jobqueue:\n  brief: {extends: slurm, walltime: '00:02:00'}\n"
        "  long: {extends: slurm, walltime: 1h, cores: 24, memory: 100GB}\n"
    )
    slurm = SYSTEMS["slurm"]
    assert doctor.small(slurm, {"config_name": "brief"})["walltime"] == "00:02:00"
    assert doctor.small(slurm, {"config_name": "long"})["walltime"] == "00:05:00"
    keywords = doctor.small(slurm, {"config_name": "long"})
    [untried] = doctor.Examination(slurm, keywords, 1.0, Console())._untried()
    assert untried.fact == (
        "this job had cores=1, memory=512MB, walltime=00:05:00, nodes=1, processes=1; not tried: "
        "cores=24, memory=100GB, walltime=1h of the section"
    )


def test_findings_on_a_terminal(terminal):
    """A table whose remedies stand below what they are for."""
    rows = [
        Finding("python", Verdict.OK, "3.12.1"),
        Finding("clock", Verdict.BAD, "the node's is 90 s ahead", "tell the site"),
    ]
    doctor.show(terminal, rows)
    lines = [line.rstrip() for line in terminal.file.getvalue().splitlines()]
    assert lines[0].split() == ["ok", "python", "3.12.1"]
    assert lines[2].strip() == "→ tell the site"
    assert lines[-1] == "1 to be put right."
