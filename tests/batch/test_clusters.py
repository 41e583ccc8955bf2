"""The clusters on batch systems that this machine lacks: what they make of their keywords."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import jobqueue
from jobqueue.batch.systems import ADAPTERS
from jobqueue.config.keywords import SYSTEMS, keywords_of
from jobqueue.errors import CommandNotFound, ConfigError, JobQueueWarning

JOB: dict[str, Any] = {"cores": 1, "memory": "8GB"}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration but the test's own; no command on PATH."""
    for name in ("HOME", "JOBQUEUE_STATE_DIRECTORY", "PATH"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JOBQUEUE_IGNORE_DASK", "1")
    return tmp_path


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_adapter_has_a_cluster(name: str) -> None:
    """Each batch system has its class, with a signature and documentation of its own keywords."""
    cluster = getattr(jobqueue, SYSTEMS[name])
    assert cluster.system == name
    assert set(inspect.signature(cluster).parameters) == {*keywords_of(name), "config_name"}
    for keyword in keywords_of(name):
        assert f"\n{keyword} : " in cluster.__doc__


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_adapters_keywords_are_keywords(name: str) -> None:
    """What an adapter and its template use of the keywords exists, with the adapter's default."""
    adapter = ADAPTERS[name]
    rows = keywords_of(name)
    assert set(adapter.keywords) <= set(rows)
    told = {word: row.default for word, row in rows.items()}
    assert adapter.with_keywords(told).variables() == adapter.variables()


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_cluster_without_its_batch_system(name: str) -> None:
    """A script can be looked at anywhere; to scale needs the command, which is named."""
    with getattr(jobqueue, SYSTEMS[name])(**JOB) as cluster:
        assert "-m jobqueue.worker" in cluster.job_script()
        with pytest.raises(CommandNotFound, match="is not on PATH"):
            cluster.scale(jobs=1)


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_keyword_of_another_batch_system(name: str) -> None:
    """A keyword that the batch system lacks is refused with the class's name."""
    foreign = next(word for word in ("lsf_units", "job_cpu") if word not in keywords_of(name))
    with pytest.raises(ConfigError, match=SYSTEMS[name]):
        getattr(jobqueue, SYSTEMS[name])(**JOB, **{foreign: "1"})


def test_cores_that_nobody_asks_grid_engine_for() -> None:
    """Without a parallel environment a job of many cores gets one slot; that is told."""
    with pytest.warns(JobQueueWarning, match=r"cores=4: .*-pe smp 4"):
        jobqueue.SGECluster(cores=4, memory="8GB").close()
    jobqueue.SGECluster(cores=4, memory="8GB", job_extra_directives=["-pe mpi 4"]).close()
