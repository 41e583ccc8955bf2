"""Names: old and new ones, sections that extend others."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.config.hosts import Host
from jobqueue.errors import ConfigError, JobQueueDeprecationWarning, JobQueueWarning

OLD = [
    ("extra", "--lifetime 18m", "worker_extra_args", ["--lifetime", "18m"]),
    ("env_extra", ["module load x"], "job_script_prologue", ["module load x"]),
    ("header_skip", ["-n"], "job_directives_skip", ["-n"]),
    ("job_extra", ["-C haswell"], "job_extra_directives", ["-C haswell"]),
    ("project", "phys", "account", "phys"),
]


@pytest.mark.parametrize(("old", "given", "new", "value"), OLD)
def test_old_keywords_work_and_name_the_new_one(
    site: Any, old: str, given: Any, new: str, value: Any
) -> None:
    """The warning is of a kind that users see by default."""
    with pytest.warns(JobQueueDeprecationWarning, match=f"'{old}' is an old name; write '{new}'"):
        assert site.values(**{old: given})[new] == value
    assert issubclass(JobQueueDeprecationWarning, FutureWarning)


@pytest.mark.parametrize(("old", "given", "new", "value"), OLD)
@pytest.mark.parametrize("folder", ["home/.config/dask", "home/.config/jobqueue"])
def test_old_keys_work_and_name_the_new_one(
    site: Any, folder: str, old: str, given: Any, new: str, value: Any
) -> None:
    """In a file, the warning names file, line and section, and both as YAML spells them."""
    key = old.replace("_", "-")
    path = site.write(folder, f"jobqueue:\n  slurm:\n    {key}: {given!r}\n")
    with pytest.warns(JobQueueDeprecationWarning) as told:
        assert site.values()[new] == value
    spelled = new.replace("_", "-")
    assert str(told[0].message) == (
        f"{path}:3: section 'slurm': '{key}' is an old name; write '{spelled}'"
    )


def test_both_names_given_as_keywords(site: Any) -> None:
    """Which one counts can't be guessed."""
    with (
        pytest.warns(JobQueueDeprecationWarning),
        pytest.raises(ConfigError, match="'job_extra_directives' and 'job_extra', its old name"),
    ):
        site.values(job_extra=["-a"], job_extra_directives=["-b"])


def test_both_names_in_one_section(site: Any) -> None:
    """An error in our files; in dask's the new name counts, as it does there."""
    text = "jobqueue:\n  slurm:\n    job-extra: [-a]\n    job-extra-directives: [-b]\n"
    site.dask(text)
    with pytest.warns(JobQueueWarning) as told:
        assert site.values()["job_extra_directives"] == ["-b"]
    assert any("are both given" in str(item.message) for item in told)
    site.ours(text)
    with (
        pytest.warns(JobQueueWarning),
        pytest.raises(ConfigError, match=r"jobqueue\.yaml:3: .*are both given; keep"),
    ):
        site.values()


def test_left_overs_of_copied_defaults_say_nothing(site: Any) -> None:
    """Sites copied the packaged file whole, with its empty old keys."""
    site.ours(
        """
        jobqueue:
          slurm:
            extra: null
            worker-command: "distributed.cli.dask_worker"
            worker-extra-args: [--a]
            env-extra: []
            job-extra: {}
            job-extra: null
            job-extra-directives: {}
            job-directives-skip: []
            log-directory: null
            log-directory: null
            queue: ''
        """
    )
    found = site.values()
    assert found["worker_extra_args"] == ["--a"]
    assert found["worker_command"] is None
    assert found["queue"] is None


def test_an_old_name_in_a_high_place_wins_over_the_new_one_in_a_low_place(site: Any) -> None:
    """Places count more than spellings."""
    site.write("etc/jobqueue", "jobqueue:\n  slurm: {job-extra-directives: [-low]}\n")
    site.ours("jobqueue:\n  slurm: {job-extra: [-high]}\n")
    with pytest.warns(JobQueueDeprecationWarning):
        assert site.values()["job_extra_directives"] == ["-high"]


def test_name_is_the_jobs_name_in_yaml_and_the_clusters_as_a_keyword(site: Any) -> None:
    """As it has always been."""
    site.ours("jobqueue:\n  slurm: {name: bee}\n")
    found = site.values(name="hive")
    assert (found["job_name"], found["name"]) == ("bee", "hive")
    site.ours("jobqueue:\n  slurm: {name: bee, job-name: wasp}\n")
    assert site.values()["job_name"] == "wasp"


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("memry", "'memry' is no keyword of SLURMCluster; did you mean 'memory'?"),
        ("worker-extra", "did you mean 'worker_extra_args'?"),
        ("ncpus", "'ncpus' is no keyword of SLURMCluster, but of LSFCluster"),
        ("zzz", "'zzz' is no keyword of SLURMCluster"),
    ],
)
def test_unknown_keywords(site: Any, keyword: str, message: str) -> None:
    """The nearest right name is told as Python writes it."""
    with pytest.raises(ConfigError) as caught:
        site.values(**{keyword: 1})
    assert message in str(caught.value)


