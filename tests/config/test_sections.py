"""Files of a wrong shape: what is told, and where it is an error."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.errors import ConfigError, JobQueueWarning

MISINDENTED = """
    jobqueue:
        slurm:
        name: dask-worker

        cores: 16
        memory: "64 GB"
        job-extra: ['--exclusive']
    """


@pytest.mark.parametrize("folder", ["home/.config/dask", "home/.config/jobqueue"])
def test_a_misindented_section_is_an_error_everywhere(site: Any, folder: str) -> None:
    """Its values are plainly meant: file, line, first key, section and remedy are told."""
    path = site.write(folder, MISINDENTED)
    with pytest.raises(ConfigError) as caught:
        site.values()
    assert str(caught.value) == (
        f"{path}:4: 'name' and 3 more keys below 'jobqueue:' stand beside 'slurm:', which is empty"
        "; indent them below 'slurm:'"
    )


def test_one_key_beside_a_section(site: Any) -> None:
    """A key at the level of sections belongs to one of them."""
    path = site.dask("jobqueue:\n  slurm:\n    cores: 4\n  job-extra: {-C casper}\n")
    with pytest.raises(ConfigError) as caught:
        site.values()
    assert f"{path}:4: 'job-extra' below 'jobqueue:' stands where sections stand" in str(
        caught.value
    )


ERRORS_IN_OURS = [
    ("slurm:\n  cores: 4\n", 1, "'slurm' stands at the top level and is not read", "'jobqueue:'"),
    ("cores: 4\n", 1, "'cores' stands at the top level and is not read", "'slurm:'"),
    (
        "jobqeue:\n  slurm: {cores: 4}\n",
        1,
        "unknown top level 'jobqeue'",
        "did you mean 'jobqueue'",
    ),
    ("\nfoo: 1\n", 2, "unknown top level 'foo'", "only 'jobqueue' is read here"),
    ("derecho:\n  pbs: {cores: 4, memory: 1GB}\n", 1, "'derecho' is not 'jobqueue'", "'pbs'"),
    ("jobqueue:\n  slurm: 4\n", 2, "'slurm' below 'jobqueue:' is not a section", ""),
    ("jobqueue:\n  corse: 4\n", 2, "'corse' below 'jobqueue:' is not a section", "'cores'"),
    (
        "jobqueue:\n  slurm:\n    worker-extra: []\n",
        3,
        "'worker-extra' is no",
        "'worker-extra-args'",
    ),
    (
        "jobqueue:\n  slurm:\n    annotations: {}\n",
        3,
        "'annotations' is no keyword of SLURMCluster",
        "",
    ),
    ("jobqueue:\n  slurm:\n    job_extr: []\n", 3, "'job-extr' is no", "'job-extra-directives'"),
    ("jobqueue:\n  slurm:\n    lsf-units: kb\n", 3, "'lsf-units'", "but of LSFCluster"),
    ("jobqueue:\n  slurm:\n    security: x\n", 3, "'security' can't be set here", "SLURMCluster"),
    ("jobqueue:\n  slurm:\n    pbs: {cores: 4}\n", 3, "'pbs' is a section", "one level too deep"),
    ("jobqueue:\n  slurm:\n    extend: base\n", 3, "'extend' is no keyword", "'extends'"),
    ("jobqueue:\n  slurm: {cores: 1}\n  slurm: {cores: 2}\n", 3, "for the second time", "join"),
    ("jobqueue:\n  slurm:\n    cores: 1\n    cores: 2\n", 4, "for the second time", "line 3"),
    ("jobqueue:\n  slurm:\n    job-cpu: 1\n    job_cpu: 2\n", 4, "for the second time", "line 3"),
]


@pytest.mark.parametrize(("text", "line", "fact", "remedy"), ERRORS_IN_OURS)
def test_ours_must_be_right_to_the_letter(
    site: Any, text: str, line: int, fact: str, remedy: str
) -> None:
    """One error with file, line, key and the nearest right name."""
    path = site.ours(text)
    with pytest.raises(ConfigError) as caught:
        site.values()
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert fact in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line", "fact", "remedy"), [case for case in ERRORS_IN_OURS if "slurm" in case[0]]
)
def test_a_file_of_dask_goes_on_working(
    site: Any, text: str, line: int, fact: str, remedy: str
) -> None:
    """The same faults are told once, and the rest of the file counts."""
    path = site.dask(text)
    with pytest.warns(JobQueueWarning) as told:
        found = [site.values(cores=4)["cores"] for _ in range(2)]
    assert found == [4, 4]
    assert len(told) == 1
    message = str(told[0].message)
    assert message.startswith(f"{path}:{line}: ")
    assert fact in message
    assert remedy in message


def test_other_programs_keys_stand_beside_ours(site: Any) -> None:
    """Real files hold dask's own settings; in dask's folders, anything."""
    text = """
        distributed: {worker: {memory: {target: 0.9}}}
        logging: {distributed: info}
        admin: {}
        jobqueue: {slurm: {queue: q}}
        """
    site.ours(text)
    site.dask(text.replace("admin", "mine"))
    assert site.values()["queue"] == "q"


def test_several_faults_are_told_in_one_error(site: Any) -> None:
    """Nobody should have to start again for each of them."""
    site.ours("jobqueue:\n  slurm:\n    cors: 1\n    memry: 2\n")
    with pytest.raises(ConfigError) as caught:
        site.values()
    assert len(str(caught.value).splitlines()) == 2


def test_values_that_were_meant_are_found_when_they_are_missing(site: Any) -> None:
    """Sections under host names are pointed at, those of the batch system first."""
    path = site.dask(
        """
        derecho:
          pbs: {cores: 1, memory: 4GiB}
          slurm: {cores: 2, memory: 4GiB}
        datarmor:
          cluster: {cores: 28, memory: 120GB}
        """
    )
    with pytest.raises(ConfigError) as caught:
        site.resolve(system="pbs")
    assert f"not read where it stands: `derecho.pbs:` at {path}:3" in str(caught.value)
    assert "datarmor" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        site.resolve(system="sge")
    assert f"`datarmor.cluster:` at {path}:6" in str(caught.value)


def test_a_section_of_a_similar_name_is_pointed_at(site: Any) -> None:
    """A misspelt section is a section of its own, as far as anybody can know."""
    path = site.ours("jobqueue:\n  slrum: {cores: 4, memory: 1GB}\n")
    with (
        pytest.warns(JobQueueWarning, match="did you mean 'slurm'"),
        pytest.raises(ConfigError, match="SLURMCluster needs cores and memory") as caught,
    ):
        site.resolve()
    assert f"`slrum:` at {path}:2" in str(caught.value)
