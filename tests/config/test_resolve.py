"""From a section and keywords to the values of a cluster, with all that real files hold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from jobqueue.errors import ConfigError, JobQueueWarning


def test_values_without_any_configuration(site: Any) -> None:
    """Cores and memory are enough; everything else has a default, and says so."""
    resolved = site.resolve(cores=24, memory="100GB")
    assert resolved.values["memory"] == 100 * 10**9
    assert resolved.values["processes"] == 6
    assert resolved.threads == 4
    assert resolved.values["walltime"] == 1800
    assert str(resolved.origins["walltime"]) == "default"
    assert resolved.values["python"] == sys.executable
    assert resolved.values["death_timeout"] == 60
    assert resolved.values["shebang"] == "#!/usr/bin/env bash"


def test_yaml_alone_is_enough(site: Any) -> None:
    """`PBSCluster()` works from a file."""
    site.dask("jobqueue:\n  pbs: {cores: 36, memory: 109 GB, processes: 9}\n")
    resolved = site.resolve(system="pbs")
    assert (resolved.values["cores"], resolved.threads) == (36, 4)


_OPTIONS = {"my_host": ":1", "port": 0}

# What real sites' files hold: the text of one key → the keyword, and its canonical value.
REAL = [
    ("slurm", "job-extra: {-C casper}", "job_extra_directives", ["-C casper"]),
    ("slurm", "job-extra-directives: {-C casper: null}", "job_extra_directives", ["-C casper"]),
    ("slurm", "job-extra-directives: [-m n]", "job_extra_directives", ["-m n"]),
    ("slurm", "job-extra-directives: -M galaxy", "job_extra_directives", ["-M galaxy"]),
    ("slurm", "job-extra: ['-L a, b']", "job_extra_directives", ["-L a, b"]),
    ("slurm", "job-extra: {-C: casper, -M: x}", "job_extra_directives", ["-C casper", "-M x"]),
    ("slurm", "worker-extra-args: --lifetime 18m", "worker_extra_args", ["--lifetime", "18m"]),
    ("slurm", "worker_extra_args: [--lifetime, 18m]", "worker_extra_args", ["--lifetime", "18m"]),
    ("slurm", "queue: geop,compute", "queue", "geop,compute"),
    ("slurm", "queue: on", "queue", "on"),
    ("slurm", "account: 007", "account", "007"),
    ("slurm", "account: 12:30:00", "account", "12:30:00"),
    ("slurm", "walltime: 0-2:00:00", "walltime", 7200),
    ("slurm", "walltime: 12:00:00", "walltime", 43200),
    ("slurm", "walltime: '12:00:00'", "walltime", 43200),
    ("slurm", "walltime: 90", "walltime", 5400),
    ("slurm", "walltime: 30:00", "walltime", 1800),
    ("slurm", "walltime: null", "walltime", None),
    ("slurm", "walltime: ''", "walltime", None),
    ("pbs", "walltime: 12:00:00", "walltime", 43200),
    ("pbs", "walltime: 90", "walltime", 90),
    ("moab", "walltime: 2:00:00:00", "walltime", 172800),
    ("sge", "walltime: 12:00:00", "walltime", 43200),
    ("lsf", "walltime: 01:00", "walltime", 3600),
    ("lsf", "walltime: '00:30'", "walltime", 1800),
    ("oar", "walltime: 2", "walltime", 7200),
    ("slurm", "memory: 36gb", "memory", 36 * 10**9),
    ("slurm", "memory: '109GiB'", "memory", 109 * 2**30),
    ("slurm", "job-mem: 36gb", "job_mem", "36gb"),
    ("slurm", "job-cpu: 4", "job_cpu", 4),
    ("lsf", "mem: 165000000000", "mem", 165_000_000_000),
    ("lsf", "use-stdin: true", "use_stdin", True),
    ("lsf", "lsf-units: MB", "lsf_units", "mb"),
    ("lsf", "project: cellmap", "project", "cellmap"),
    ("lsf", "job-extra: ['-R \"rusage[mem=1]\"']", "job_extra_directives", ['-R "rusage[mem=1]"']),
    ("htcondor", "disk: 200MB", "disk", 200_000_000),
    ("htcondor", "job-extra: {group: a.b}", "job_extra_directives", {"group": "a.b"}),
    ("slurm", "interface: bond0.148", "interface", "bond0.148"),
    ("slurm", "interface: ''", "interface", None),
    ("slurm", "local-directory: /x/$USER/$JOB_ID", "local_directory", "/x/$USER/$JOB_ID"),
    ("slurm", "local-directory: $TMPDIR", "local_directory", "$TMPDIR"),
    ("slurm", "death-timeout: 2 min", "death_timeout", 120),
    ("slurm", "python: srun -n 1 -c 20 python", "python", "srun -n 1 -c 20 python"),
    ("slurm", "python: null", "python", sys.executable),
    ("slurm", "nanny: no", "nanny", False),
    ("slurm", "env-extra: []", "job_script_prologue", []),
    ("slurm", "env-extra: |\n      a b\n      c d", "job_script_prologue", ["a b", "c d"]),
    ("slurm", "scheduler-options: {my-host: ':1', port: 0}", "scheduler_options", _OPTIONS),
    ("slurm", "contact-address: tls://login1:4000", "contact_address", ["tls://login1:4000"]),
    ("pbs", "resource-spec: select=1:ncpus=36", "resource_spec", "select=1:ncpus=36"),
]


@pytest.mark.filterwarnings("ignore::jobqueue.errors.JobQueueDeprecationWarning")
@pytest.mark.parametrize(("system", "line", "keyword", "value"), REAL)
def test_what_real_files_hold(site: Any, system: str, line: str, keyword: str, value: Any) -> None:
    """One key of a site's file, and what a cluster is told."""
    site.dask(f"jobqueue:\n  {system}:\n    cores: 4\n    {line}\n")
    given = {} if keyword == "memory" else {"memory": "8GB"}
    assert site.resolve(system=system, **given).values[keyword] == value