def test_an_own_section_stands_alone(site: Any) -> None:
    """Without ``extends`` it has the defaults, and nothing of the class's section."""
    site.ours("jobqueue:\n  slurm: {queue: q, account: a}\n  big: {queue: b}\n")
    found = site.values("big")
    assert (found["queue"], found["account"]) == ("b", None)


def test_a_section_extends_others(site: Any) -> None:
    """The nearer section wins, wherever the values stand."""
    site.write("etc/jobqueue", "jobqueue:\n  gpu: {extends: big, queue: gpu}\n")
    site.ours(
        """
        jobqueue:
          slurm: {queue: q, account: a, interface: ib0, cores: 1}
          big: {extends: slurm, queue: b, account: c}
        """
    )
    site.environ["JOBQUEUE__SLURM__QUEUE"] = "variable"
    found = site.values("gpu")
    assert (found["queue"], found["account"], found["interface"]) == ("gpu", "c", "ib0")
    assert site.values()["queue"] == "variable"


def test_a_section_may_extend_a_batch_system_that_has_no_section(site: Any) -> None:
    """It adds nothing, and does no harm."""
    site.ours("jobqueue:\n  gpu: {extends: slurm, queue: g}\n")
    assert site.values("gpu")["queue"] == "g"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: {extends: b}, b: {extends: a}}", "in a circle: a → b → a"),
        ("{a: {extends: a}}", "in a circle: a → a"),
        ("{a: {extends: slrm}}", "no section 'slrm' in the configuration; did you mean 'slurm'?"),
        ("{a: {extends: [b, c]}}", "write the name of one section"),
    ],
)
def test_extending_what_cannot_be_extended(site: Any, text: str, message: str) -> None:
    """File and line of the faulty ``extends`` are told."""
    path = site.ours(f"jobqueue: {text}\n")
    with pytest.raises(ConfigError) as caught:
        site.values("a")
    assert str(caught.value).startswith(f"{path}:1: extends: ")
    assert message in str(caught.value)


def test_a_section_that_is_asked_for_must_exist(site: Any) -> None:
    """Those that exist are listed."""
    site.ours("jobqueue:\n  gpu: {queue: g}\n")
    with pytest.raises(ConfigError) as caught:
        site.values("gpus")
    assert "no section 'gpus'" in str(caught.value)
    assert "did you mean 'gpu'?" in str(caught.value)
    with pytest.raises(ConfigError, match="no section 'pbs'"):
        site.values("pbs")


def test_names_of_sections_are_told_as_they_are_written(site: Any) -> None:
    """By whoever asks, and in the file."""
    site.ours("jobqueue:\n  big-mem: {queue: g}\n  a: {extends: Big-Men}\n")
    with pytest.raises(
        ConfigError, match=r"no section 'big-men' .*'big-mem'.*sections: big-mem, a"
    ):
        site.values("big-men")
    with pytest.raises(ConfigError, match=r":3: extends: Big-Men: no section 'Big-Men'"):
        site.values("a")


@pytest.mark.parametrize("asked", ["oak", "cluster"])
def test_a_section_that_stands_where_nobody_reads_it_is_pointed_at(site: Any, asked: str) -> None:
    """Whichever part of its path is taken for its name; on this machine or another."""
    path = site.dask("oak:\n  cluster: {cores: 4, memory: 9GB, queue: q}\n")
    site.host = Host("oak1")
    with pytest.raises(ConfigError) as caught:
        site.values(asked)
    text = f"not read where it stands (write it below `jobqueue:`): `oak.cluster:` at {path}:2"
    assert text in str(caught.value)
    assert "not for this machine" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("slrum", "slurm"),
        ("Slum", "slurm"),
        ("psb", "pbs"),
        ("htcondr", "htcondor"),
        ("mob", "moab"),
    ],
)
def test_a_misspelt_batch_system_is_told(site: Any, name: str, meant: str) -> None:
    """Once, with file and line: nothing reads the section, and nothing else would say so."""
    path = site.ours(f"jobqueue:\n  {name}: {{queue: q}}\n")
    with pytest.warns(JobQueueWarning) as told:
        assert [site.values()["queue"] for _ in range(2)] == [None, None]
    [warning] = told
    assert str(warning.message) == (
        f"{path}:2: nothing reads the section '{name}'; did you mean '{meant}'? If it is one of "
        "your own, choose it by config_name"
    )


@pytest.mark.parametrize("name", ["gpu", "slurm-gpu", "pbs2", "short", "solar", "large", "local"])
def test_sections_of_ones_own_may_have_any_name(site: Any, name: str) -> None:
    """As long as it isn't almost that of a batch system."""
    site.ours(f"jobqueue: {{{name}: {{queue: q}}}}")
    assert site.values()["queue"] is None


def test_a_section_that_is_chosen_or_extended_is_not_misspelt(site: Any) -> None:
    """Whatever it is called."""
    site.ours("jobqueue: {slrum: {queue: q}}")
    assert site.values("slrum")["queue"] == "q"
    site.ours("jobqueue: {slrum: {queue: q}, mob: {extends: slrum}}")
    assert site.values()["queue"] is None
