"""One file for several machines: what counts where."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from jobqueue.config import explain
from jobqueue.config.hosts import Host
from jobqueue.errors import ConfigError, JobQueueWarning

SITES = """
jobqueue:
  slurm:
    cores: 24
    memory: 96GB
    queue: regular
  sites:
    "birch*, oak[12]":
      slurm:
        queue: birch
      gpu: {extends: slurm, queue: gpu}
    "*.cloud.example":
      slurm: {cores: 4}
"""


@pytest.mark.parametrize(
    ("patterns", "matches"),
    [
        ("login1", True),
        ("LOGIN?", True),
        ("birch*, login*", True),
        ("login", False),
        ("login[23]", False),
        ("*.site.edu", True),
        ("login1.site.*", True),
        ("*.edu.org", False),
        ("", False),
    ],
)
def test_patterns_of_host_names(patterns: str, matches: bool) -> None:
    """As in a shell; the domain is looked at where a pattern has a dot."""
    assert Host("login1", "login1.site.edu").matches(patterns) is matches
    assert Host("login1.site.edu").matches(patterns) is matches


def test_this_machine_is_known_by_its_own_name() -> None:
    """Without a name given, the machine is asked."""
    assert Host().matches(socket.gethostname())
    assert Host().matches(f"{socket.gethostname()[0]}*")
    assert not Host().matches("no.such.machine")


@pytest.mark.parametrize(
    ("host", "queue", "cores"),
    [("birch7", "birch", 24), ("oak2", "birch", 24), ("oak3", "regular", 24)],
)
def test_a_site_wins_over_the_rest_of_its_file(
    site: Any, host: str, queue: str, cores: int
) -> None:
    """Value by value; elsewhere the general section is all there is."""
    site.host = Host(host)
    site.ours(SITES)
    values = site.resolve().values
    assert (values["queue"], values["cores"]) == (queue, cores)


def test_the_domain_tells_sites_apart(site: Any) -> None:
    """Two machines called login1 are two sites."""
    site.host = Host("login1", "login1.cloud.example")
    site.ours(SITES)
    assert site.resolve().values["cores"] == 4


def test_a_users_file_wins_over_a_sites_file_with_sites(site: Any) -> None:
    """The order of the places stays; a site's part belongs to its file."""
    site.host = Host("birch7")
    site.write("etc/jobqueue", SITES)
    site.ours("jobqueue: {slurm: {queue: debug}}")
    assert site.resolve().values["queue"] == "debug"


def test_a_section_of_other_machines(site: Any) -> None:
    """It does not exist here, and the error says where it stands and for whom."""
    site.ours(SITES)
    with pytest.raises(
        ConfigError, match=r"no section 'gpu'.*sites.birch\*, oak\[12\].gpu:` at .*:11"
    ):
        site.resolve("gpu")
    site.host = Host("birch1")
    assert site.resolve("gpu").values["queue"] == "gpu"
    assert "birch" in explain("slurm", config=site.load())


@pytest.mark.parametrize(
    ("sites", "says"),
    [
        ("4", r":2: 'sites:' must hold patterns of host names"),
        ("{slurm: {cores: 4}}", r":2: 'slurm' below 'sites:' must be a pattern"),
        ("{login*: 4}", r":2: 'login\*' below 'sites:' must be a pattern"),
        ("{login*: {slurm: 4}}", r":2: 'slurm' below 'login\*:' is not a section"),
        ("{login*: {slurm: {coers: 4}}}", r":2: section 'slurm': 'coers' is no keyword"),
    ],
)
def test_mistakes_in_sites(site: Any, sites: str, says: str) -> None:
    """Each is one error with file and line."""
    site.ours(f"jobqueue:\n  sites: {sites}\n")
    with pytest.raises(ConfigError, match=says):
        site.resolve()


NAMED = """
birch:
  pbs: {name: dask-worker-birch, cores: 36, memory: 109GiB, processes: 9}
oak:
  pbs: {cores: 1, memory: 4GiB}
"""


def test_names_of_machines_at_the_top_of_dasks_files(site: Any) -> None:
    """On a machine whose name begins so the sections count; elsewhere the error points at them."""
    site.dask(NAMED, "birch.yaml")
    with pytest.raises(
        ConfigError, match=r"needs cores and memory.*`birch.pbs:` at .*birch.yaml:3"
    ):
        site.resolve(system="pbs")
    site.host = Host("birch-login3")
    values = site.resolve(system="pbs").values
    assert (values["processes"], values["job_name"]) == (9, "dask-worker-birch")


def test_names_of_machines_at_the_top_of_our_files(site: Any) -> None:
    """There they are a mistake, and the error says what to write."""
    site.host = Host("birch-login3")
    site.ours(NAMED)
    with pytest.raises(
        ConfigError, match=r":2: 'birch' .* below 'jobqueue:' and 'sites:', as 'birch\*:'"
    ):
        site.resolve(system="pbs")


def test_a_misspelt_section_of_a_site_is_told(site: Any) -> None:
    """As anywhere else."""
    site.host = Host("birch1")
    site.ours("jobqueue: {slurm: {cores: 1, memory: 1GB}, sites: {birch*: {slrum: {queue: x}}}}")
    with pytest.warns(JobQueueWarning, match="did you mean 'slurm'"):
        site.resolve()
