"""How the scheduler of a batch cluster listens, and what is said of options that cannot work."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from jobqueue.cluster.embedded import EmbeddedCluster
from jobqueue.cluster.local import LocalCluster
from jobqueue.cluster.slurm import SLURMCluster
from jobqueue.config import warn
from jobqueue.errors import ConfigError, JobQueueWarning

JOB: dict[str, Any] = {"cores": 1, "memory": "1GB", "asynchronous": True}

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(autouse=True)
def _fresh_warnings() -> None:
    warn.forget()  # each is shown once


@pytest.mark.parametrize(
    "keywords",
    [
        {"interface": "lo"},
        {"scheduler_options": {"interface": "lo"}},
        {"scheduler_options": {"host": "127.0.0.1"}},
        {"scheduler_options": {"host": "localhost"}},
    ],
)
def test_a_scheduler_that_no_node_can_reach_is_warned_of(keywords: Any) -> None:
    """At once, and not by jobs that end after their death timeout."""
    with pytest.warns(JobQueueWarning, match=f"^{next(iter(keywords))}: .*nodes cannot reach"):
        SLURMCluster(**JOB, **keywords)


def test_a_way_through_or_a_machine_of_its_own_needs_no_warning() -> None:
    """A tunnel's end is told as contact address; embedded jobs are on this machine."""
    options = {"host": "127.0.0.1", "contact_address": "login.site:4000"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SLURMCluster(**JOB, scheduler_options=options)
        EmbeddedCluster(**JOB, interface="lo")


@pytest.mark.parametrize("name", ["ucx", "unix"])
def test_a_protocol_that_batch_clusters_have_not(name: str) -> None:
    """The error names those there are, and those only."""
    with pytest.raises(ConfigError, match=f"^protocol: '{name}' is none of tls, tcp$"):
        SLURMCluster(**JOB, protocol=name)
    match = f"^scheduler_options: protocol: '{name}' is none of tls, tcp$"
    with pytest.raises(ConfigError, match=match):
        SLURMCluster(**JOB, scheduler_options={"protocol": name})
    SLURMCluster(**JOB, scheduler_options={"protocol": "tcp://"})


def test_errors_about_the_network_name_file_and_line(places: Path) -> None:
    """The interface is the site's, and not to be found in the user's program."""
    path = places / ".config" / "jobqueue" / "jobqueue.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("jobqueue:\n  slurm:\n    interface: ib7\n")
    with pytest.raises(ConfigError, match=f"^{path}:3: interface 'ib7' does not exist"):
        SLURMCluster(**JOB)
    path.write_text("jobqueue:\n  slurm:\n    queue: q\n    scheduler-options: {port: x}\n")
    with pytest.raises(ConfigError, match=f"^{path}:4: scheduler_options: port: 'x' is no port"):
        SLURMCluster(**JOB)


@pytest.mark.parametrize("given", ["x", object, LocalCluster])
def test_a_scheduler_class_that_is_none(given: Any) -> None:
    """One error for text, and for classes of something else."""
    with pytest.raises(ConfigError, match=r"^scheduler_cls=.* is no subclass of jobqueue\.sched"):
        SLURMCluster(**JOB, scheduler_cls=given)


def test_folders_that_are_kept_are_told_with_the_reason(
    wait_until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs that fail leave their script and logs."""
    with (
        caplog.at_level(logging.WARNING, logger="jobqueue.cluster"),
        EmbeddedCluster(cores=1, memory="1GB", python="false;") as cluster,
    ):
        cluster.scale(jobs=1)
        wait_until(lambda: "paused" in cluster.describe(), 120, "the pool to pause")
    assert "since jobs of pool default failed: their script and logs are there" in caplog.text
