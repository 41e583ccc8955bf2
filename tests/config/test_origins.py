"""`jobqueue.config.explain`: each value, and where it comes from."""

from __future__ import annotations

from typing import Any

import pytest

from jobqueue.config import explain
from jobqueue.errors import ConfigError


def test_each_value_with_its_file_and_line(site: Any) -> None:
    """Values are shown as people write them; places that don't exist are marked."""
    path = site.ours(
        """
        jobqueue:
          slurm:
            memory: 100 GB
            walltime: 12:00:00
          gpu:
            extends: slurm
            cores: 24
        """
    )
    lines = explain("gpu", config=site.load()).splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert lines[0] == "SLURMCluster, section 'gpu', which extends 'slurm'"
    assert "100 GB" in rows["memory"]
    assert rows["memory"].endswith(f"{path}:4")
    assert "12:00:00" in rows["walltime"]
    assert rows["cores"].endswith(f"{path}:8")
    assert " 6 " in rows["processes"]
    assert rows["queue"].split() == ["queue", "-", "default"]
    assert f"  {site.etc}/dask (absent)" in lines
    assert f"  {path.parent}" in lines


def test_missing_values_are_shown_as_missing(site: Any) -> None:
    """Explaining is for sections that don't work yet."""
    assert "missing" in explain("slurm", config=site.load())


def test_the_batch_system_must_be_known(site: Any) -> None:
    """A section's name doesn't always tell it."""
    site.ours("jobqueue:\n  gpu: {cores: 4}\n")
    with pytest.raises(ConfigError, match="which batch system is section 'gpu' for"):
        explain("gpu", config=site.load())
    assert explain("gpu", system="pbs", config=site.load()).startswith("PBSCluster, section 'gpu'")
    with pytest.raises(ConfigError, match="no section 'gpuu'"):
        explain("gpuu", config=site.load())
