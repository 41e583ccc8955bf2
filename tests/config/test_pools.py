"""Pools in configuration: layers over their cluster's values, each judged like a section."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.config import explain
from jobqueue.config import set as config_set
from jobqueue.config.resolve import resolve, resolve_pool
from jobqueue.errors import ConfigError, JobQueueWarning

SITE = """
jobqueue:
  slurm:
    cores: 24
    memory: 96GB
    queue: regular
    pools:
      gpu:
        cores: 8
        queue: gpu
        resources: {GPU: 2}
        job-extra-directives: [--gres=gpu:2]
      mpi: {nodes: 4, walltime: 02:00:00}
"""


def test_a_pool_is_its_cluster_with_a_few_other_values(site: Any) -> None:
    """What a pool does not say is as in the cluster; what is computed is computed anew."""
    site.ours(SITE)
    values = site.resolve().values
    assert list(values["pools"]) == ["gpu", "mpi"]
    gpu, mpi = values["pools"].values()
    assert (gpu["cores"], gpu["queue"], gpu["memory"]) == (8, "gpu", 96 * 10**9)
    assert (gpu["processes"], mpi["processes"], values["processes"]) == (2, 12, 6)
    assert (mpi["walltime"], mpi["queue"], gpu["pool"]) == (7200, "regular", "gpu")
    assert values["queue"] == "regular"


def test_pools_are_joined_value_by_value(site: Any) -> None:
    """A user's file, and keywords, change a site's pool without repeating it."""
    site.write("etc/jobqueue", SITE)
    site.ours("jobqueue: {slurm: {pools: {gpu: {walltime: 04:00:00}}}}")
    pools = site.resolve(pools={"gpu": {"queue": "debug", "cores": None}, "new": {}}).values[
        "pools"
    ]
    assert list(pools) == ["gpu", "mpi", "new"]
    gpu = pools["gpu"]
    assert (gpu["cores"], gpu["walltime"], gpu["queue"]) == (8, 4 * 3600, "debug")
    assert site.resolve(pools="").values["pools"] == {}


def test_a_pool_extends_a_section(site: Any) -> None:
    """A site's section becomes a pool: its values stand between the cluster's and the pool's."""
    site.ours(
        """
        jobqueue:
          slurm: {cores: 24, memory: 96GB, account: physics}
          gpu-nodes: {extends: slurm, cores: 8, queue: gpu}
        """
    )
    gpu = site.resolve(account="maths", pools={"gpu": {"extends": "gpu-nodes", "queue": "debug"}})
    values = gpu.values["pools"]["gpu"]
    assert (values["cores"], values["queue"], values["account"]) == (8, "debug", "maths")


def test_old_names_work_in_pools(site: Any) -> None:
    """As in a section, with the same warning; those of code and file don't get into each other."""
    site.ours(SITE + "      old: {job_extra: [--nice]}\n")
    with pytest.warns(FutureWarning, match="old is an old name|'job-extra' is an old name"):
        values = site.resolve(pools={"old": {"job_extra_directives": ["--exclusive"]}}).values
    assert values["pools"]["old"]["job_extra_directives"] == ["--exclusive"]


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        ("{coers: 8}", r":5: pool 'gpu': 'coers' is no keyword of SLURMCluster; did.* 'cores'\?"),
        ("{cores: many}", r"pool 'gpu': .*:5: cores: 'many' is not a whole number"),
        ("{protocol: tcp}", r":5: pool 'gpu': 'protocol' is the same for all pools"),
        ("{pools: {}}", r":5: pool 'gpu': 'pools' is the same for all pools"),
        ("{extends: nosuch}", r":5: pool 'gpu': extends: no section 'nosuch'"),
        ("{nodes: 5}", r"pool 'gpu': .*: cores=24, a job's total, can't .* by nodes=5"),
        ("{resources: {GPU: 3}, processes: 2}", r"pool 'gpu': .* GPU=3, .* processes=2"),
        ("{resources: {GPU: 3}, nodes: 2}", r"pool 'gpu': .* GPU=3, .* nodes=2"),
        ("{walltime-margin: 1h}", r"pool 'gpu': .* walltime_margin=3600 s on a walltime of 1800 s"),
        ("8", r":5: pools: gpu: '8' is not a mapping"),
    ],
)
def test_a_pools_mistakes_are_told_with_its_name_and_line(site: Any, pool: str, says: str) -> None:
    """One error names file, line, pool and key."""
    head = "jobqueue:\n  slurm:\n    cores: 24\n    memory: 96GB\n    pools: "
    site.ours(f"{head}{{gpu: {pool}}}\n")
    with pytest.raises(ConfigError, match=says):
        site.resolve()


@pytest.mark.parametrize(
    ("name", "keywords", "says"),
    [
        ("default", {}, "'default' is there already"),
        ("a b", {}, "'a b' is no name of a pool"),
        ("gpu", {"coers": 8}, "^pool 'gpu': 'coers' is no keyword of SLURMCluster"),
        ("gpu", {"n_workers": 8}, "'n_workers' is the same for all pools"),
        ("gpu", {"processes": 99}, "^pool 'gpu': processes=99 on cores=24"),
    ],
)
def test_a_pool_added_later_is_judged_alike(
    site: Any, name: str, keywords: dict[str, Any], says: str
) -> None:
    """`resolve_pool` gives one more pool of a cluster that exists, or the same errors."""
    cluster = site.resolve(cores=24, memory="96GB")
    with pytest.raises(ConfigError, match=says):
        resolve_pool(cluster, name, keywords)
    assert resolve_pool(cluster, "more", {"cores": 12}).values["processes"] == 4


def test_pools_are_explained(site: Any) -> None:
    """What a pool has of its own, and from which line; the rest is the cluster's."""
    path = site.ours(SITE)
    lines = explain("slurm", config=site.load()).splitlines()
    at = lines.index("pool 'gpu', as above but for")
    own = dict.fromkeys(line.split()[0] for line in lines[at + 1 : lines.index(MPI)])
    assert list(own) == ["cores", "processes", "resources", "queue", "job-extra-directives"]
    assert any(line.split() == ["cores", "8", f"{path}:9"] for line in lines)
    assert any(line.split()[:3] == ["pools", "gpu,", "mpi"] for line in lines)


MPI = "pool 'mpi', as above but for"


def test_pools_from_code_are_judged_where_they_are_set() -> None:
    """A mistake in a pool raises at the line that makes it, and nothing is set."""
    for wrong in ({"coers": 8}, {"cores": "many"}, {"protocol": "tcp"}):
        with pytest.raises(ConfigError, match=r"coers|cores|protocol"):
            config_set({"slurm.pools": {"gpu": wrong}})
    with config_set({"slurm.pools": {"gpu": {"cores": 8}}}):
        assert resolve("slurm", JOB, system="slurm").values["pools"]["gpu"]["cores"] == 8
    assert resolve("slurm", JOB, system="slurm").values["pools"] == {}


JOB = {"cores": 24, "memory": "96GB"}


def test_what_the_cluster_asks_for_in_other_words_is_not_lost_on_a_pool(site: Any) -> None:
    """A pool with other cores, whose jobs would ask for the cluster's, is told so."""
    site.ours("jobqueue: {slurm: {cores: 24, memory: 96GB, job-cpu: 48}}")
    with pytest.warns(JobQueueWarning, match=r"pool 'a' has cores of its own.*job_cpu=48.*:1"):
        site.resolve(pools={"a": {"cores": 4}})
    values = site.resolve(pools={"b": {"cores": 4, "job_cpu": ""}}).values
    assert values["pools"]["b"]["job_cpu"] is None