WRONG = [
    ("cores: 0", "cores: '0' is not a whole number ≥ 1"),
    ("cores: many", "cores: 'many' is not a whole number ≥ 1"),
    ("memory: lots", "memory: 'lots' is not an amount of memory"),
    ("memory: 4", 'was a unit forgotten, as in "4GB"?'),
    ("walltime: soon", "walltime: 'soon' is not a length of time"),
    ("processes: [2]", "processes: ['2'] is not a whole number"),
    ("queue: [a, b]", "queue: ['a', 'b'] is not text"),
    ("interface: {a: b}", "interface: {'a': 'b'} is not text"),
    ("nanny: maybe", "nanny: 'maybe' is neither true nor false"),
    ("death-timeout: 0", "death-timeout: '0' is not a positive length of time"),
    ("scheduler-options: []", "scheduler-options: [] is not a mapping"),
    ('job-script-prologue:\n    - echo "a: b"', "needs quotes"),
    ('worker-extra-args: "--name \'x"', "a quote without its partner"),
    ("worker-command: dask_cuda.cli", "can't work for jobqueue"),
    ("template: nowhere.sh.j2", "there is no file"),
    ("protocol: ucx", "'ucx' is none of tls, tcp"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
@pytest.mark.parametrize("folder", ["home/.config/dask", "home/.config/jobqueue"])
def test_a_wrong_value_is_an_error_in_every_file(
    site: Any, folder: str, line: str, message: str
) -> None:
    """File, line, key, value and the accepted forms are told."""
    path = site.write(folder, f"jobqueue:\n  slurm:\n    {line}\n")
    with pytest.raises(ConfigError) as caught:
        site.resolve()
    assert str(caught.value).startswith(f"{path}:3: {line.split(':')[0]}: ")
    assert message in str(caught.value)


def test_a_wrong_value_that_is_not_used_does_no_harm(site: Any) -> None:
    """A keyword takes its place."""
    site.dask("jobqueue:\n  slurm:\n    memory: lots\n")
    assert site.values(memory="1GB")["memory"] == 10**9


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cores": 0}, "cores: 0 is not a whole number ≥ 1"),
        ({"cores": 2.5}, "cores: 2.5 is not a whole number ≥ 1"),
        (
            {"memory": "lots"},
            "memory: 'lots' is not an amount of memory; write a number and a unit",
        ),
        ({"cores": 4, "processes": 6}, "6 processes on 4 cores"),
        ({"walltime": "tomorrow"}, "walltime: 'tomorrow' is not a length of time"),
        ({"queue": "a\n#SBATCH -p b"}, "is not one line of plain text"),
        ({"death_timeout": -1}, "death_timeout: -1 is not a positive"),
    ],
)
def test_a_wrong_keyword_value(site: Any, keywords: dict[str, Any], message: str) -> None:
    """Keyword and value are told, without a place: the traceback shows it."""
    with pytest.raises(ConfigError) as caught:
        site.values(**keywords)
    assert message in str(caught.value)


def test_python_numbers_count_seconds(site: Any) -> None:
    """What another YAML reader made of an unquoted 12:00:00 is still twelve hours."""
    assert site.values(walltime=43200)["walltime"] == 43200
    assert site.values(walltime="90")["walltime"] == 5400


def test_an_empty_keyword_unsets_what_yaml_says(site: Any) -> None:
    """None is "not given", an empty text is "no value"."""
    site.ours("jobqueue:\n  slurm: {interface: ib0, job-extra-directives: [-a]}\n")
    assert site.values(interface=None)["interface"] == "ib0"
    found = site.values(interface="", job_extra_directives=[])
    assert (found["interface"], found["job_extra_directives"]) == (None, [])


def test_missing_values_are_told_in_both_spellings(site: Any) -> None:
    """How to pass it, and what to write where."""
    with pytest.raises(ConfigError) as caught:
        site.resolve(cores=4)
    message = str(caught.value)
    assert message.startswith('SLURMCluster needs memory: pass memory="100GB", or write `memory: ')
    assert f"`slurm:` in {site.home}/.config/jobqueue/jobqueue.yaml" in message


def test_missing_values_are_told_where_the_section_is(site: Any) -> None:
    """The file that holds the section is the one to change, and an empty key is pointed at."""
    path = site.dask("jobqueue:\n  slurm:\n    cores: null\n")
    with pytest.raises(ConfigError) as caught:
        site.resolve()
    assert f"(left empty at {path}:3)" in str(caught.value)
    assert f"below `slurm:` at {path}:2" in str(caught.value)


def test_processes_over_cores_from_a_file_names_it(site: Any) -> None:
    """Where the numbers stand is told."""
    path = site.ours("jobqueue:\n  slurm:\n    processes: 6\n")
    with pytest.raises(ConfigError) as caught:
        site.values(cores=4)
    assert str(caught.value).startswith(f"{path}:3: processes=6 on cores=4: 6 processes on 4 cores")


def test_idle_cores_are_told(site: Any) -> None:
    """Four processes on six cores leave two idle."""
    with pytest.warns(JobQueueWarning, match="give 1 thread each and leave 2 cores idle"):
        assert site.values(cores=6, processes=4)["processes"] == 4


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("$HOME/logs", "/home/ada/logs"),
        ("~/logs", "{home}/logs"),
        ("/scratch/${USER}/logs", "/scratch/ada/logs"),
        ("job-logs", "{cwd}/job-logs"),
    ],
)
def test_the_log_directory_is_expanded_here(site: Any, written: str, expected: str) -> None:
    """This side makes the folder, so no variable may be left in its name."""
    site.environ["HOME"] = "/home/ada"
    site.ours(f"jobqueue:\n  slurm: {{log-directory: '{written}'}}\n")
    assert site.values()["log_directory"] == expected.format(home=site.home, cwd=os.getcwd())


def test_a_log_directory_with_an_unknown_variable(site: Any) -> None:
    """A variable that only the job has can't be used."""
    path = site.ours("jobqueue:\n  slurm:\n    log-directory: /x/$SLURM_JOB_ID\n")
    with pytest.raises(ConfigError, match="the variable SLURM_JOB_ID is not set here") as caught:
        site.values()
    assert str(caught.value).startswith(f"{path}:3: log-directory: ")


def test_a_template_lies_beside_the_file_that_names_it(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a keyword it is relative to the working directory."""
    path = site.ours("jobqueue:\n  slurm: {template: site.sh.j2}\n")
    beside = path.with_name("site.sh.j2")
    beside.write_text("")
    assert site.values()["template"] == str(beside)
    (tmp_path / "own.sh.j2").write_text("")
    monkeypatch.chdir(tmp_path)
    assert site.values(template=Path("own.sh.j2"))["template"] == str(tmp_path / "own.sh.j2")


def test_the_pbs_account_may_come_from_its_variable(site: Any) -> None:
    """PBS sites set $PBS_ACCOUNT for their users; anything said on purpose wins."""
    site.environ["PBS_ACCOUNT"] = "phys"
    resolved = site.resolve(system="pbs", cores=1, memory="1GB")
    assert resolved.values["account"] == "phys"
    assert str(resolved.origins["account"]) == "variable PBS_ACCOUNT"
    assert site.values(system="pbs", account="chem")["account"] == "chem"
    assert site.values(system="slurm")["account"] is None


def test_lists_are_never_shared(site: Any) -> None:
    """Changing one cluster's values leaves the defaults alone."""
    site.values()["job_extra_directives"].append("-x")
    assert site.values()["job_extra_directives"] == []
